"""Asks what an audit wants to know: one request, all of them, of whom."""
