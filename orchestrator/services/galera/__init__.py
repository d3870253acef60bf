"""Galera: everything that `labs` knows about it."""
