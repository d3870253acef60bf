"""Evidence: what a check reads from a service with its own admin connection (child side)."""
