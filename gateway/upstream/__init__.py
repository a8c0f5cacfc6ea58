"""The far side: which server to ask, how to ask it, and what came back."""
