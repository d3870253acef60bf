"""Engines run services: Docker containers or plain local processes, behind one small protocol."""
