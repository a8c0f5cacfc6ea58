"""docs/gpu.md from what is kept in benchmarks/results/gpu/."""

import argparse
import sys
from pathlib import Path

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.lanes.page import page, read  # noqa: E402  only importable from here on

_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    kept, written = _ROOT / "benchmarks/results/gpu", _ROOT / "docs/gpu.md"
    parser.add_argument("folder", type=Path, nargs="?", default=kept, help="of results (%(default)s)")
    parser.add_argument("document", type=Path, nargs="?", default=written, help="to write (%(default)s)")
    options = parser.parse_args()
    folder, document = options.folder, options.document
    found = read(folder)
    document.write_text(page(found))
    print(f"{document.name} from {len(found.runs)} runs in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
