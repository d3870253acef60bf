"""Faults: something done to a service or a link during a check, always healed."""
