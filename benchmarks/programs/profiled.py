"""The gateway under cProfile: profiled.py FILE ARGUMENT... runs `scg ARGUMENT...` and leaves its profile in FILE."""

import cProfile
import sys

# What `scg serve` imports as it starts, so that the profile is not of imports.
import gateway.app
import gateway.cli.serve
import gateway.settings.loader  # noqa: F401  for its being imported
from gateway.__main__ import main

if __name__ == "__main__":
    profile = cProfile.Profile()
    code = profile.runcall(main, sys.argv[2:])
    profile.dump_stats(sys.argv[1])
    sys.exit(code)
