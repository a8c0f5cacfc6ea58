"""Bodies as structs, read in threads."""

import subprocess
import sys

# Each shape is new to msgspec; the threads meet at the barrier, and change over as often as Python can.
_MANY = """
import sys, threading, msgspec
from backend.torch.parsing import Shape, parsed

def read(shape, start):
    start.wait()
    parsed(b'{"a": {"b": 1}}', shape)

sys.setswitchinterval(1e-6)
for number in range(200):
    inner = msgspec.defstruct("Inner", [(f"b{at}", int | None, None) for at in range(30)] + [("b", int, 0)])
    shape = Shape(msgspec.defstruct("Outer", [("a", inner)]))
    start = threading.Barrier(8)
    threads = [threading.Thread(target=read, args=(shape, start)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("whole")
"""


def test_first_bodies_at_once_do_not_crash() -> None:
    """Of many threads that read the first body of a kind at once, each reads it."""
    ended = subprocess.run([sys.executable, "-c", _MANY], capture_output=True, text=True, check=False)
    assert (0, "whole\n", "") == (ended.returncode, ended.stdout, ended.stderr)
