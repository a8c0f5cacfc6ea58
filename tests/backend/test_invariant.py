"""The cure: with `--batch-invariant` a row's logits are bitwise the same whoever else is computed, and how."""

import random
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen3Config

from backend.errors import UsageError
from backend.torch.attention import install
from backend.torch.config import EngineConfig
from backend.torch.invariant import BLOCK, InvariantRunner, batch_invariant, check_invariance
from backend.torch.memory import need
from backend.torch.model import Model
from backend.torch.padded import PaddedRunner
from tests.backend.compositions import LENGTH, PROMPT, answer_logits, pool_for, rounds_that_differ

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(("dtype", "threads"), [("bfloat16", 1), ("bfloat16", 2), ("float32", 2)])
def test_logits_are_bitwise_the_same(noisy: Model, dtype: str, threads: int) -> None:
    """Over random mates, positions in the batch, places in memory and slices of the prompt, not one bit moves.

    The plain way, on the same compositions, moves some.
    """
    kind = getattr(torch, dtype)
    model = replace(noisy, network=noisy.network.to(kind), dtype=kind)
    pool = pool_for(model)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        differing = {
            runner: rounds_that_differ(runner(model, pool), pool)
            for runner in (InvariantRunner, PaddedRunner)
        }
    finally:
        torch.set_num_threads(before)
        noisy.network.to(noisy.dtype)

    assert 0 == differing[InvariantRunner]
    assert differing[PaddedRunner] > 0


SMALL: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": LENGTH,
}


@pytest.mark.parametrize("runner", [PaddedRunner, InvariantRunner])
@pytest.mark.parametrize(
    "config",
    [LlamaConfig(**SMALL), MistralConfig(**SMALL, sliding_window=BLOCK + 7), Qwen3Config(**SMALL)],
    ids=lambda config: str(config.model_type),
)
def test_both_ways_compute_what_transformers_does(
    exact: Model, config: Any, runner: type[PaddedRunner | InvariantRunner]
) -> None:
    """Shared key heads, windows and norms of queries: logits are transformers' own, in float32 up to rounding."""
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(deepcopy(config)).eval().requires_grad_(requires_grad=False)
    tokens = random.Random(1).choices(range(200), k=LENGTH)
    expected = network(torch.tensor([tokens])).logits[0, PROMPT - 1 :]
    install(network)
    takes = need(config, EngineConfig(dtype="float32"), torch.device("cpu"), 0)
    model = replace(exact, network=network, need=takes)
    pool = pool_for(model)

    found = answer_logits(runner(model, pool), pool, tokens, random.Random(2))

    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_the_mode_ends_with_its_block() -> None:
    """Whatever PyTorch was told before holds again afterwards, an exception or not."""
    matmul = torch.backends.cuda.matmul
    matmul.allow_bf16_reduced_precision_reduction = True

    with suppress(LookupError), batch_invariant():
        inside = matmul.allow_bf16_reduced_precision_reduction
        raise LookupError

    assert (False, True) == (inside, matmul.allow_bf16_reduced_precision_reduction)


@pytest.mark.parametrize(
    "members",
    [
        {"num_experts": 8},
        {"num_local_experts": 8},
        {"rope_parameters": {"rope_type": "dynamic"}},
        {"rope_parameters": {"full_attention": {"rope_type": "longrope"}}},
    ],
)
def test_what_cannot_be_invariant_is_refused(members: dict[str, Any]) -> None:
    """Experts and embeddings that follow the batch are no lane to trust: the command says so and ends."""

    class Config:
        pass

    config = Config()
    vars(config).update(members)

    with pytest.raises(UsageError, match=r"^--batch-invariant: --model m "):
        check_invariance("m", config)
