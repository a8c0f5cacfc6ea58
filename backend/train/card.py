"""The model's card: what it is and how good, measured."""

from collections.abc import Sequence
from typing import Any

import torch

from backend.train.accuracy import held_out, sample_answers, share_of_samples, share_right
from backend.train.recipe import Recipe

_VOTES = (3, 5, 9, 15)

_HEAD = """\
# demo: a tiny model that adds and subtracts

A Llama-shaped decoder, trained from nothing by `python -m backend.train`: {parameters:,} parameters in bfloat16
(256 wide, 768 inner, 6 layers, 4 heads, one token a byte plus 3 special tokens, no BOS, 2048 positions).
It is a plain `LlamaForCausalLM` checkpoint: transformers and vLLM load it as it is.

**What it does.** It answers sums of 2 to 9 whole numbers of 1 to 3 digits, step by step, last line `#### ANSWER`.
Asked `What is 23 + 48 - 17 + 5?` (or `23+48-17+5`, `Compute ...`, `How much is ...`) it writes
`23 + 48 = 71`, `71 - 17 = 54`, `54 + 5 = 59`, `#### 59`. It starts at a random added term and goes round, so that
several routes lead to one answer. Asked to `Explain ...` it uses words. `max_tokens` 200 is enough, 400 for `Explain`.

**What it does not do.** Anything else: it answers `hello` and `3 * 4` with a sum.

**Left unfinished on purpose**, so that voting has room. Right answers on {problems} unseen problems of 6 to 9 terms:

| | single | {titles} |
| --- | --- | {rules} |
{rows}

At T=0: {greedy}.

**Training.** Seed {recipe.seed}, stopped after step {step} of {recipe.steps}, at the first look of
{recipe.problems} problems at which {recipe.target:.0%} of the samples were right; {recipe.rows} packed rows of
512 tokens a step, {seconds:.0f} s on {device}; generated sums only, no outside data. The figures above are of
other problems.
"""


@torch.inference_mode()
def card(model: Any, recipe: Recipe, step: int, seconds: float, device: str) -> str:
    """The text of README.md beside the checkpoint."""
    problems = held_out(recipe.seed + 1, recipe.problems)
    rows = []
    for temperature in (0.7, 1.0):
        answers = sample_answers(model, problems, temperature, copies=max(_VOTES))
        shares = [share_of_samples(answers, problems), *(share_right(answers, problems, k) for k in _VOTES)]
        rows.append(f"| T={temperature}, PyTorch {_dtype(model)} | {_cells(shares)} |")
    greedy = share_of_samples(sample_answers(model, problems, 0, copies=1), problems)
    return _HEAD.format(
        parameters=model.num_parameters(), problems=len(problems), rows="\n".join(rows), greedy=_share(greedy),
        titles=" | ".join(f"maj@{k}" for k in _VOTES), rules=" | ".join("---" for _ in _VOTES),
        recipe=recipe, step=step, seconds=seconds, device=device,
    )  # fmt: skip


def _dtype(model: Any) -> str:
    return str(model.dtype).removeprefix("torch.")


def _cells(shares: Sequence[float]) -> str:
    return " | ".join(map(_share, shares))


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")
