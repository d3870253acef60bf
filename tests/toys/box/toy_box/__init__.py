"""A toy service for `labs`: texts under keys, over TCP, in one process."""
