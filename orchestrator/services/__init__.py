"""Recipes: what `labs` knows about each service. One file a service."""
