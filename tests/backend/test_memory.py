import argparse
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig

from backend.errors import UsageError
from backend.torch.config import DEMO_FOLDER, EngineConfig, parse_size
from backend.torch.memory import Need, need, num_places, stored_weights
from backend.torch.pool import CacheShape

CPU = torch.device("cpu")
NEED = Need(shape=CacheShape(1, 1, 1), token=1000, weights=0, working=0)


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("5B", 5), ("2KiB", 2048), ("1.5 MiB", 3 * 2**19), ("8GiB", 2**33)]
)
def test_sizes(text: str, size: int) -> None:
    """A size is a number of bytes, or of a binary unit."""
    assert size == parse_size(text)


@pytest.mark.parametrize("text", ["", "x", "-1", "5GB", "1e3", "5 6"])
def test_what_is_no_size(text: str) -> None:
    """Anything else is refused in words."""
    with pytest.raises(argparse.ArgumentTypeError, match="no size"):
        parse_size(text)


def test_what_a_token_takes() -> None:
    """Keys and values of all layers, by the key heads and their own size where the model states one."""
    config = LlamaConfig(
        hidden_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=32, num_hidden_layers=3
    )

    takes = need(config, EngineConfig(), CPU, 10)

    assert (CacheShape(3, 2, 32), 2 * 3 * 2 * 32 * 2, 20) == (takes.shape, takes.token, takes.weights)


@pytest.mark.parametrize(
    ("memory", "max_len", "places"),
    [(50_000, 10, 50), (1_000_000, 10, 160), (10_000, 10, 10), (10_999, 10, 10), (None, 100, 1600)],
)
def test_the_pool_is_bounded(memory: int | None, max_len: int, places: int) -> None:
    """It holds what was allowed, 1 GiB unless told, and never more than 16 requests of full length could use."""
    config = EngineConfig(kv_cache_memory=memory)

    assert places == num_places(NEED, config, CPU, max_len, loaded=False)


def test_one_request_must_fit() -> None:
    """Memory for less than one request is refused, with both numbers and what would do."""
    with pytest.raises(UsageError) as caught:
        num_places(NEED, EngineConfig(kv_cache_memory=9999), CPU, 10, loaded=False)

    assert (
        "--kv-cache-memory 9.76 KiB: one request of 10 tokens takes 9.77 KiB; allow more or lower --max-model-len"
        == str(caught.value)
    )


def test_more_than_the_machine_has() -> None:
    """Memory that is not there is refused at the start, not met in the middle of an answer."""
    config = EngineConfig(kv_cache_memory=2**60, max_batch_size=2**40)

    with pytest.raises(UsageError, match=r"^--kv-cache-memory 1\.05e\+06 TiB: .* are free$"):
        num_places(NEED, config, CPU, 2**10, loaded=False)


def test_a_share_of_a_gpu_is_for_gpus() -> None:
    """On a CPU the option would do nothing, so it is refused."""
    with pytest.raises(UsageError, match=r"^--gpu-memory-utilization 0\.5: "):
        num_places(NEED, EngineConfig(gpu_memory_utilization=0.5), CPU, 10, loaded=False)


def test_weights_are_counted_by_headers(tmp_path: Path) -> None:
    """The demo's file says how many weights it holds; broken files count as empty, for loading to refuse."""
    (tmp_path / "a.safetensors").write_bytes(b"\x05")
    (tmp_path / "b.safetensors").write_bytes(b"\x02" + bytes(7) + b"[]")

    assert (5_197_056, 0) == (stored_weights(DEMO_FOLDER), stored_weights(tmp_path))
