"""The life of services that somebody runs: planned, started, awaited, ended."""
