"""One result of a run, and one file for each way to show it."""
