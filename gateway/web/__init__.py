"""The live page: what a browser is given at `/`."""
