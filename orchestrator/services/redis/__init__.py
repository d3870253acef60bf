"""Redis: what is hot, short-lived and may be lost."""
