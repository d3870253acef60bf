"""Elasticsearch: everything that `labs` knows about it."""
