"""Load for as long as you like, with or without faults, and an invalid request now and then.

python benchmarks/soak.py                       ten minutes
python benchmarks/soak.py --minutes 1440        a day
python benchmarks/soak.py --faults --minutes 5  everything breaks in turn, over and over
python benchmarks/soak.py --write               keep the figures and the plot of memory in docs
"""

import sys
from pathlib import Path

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.chaos.soak import main  # noqa: E402  only importable from here on

if __name__ == "__main__":
    sys.exit(main(__doc__))
