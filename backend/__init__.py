"""Servers for the gateway to stand in front of: `python -m backend --help`."""
