"""The commands of `scg`, one module each: `add_arguments(parser)` describes it, `run(arguments)` does it."""
