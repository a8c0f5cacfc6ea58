"""An OpenAI-compatible gateway that votes, pins and measures."""

__version__ = "0.1.0"
