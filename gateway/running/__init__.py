"""A gateway as processes: started, watched, told to read its settings anew, and ended without losing a request."""
