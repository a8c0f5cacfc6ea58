"""Asks what an audit wants to know: one request, how fast, all of them, of whom."""
