"""Judging a server: the supervisor on one side, the pytest child on the other."""
