"""What the server was asked to run, checked before anything slow starts."""

import re
from argparse import ArgumentTypeError
from dataclasses import dataclass
from pathlib import Path

from backend.errors import UsageError

DEMO = "demo"
RANDOM = "random"
DEMO_FOLDER = Path(__file__).parent.parent / "models" / "demo"
DEVICES = ("auto", "cpu", "cuda")
DTYPES = ("bfloat16", "float16", "float32")
_PREFILL_TOKENS = {"cpu": 128, "cuda": 2048}
_UNITS = {"": 1, "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The engine's half of the options.

    Attributes:
        model: a folder with a transformers checkpoint, `demo` (shipped) or `random` (seeded random weights).
        device: `cpu`, `cuda`, or `auto`: CUDA where there is one.
        dtype: of weights and activations; logits are always sampled in float32.
        max_batch_size: requests computed together; 1 serves one at a time.
        max_model_len: prompt and answer together, tokens; None: the model's own bound, at most 8192.
        max_waiting: requests that may wait for one of these; more are refused with 429.
        prefill_tokens: prompt tokens computed in one step; None: by device.
        kv_cache_memory: bytes for keys and values; None: 1 GiB on a CPU, what is left on a GPU.
        gpu_memory_utilization: share of a GPU's memory that may be used in all; None: 0.9.
        batch_invariant: bitwise the same logits whoever else is computed.
        seed: of the random weights.
        threads: CPU threads of one operation; None: one for a small model, else PyTorch's choice.

    Raises:
        UsageError: naming the option and the value.
    """

    model: str = DEMO
    device: str = "auto"
    dtype: str = "bfloat16"
    max_batch_size: int = 16
    max_model_len: int | None = None
    max_waiting: int = 1024
    prefill_tokens: int | None = None
    kv_cache_memory: int | None = None
    gpu_memory_utilization: float | None = None
    batch_invariant: bool = False
    seed: int = 0
    threads: int | None = None

    def __post_init__(self) -> None:
        _one_of("--device", self.device, DEVICES)
        _one_of("--dtype", self.dtype, DTYPES)
        _at_least("--max-batch-size", self.max_batch_size, 1)
        _at_least("--max-model-len", self.max_model_len, 2)
        _at_least("--max-waiting", self.max_waiting, 1)
        _at_least("--prefill-tokens", self.prefill_tokens, 1)
        _at_least("--kv-cache-memory", self.kv_cache_memory, 1)
        if self.gpu_memory_utilization is not None and not 0 < self.gpu_memory_utilization <= 1:
            raise UsageError(
                f"--gpu-memory-utilization {self.gpu_memory_utilization}: must be above 0, at most 1"
            )
        _at_least("--threads", self.threads, 1)
        _at_least("--seed", self.seed, 0)
        if self.model != RANDOM:
            _check_folder(self.folder)

    def step_tokens(self, device: str) -> int:
        """Prompt tokens computed in one step on a device of this type."""
        return self.prefill_tokens or _PREFILL_TOKENS[device]

    @property
    def folder(self) -> Path:
        """Where the checkpoint lies; for random weights, the tokenizer only."""
        return DEMO_FOLDER if self.model in {DEMO, RANDOM} else Path(self.model)

    @property
    def name(self) -> str:
        """What the model is called unless `--served-model-name` says otherwise."""
        return self.model if self.model in {DEMO, RANDOM} else self.folder.resolve().name


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """The server's half of the options; `shutdown_timeout` is how long a stop waits for answers, seconds."""

    host: str = "127.0.0.1"
    port: int = 8000
    served_model_name: str | None = None
    shutdown_timeout: float = 5.0

    def __post_init__(self) -> None:
        _at_least("--port", self.port, 0)
        _at_least("--shutdown-timeout", self.shutdown_timeout, 0)
        if self.port > 65535:
            raise UsageError(f"--port {self.port}: must be at most 65535")
        if self.served_model_name == "":
            raise UsageError("--served-model-name: must not be empty")


def parse_size(text: str) -> int:
    """Bytes, as `64MiB`, `1.5GiB` or a plain number.

    Raises:
        ArgumentTypeError: it is none of these.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT]iB|B|)", text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no size such as 512MiB or 2GiB")
    return int(float(found[1]) * _UNITS[found[2]])


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"{option} {value}: must be one of {', '.join(known)}")


def _at_least(option: str, value: float | None, bound: int) -> None:
    if value is not None and not value >= bound:
        raise UsageError(f"{option} {value}: must be at least {bound}")


def _check_folder(folder: Path) -> None:
    """Refuse at once what loading would refuse seconds later, in the same words for every checkpoint."""
    if not folder.is_dir():
        raise UsageError(f"--model {folder}: no such folder (known names: {DEMO}, {RANDOM})")
    if not (folder / "config.json").is_file():
        raise UsageError(f"--model {folder}: no config.json in it")
    if not any(folder.glob("*.safetensors")) and not any(folder.glob("pytorch_model*.bin")):
        raise UsageError(f"--model {folder}: no weights in it (*.safetensors)")
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise UsageError(f"--model {folder}: no tokenizer in it (tokenizer.json)")
