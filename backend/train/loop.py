"""Training: packed rows, AdamW, a cosine on its way down, stopped before the model is too good to vote on."""

import math
import sys
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaForCausalLM

from backend.train.accuracy import held_out, sample_answers, share_of_samples
from backend.train.recipe import Recipe, model_config
from backend.train.rows import Rows, Said, make_rows

_AHEAD = 64  # steps whose rows are being made


def train(recipe: Recipe, device: str) -> tuple[Any, int]:
    """The model, and after how many steps training stopped."""
    torch.manual_seed(recipe.seed)
    torch.set_float32_matmul_precision("high")
    model: Any = LlamaForCausalLM(model_config())  # Any: transformers' decorators hide its methods' types
    model.to(device)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=recipe.decay
    )
    began = time.monotonic()
    for step, (tokens, said) in enumerate(_batches(recipe), 1):
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * _pace(step, recipe)
        loss = _loss(model, torch.from_numpy(tokens).to(device).long(), torch.from_numpy(said).to(device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if _is_time_to_look(step, recipe):
            right = _look(model, recipe)
            seconds = time.monotonic() - began
            print(f"step {step}: loss {loss.item():.3f}, {right:.3f} right, {seconds:.0f} s", file=sys.stderr)
            if right >= recipe.target:
                break
        elif not step % 100:
            print(f"step {step}: loss {loss.item():.3f}", file=sys.stderr)
    return model, step


def _is_time_to_look(step: int, recipe: Recipe) -> bool:
    return step == recipe.steps or (step >= recipe.first_look and step % recipe.look_every == 0)


def _loss(model: Any, tokens: torch.Tensor, said: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of what is to be learnt, tokens [rows, length + 1]."""
    with torch.autocast(tokens.device.type, dtype=torch.bfloat16):
        logits = model(tokens[:, :-1], use_cache=False).logits
    wanted = tokens[:, 1:].masked_fill(~said[:, 1:], -100)
    return cross_entropy(logits.float().flatten(0, 1), wanted.flatten())


def _pace(step: int, recipe: Recipe) -> float:
    if step < recipe.warm_up:
        return step / recipe.warm_up
    done = (step - recipe.warm_up) / max(1, recipe.steps - recipe.warm_up)
    return 0.05 + 0.95 * (1 + math.cos(math.pi * done)) / 2


def _look(model: Any, recipe: Recipe) -> float:
    problems = held_out(recipe.seed, recipe.problems)
    model.eval()
    answers = sample_answers(model, problems, recipe.temperature, copies=1)
    model.train()
    return share_of_samples(answers, problems)


def _batches(recipe: Recipe) -> Iterator[tuple[Rows, Said]]:
    """The rows of every step, made by other processes some steps ahead."""
    make = partial(make_rows, recipe.seed, rows=recipe.rows)
    with _workers() as workers:
        coming = deque(workers.submit(make, step) for step in range(min(_AHEAD, recipe.steps)))
        for step in range(recipe.steps):
            if step + _AHEAD < recipe.steps:
                coming.append(workers.submit(make, step + _AHEAD))
            yield coming.popleft().result()


@contextmanager
def _workers() -> Iterator[ProcessPoolExecutor]:
    """Processes that are started afresh, since a fork would take CUDA's state along."""
    workers = ProcessPoolExecutor(mp_context=get_context("spawn"))
    try:
        yield workers
    finally:
        workers.shutdown(wait=False, cancel_futures=True)
