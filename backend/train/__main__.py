"""`python -m backend.train --out FOLDER`: makes the demo model and its card."""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from backend.train.card import card
from backend.train.loop import train
from backend.train.recipe import POSITIONS, Recipe, model_config
from backend.train.tokens import END, write_tokenizer

_EXAMPLES = """\
examples:
  python -m backend.train --out my-demo                     two minutes on one GPU
  python -m backend.train --out tiny --steps 2 --rows 2 --problems 2 --device cpu     does it run at all?
"""


def main() -> int:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m backend.train", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="the checkpoint's folder; made if need be")
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", help="cuda or cpu"
    )
    for name in ("seed", "steps", "rows", "problems"):
        parser.add_argument(
            f"--{name}", type=int, default=getattr(Recipe(), name), help="(default: %(default)s)"
        )
    args = parser.parse_args()
    recipe = replace(Recipe(), seed=args.seed, steps=args.steps, rows=args.rows, problems=args.problems)
    began = time.monotonic()
    model, step = train(recipe, args.device)
    seconds = time.monotonic() - began
    model.bfloat16().eval()
    args.out.mkdir(parents=True, exist_ok=True)
    _write(args.out, {name: value for name, value in model.state_dict().items() if name != "lm_head.weight"})
    device = torch.cuda.get_device_name() if args.device == "cuda" else "a CPU"
    (args.out / "README.md").write_text(card(model, recipe, step, seconds, device))
    print(f"{args.out}: step {step}, {seconds:.0f} s", file=sys.stderr)
    return 0


def _write(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    tensors = {name: value.contiguous().cpu() for name, value in weights.items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = model_config().to_diff_dict() | {"architectures": ["LlamaForCausalLM"], "dtype": "bfloat16"}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    ends = {"eos_token_id": END, "pad_token_id": END}
    (folder / "generation_config.json").write_text(json.dumps(ends, indent=1) + "\n")
    write_tokenizer(folder, POSITIONS)


if __name__ == "__main__":
    sys.exit(main())
