"""This machine and our own files on it: processes, ports, threads, signals, folders."""
