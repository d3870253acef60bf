"""What PostgreSQL itself shows to checks."""
