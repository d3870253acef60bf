"""A toy service for `labs` that is a file: an SQLite database, with nothing that listens anywhere."""
