"""The protocols' edge: JSON, SSE and headers in and out. Dicts end here."""
