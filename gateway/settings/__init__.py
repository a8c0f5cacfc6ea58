"""The configuration: `model` is what the program reads, `loader` makes it of flags, environment and file."""
