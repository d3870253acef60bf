"""The command line: one small file a command; parse, call, render."""
