"""How much memory there is for keys and values, found out before anything large is loaded."""

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from backend.errors import UsageError
from backend.torch.config import EngineConfig
from backend.torch.padded import AREA
from backend.torch.pool import CacheShape

# On a CPU, where memory is the user's to give.
_CPU_BYTES = 2**30
# Of a GPU's memory, as vLLM takes it.
_SHARE = 0.9
# What a pass keeps at once beside the weights, in copies of its hidden states and of its logits.
_HIDDEN_COPIES, _LOGIT_COPIES = 24, 5


@dataclass(frozen=True, slots=True)
class Need:
    """What a model takes, in bytes.

    Attributes:
        shape: of one token's keys and values.
        token: bytes of one token's keys and values.
        weights: all of them, in the type that they are to have.
        working: what a step takes besides, at most.
    """

    shape: CacheShape
    token: int
    weights: int
    working: int


def need(text_config: Any, config: EngineConfig, device: torch.device, num_weights: int) -> Need:
    """What a model of this configuration takes; `text_config` is transformers'."""
    dtype = getattr(torch, config.dtype)
    num_heads: int = text_config.num_attention_heads
    key_heads: int = getattr(text_config, "num_key_value_heads", None) or num_heads
    size: int = getattr(text_config, "head_dim", None) or text_config.hidden_size // num_heads
    shape = CacheShape(text_config.num_hidden_layers, key_heads, size)
    gathered = 2 * AREA[device.type] * size * (key_heads + num_heads) * dtype.itemsize
    hidden = (
        _HIDDEN_COPIES * (config.step_tokens(device.type) + config.max_batch_size) * text_config.hidden_size
    )
    logits = _LOGIT_COPIES * config.max_batch_size * text_config.vocab_size * 4
    return Need(
        shape=shape,
        token=shape.token_bytes(dtype),
        weights=num_weights * dtype.itemsize,
        working=gathered + hidden * dtype.itemsize + logits,
    )


def num_places(need: Need, config: EngineConfig, device: torch.device, max_len: int, *, loaded: bool) -> int:
    """Tokens that the pool shall hold: no more than could ever be used.

    Args:
        need: of the model.
        config: the engine's options.
        device: where it runs; a GPU is asked what is free.
        max_len: tokens of the longest request; one such must fit.
        loaded: whether the weights are there already.

    Raises:
        UsageError: not even one request of `max_len` fits.
    """
    if config.gpu_memory_utilization is not None and device.type != "cuda":
        raise UsageError(
            f"--gpu-memory-utilization {config.gpu_memory_utilization}: the model runs on the CPU, "
            f"where --kv-cache-memory says how much"
        )
    if config.kv_cache_memory is None and device.type == "cuda":
        free, source = _free_on_gpu(need, config, loaded=loaded)
    else:
        free = _CPU_BYTES if config.kv_cache_memory is None else config.kv_cache_memory
        source = f"--kv-cache-memory {_shown(free)}"
    places = max(free, 0) // need.token
    if places < max_len:
        raise UsageError(
            f"{source}: one request of {max_len} tokens takes {_shown(max_len * need.token)}; "
            f"allow more or lower --max-model-len"
        )
    places = min(places, config.max_batch_size * max_len)
    if device.type == "cpu" and (there := _free_ram()) is not None and places * need.token > there:
        raise UsageError(f"{source}: {_shown(places * need.token)} would be used, {_shown(there)} are free")
    return places


def _free_ram() -> int | None:
    """Bytes that programs may still take, by Linux's own estimate; None where it cannot be had."""
    try:
        found = re.search(r"^MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def _free_on_gpu(need: Need, config: EngineConfig, *, loaded: bool) -> tuple[int, str]:
    """Bytes left for keys and values, and words that say where they come from."""
    share = config.gpu_memory_utilization or _SHARE
    free, total = torch.cuda.mem_get_info()
    # What PyTorch holds and does not use is free for us.
    free += torch.cuda.memory_reserved() - torch.cuda.memory_allocated()
    weights = 0 if loaded else need.weights
    left = free - int((1 - share) * total) - weights - need.working
    source = (
        f"--gpu-memory-utilization {share}: of {_shown(free)} free, {_shown(weights)} go to weights and "
        f"{_shown(need.working)} to a step, {_shown(max(left, 0))} are left for keys and values"
    )
    return left, source


def stored_weights(folder: Path) -> int:
    """How many weights the checkpoint holds, by the headers of its files; 0 where they do not say."""
    return sum(_stored(path) for path in folder.glob("*.safetensors"))


def _stored(path: Path) -> int:
    """A safetensors file begins with its header's length and the header, JSON; a broken one counts as empty."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, path.stat().st_size)))
        shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
    except (OSError, struct.error, ValueError, LookupError, TypeError, AttributeError):
        return 0
    return sum(torch.Size(shape).numel() for shape in shapes)


def _shown(size: int) -> str:
    """Bytes as a person reads them: 1.5 GiB, 12 MiB."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{size} B"
