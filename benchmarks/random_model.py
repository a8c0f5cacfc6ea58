"""A model with random weights in the shape of Qwen3-1.7B, made from its configuration: nothing is downloaded.

What was never trained has near-ties everywhere: no model's answers depend on the batch more.

    python benchmarks/random_model.py /tmp/random-1.7b
    python benchmarks/random_model.py /tmp/small --width 256 --layers 2
"""

import argparse
import json
import sys
from pathlib import Path

import torch

# Started as a script: the repository takes the place of this folder on the path.
sys.path[0] = str(Path(__file__).resolve().parent.parent)

from backend.torch.config import DEMO_FOLDER  # noqa: E402  only importable from here on

_VOCABULARY = 151_936


def main() -> int:
    """Make it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--width", type=int, default=2048, help="hidden size (%(default)s)")
    parser.add_argument("--layers", type=int, default=28, help="and so many layers (%(default)s)")
    options = parser.parse_args()
    parameters = make_model(options.folder, options.width, options.layers)
    print(f"{parameters / 1e6:.0f} M parameters in {options.folder}")
    return 0


def make_model(folder: Path, width: int, layers: int) -> int:
    """A Qwen3 with random weights in bfloat16 and a tokenizer that fits, as a checkpoint; its parameters."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    heads = max(width // 128, 1)
    config = Qwen3Config(
        vocab_size=_VOCABULARY,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=max(heads // 2, 1),
        head_dim=128,
        max_position_embeddings=40_960,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        network = Qwen3ForCausalLM(config).bfloat16()
    network.save_pretrained(folder)
    _make_tokenizer(folder)
    return network.num_parameters()


def _make_tokenizer(folder: Path) -> None:
    """The demo model's bytes, and a word for each of the other tokens: what the model says can be told apart."""
    tokenizer = json.loads((DEMO_FOLDER / "tokenizer.json").read_text())
    words = tokenizer["model"]["vocab"]
    words |= {f"Ġ{number:x}": number for number in range(max(words.values()) + 1, _VOCABULARY)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text((DEMO_FOLDER / "tokenizer_config.json").read_text())


if __name__ == "__main__":
    sys.exit(main())
