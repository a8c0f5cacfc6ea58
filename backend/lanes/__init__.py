"""Lanes: an engine's own settings for speed, for one request at a time, for kernels that don't care about the batch."""
