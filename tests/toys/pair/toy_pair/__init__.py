"""A toy service for `labs`: two nodes that hold the same, each with an endpoint for clients and one for its keeper."""
