"""A gateway under load while everything around it breaks."""
