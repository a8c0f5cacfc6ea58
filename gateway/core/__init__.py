"""What the project exists for, pure: no I/O, no clock, no randomness, no third-party imports."""
