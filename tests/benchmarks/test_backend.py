"""The engines' benchmark where an engine fails, and the model that is made for it."""

from argparse import Namespace
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import pytest
from transformers import AutoConfig, AutoTokenizer

from backend.torch.config import EngineConfig
from backend.torch.model import load
from benchmarks.backend import Answers, Engine, Prompt, compared, table
from benchmarks.random_model import make_model

pytestmark = pytest.mark.backend


def answering(prompts: Sequence[Prompt]) -> Answers:
    return [(prompt, prompt[:2]) for prompt in prompts]


def broken() -> Engine:
    raise RuntimeError("no memory")


def test_a_failing_engine_costs_its_own_row_only() -> None:
    """What one engine dies of is kept, and the others are measured; a server's CPU time is not ours to tell."""
    options = Namespace(turns=1, tokens=2, server=[("far", "http://x")])
    makers = {name: lambda: lambda: nullcontext(answering) for name in ("near", "far")} | {"broken": broken}

    runs, failed = compared(makers, 2, options)

    assert [("near", False), ("far", True)] == [(run.engine, run.cpu_ms_per_token is None) for run in runs]
    assert {(4, 4)} == {(run.prompts_with_one_answer, run.prompts) for run in runs}
    assert {"broken": "2 in flight: RuntimeError('no memory')"} == failed
    assert "| far | 2 |" in table(runs)


def test_a_made_model_can_be_served(tmp_path: Path) -> None:
    """Random weights of Qwen3's shape, whose every token has a text of its own."""
    parameters = make_model(tmp_path, width=64, layers=1)

    model = load(EngineConfig(model=str(tmp_path), device="cpu", max_model_len=100))

    assert (parameters, "Qwen3ForCausalLM") == (model.num_parameters, type(model.network).__name__)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    words = [tokenizer.decode([token]) for token in range(len(tokenizer)) if not 3 <= token < 259]
    assert AutoConfig.from_pretrained(tmp_path).vocab_size == len(tokenizer)
    assert len(words) == len(set(words))
