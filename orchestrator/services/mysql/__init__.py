"""MySQL: everything that `labs` knows about it."""
