"""SQLite: a database that is a file. No server runs; whoever opens the file is the database."""
