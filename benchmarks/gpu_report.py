"""docs/gpu.md from what is kept in benchmarks/results/gpu/: `benchmarks/gpu_report.py [FOLDER [PAGE]]`."""

import json
import sys
from pathlib import Path

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.lanes.page import page, read_runs  # noqa: E402  only importable from here on

_ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Write the page."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else _ROOT / "benchmarks/results/gpu"
    document = Path(sys.argv[2]) if len(sys.argv) > 2 else _ROOT / "docs/gpu.md"
    runs, engines = read_runs(folder), folder / "backend.json"
    document.write_text(page(runs, json.loads(engines.read_text()) if engines.exists() else None))
    print(f"{document.name} from {len(runs)} runs in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
