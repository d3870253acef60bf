"""PostgreSQL: what must never be wrong."""
