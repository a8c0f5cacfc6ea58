"""docs/benchmarks.md from a kept result: `benchmarks/report.py [FILE]`, else from the latest full run."""

import sys
from pathlib import Path

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import results  # noqa: E402  only importable from here on
from benchmarks.page import DOCUMENT, publish  # noqa: E402


def main() -> int:
    """Write the page."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else results.latest()
    publish(path)
    print(f"{DOCUMENT.name} from {path.name if path else 'nothing: no full run is kept yet'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
