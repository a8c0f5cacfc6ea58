"""docs/benchmarks.md from a kept result of `make bench`."""

import argparse
import sys
from pathlib import Path

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import results  # noqa: E402  only importable from here on
from benchmarks.page import DOCUMENT, publish  # noqa: E402


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, nargs="?", default=results.latest(), help="(%(default)s)")
    path: Path | None = parser.parse_args().file
    publish(path)
    print(f"{DOCUMENT.name} from {path.name if path else 'nothing: no full run is kept yet'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
