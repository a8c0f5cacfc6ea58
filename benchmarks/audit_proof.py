"""Does the audit's figure foretell? Two later, independent rounds against what it and the metrics say, under load."""

import sys
from pathlib import Path

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.proof.command import main  # noqa: E402  only importable from here on

if __name__ == "__main__":
    sys.exit(main())
