"""Judging a server: the supervisor's side. The pytest child's side is `checks`."""
