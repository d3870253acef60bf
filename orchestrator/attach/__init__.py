"""Judging the server that `labs run` already runs: its side, the side of `labs check`, and the server itself."""
