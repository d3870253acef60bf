"""MongoDB: everything that `labs` knows about it."""
