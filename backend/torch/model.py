"""Weights and tokenizer by transformers; one forward pass over tokens of many requests."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from backend.errors import UsageError, first_line
from backend.torch.attention import Layout, install
from backend.torch.config import RANDOM, EngineConfig
from backend.torch.invariant import check_invariance
from backend.torch.memory import Need, need, num_places, stored_weights
from backend.torch.tokenizer import Tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig

# Enough for a conversation, and a bound for the cache where a model allows more than memory does.
_DEFAULT_MAX_LEN = 8192
# Wide and deep enough that bf16 rounding flips tokens, small enough for a laptop: 3.5 M parameters.
_RANDOM_WIDTH, _RANDOM_LAYERS, _HEAD_DIM = 256, 4, 64
# Parameters below which one CPU thread is the fastest.
_SMALL = 50_000_000


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded checkpoint.

    Attributes:
        root: where the weights come from, as `/v1/models` shows it.
        max_len: prompt and answer together, tokens.
        need: what it takes of memory.
    """

    name: str
    root: str
    network: nn.Module
    tokenizer: Tokenizer
    device: torch.device
    dtype: torch.dtype
    max_len: int
    need: Need

    @property
    def num_parameters(self) -> int:
        """How many weights there are, tied ones counted once."""
        return sum(weight.numel() for weight in self.network.parameters())

    @property
    def dtype_name(self) -> str:
        """`bfloat16` and the like."""
        return str(self.dtype).removeprefix("torch.")

    @torch.inference_mode()
    def forward(self, tokens: Tensor, positions: Tensor, layout: Layout, keep: Tensor) -> Tensor:
        """Compute `tokens`, [tokens], of whichever requests `layout` says.

        Args:
            tokens: in the order in which `layout` has them.
            positions: [tokens], each token's place in its own text.
            layout: what attention goes by.
            keep: which of the tokens want logits.

        Returns:
            Their logits, [kept, vocabulary] float32.
        """
        output = self.network(
            input_ids=tokens[None],
            position_ids=positions[None],
            use_cache=False,
            logits_to_keep=keep,
            layout=layout,
        )
        logits: Tensor = output.logits
        return logits[0].float()


def load(config: EngineConfig) -> Model:
    """Read or make the model that `config` names; what can be refused without its weights is refused before.

    Raises:
        UsageError: the folder holds no model that this engine can run, it does not fit, or CUDA is not there.
    """
    device = _device(config.device)
    _quieten()
    tokenizer = Tokenizer.load(config.folder)
    is_random = config.model == RANDOM
    plan = _random_config(len(tokenizer)) if is_random else _read_config(config.folder)
    text = plan.get_text_config()
    _check_layers(config.model, text)
    if config.batch_invariant:
        check_invariance(config.model, text)
    max_len = _max_len(config, text)
    takes = need(text, config, device, 0 if is_random else stored_weights(config.folder))
    num_places(takes, config, device, max_len, loaded=False)
    dtype = getattr(torch, config.dtype)
    network = _random_network(plan, config.seed) if is_random else _read_network(config.folder, dtype)
    _prepare(config, network)
    return Model(
        name=config.name,
        root=f"{RANDOM}-{_RANDOM_WIDTH}x{_RANDOM_LAYERS}-seed{config.seed}" if is_random else config.model,
        network=_moved(config.model, network, device, dtype),
        tokenizer=tokenizer.with_ends(_end_tokens(network)),
        device=device,
        dtype=dtype,
        max_len=max_len,
        need=takes,
    )


def _moved(name: str, network: nn.Module, device: torch.device, dtype: torch.dtype) -> nn.Module:
    try:
        return network.to(device, dtype)
    except torch.OutOfMemoryError as error:
        raise UsageError(f"--model {name}: does not fit: {first_line(error)}") from error


def _prepare(config: EngineConfig, network: nn.Module) -> None:
    network.eval().requires_grad_(requires_grad=False)
    _set_threads(config.threads, network)
    if not getattr(network, "_supports_attention_backend", False):
        raise UsageError(
            f"--model {config.model}: {type(network).__name__} has attention of its own, not supported"
        )
    install(network)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device cuda: this PyTorch ({torch.__version__}) sees no CUDA device")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    # cuDNN's attention plans anew for every width of the batch, and each step has a new one: 30 ms, not 3.
    torch.backends.cuda.enable_cudnn_sdp(enabled=False)
    return torch.device(name)


def _set_threads(threads: int | None, network: nn.Module) -> None:
    """A small model's operations are over before a second thread has woken."""
    if threads is None and sum(weight.numel() for weight in network.parameters()) < _SMALL:
        threads = 1
    if threads is not None:
        torch.set_num_threads(threads)


def _quieten() -> None:
    """Keep transformers' progress bars and advice out of a server's output."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def _read_config(folder: Path) -> "PretrainedConfig":
    from transformers import AutoConfig

    try:
        plan: PretrainedConfig = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"--model {folder}: its config.json cannot be used: {first_line(error)}") from error
    return plan


def _read_network(folder: Path, dtype: torch.dtype) -> nn.Module:
    """Load every weight, or refuse: transformers would fill the gaps of half a checkpoint at random.

    Misshapen ones are let through to be named here; its own error names none.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"--model {folder}: its weights cannot be read: {first_line(error)}") from error
    network: nn.Module
    network, report = loaded
    gaps = sorted(report["missing_keys"]) + sorted(name for name, *_ in report["mismatched_keys"])
    if gaps:
        raise UsageError(f"--model {folder}: {len(gaps)} weights are missing or misshapen, {gaps[0]} first")
    return network


def _random_config(vocabulary: int) -> "PretrainedConfig":
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=_RANDOM_WIDTH,
        intermediate_size=3 * _RANDOM_WIDTH,
        num_hidden_layers=_RANDOM_LAYERS,
        num_attention_heads=_RANDOM_WIDTH // _HEAD_DIM,
        num_key_value_heads=_RANDOM_WIDTH // _HEAD_DIM,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )


def _random_network(plan: "PretrainedConfig", seed: int) -> nn.Module:
    """A Llama that was never trained: its near-ties are what batching disturbs most.

    Made in float32 on the CPU whatever it runs in, so that a seed names the same weights everywhere.
    """
    from transformers import AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network: nn.Module = AutoModelForCausalLM.from_config(plan)
    return network


def _check_layers(name: str, text: "PretrainedConfig") -> None:
    """Refuse recurrent and linear layers, which keep a state and no keys."""
    kinds: tuple[str, ...] = getattr(text, "layer_types", None) or ()
    strange = sorted({kind for kind in kinds if not kind.endswith("attention") or kind.startswith("linear")})
    if strange:
        raise UsageError(f"--model {name}: layers of kind {', '.join(strange)} are not supported")
    if not getattr(text, "num_attention_heads", None):
        raise UsageError(f"--model {name}: {text.model_type} is no attention model")


def _max_len(config: EngineConfig, text: "PretrainedConfig") -> int:
    own: int = getattr(text, "max_position_embeddings", _DEFAULT_MAX_LEN)
    if config.max_model_len is None:
        return min(own, _DEFAULT_MAX_LEN)
    if config.max_model_len > own:
        raise UsageError(f"--max-model-len {config.max_model_len}: the model goes up to {own}")
    return config.max_model_len


def _end_tokens(network: Any) -> frozenset[int]:
    """The ids that end an answer, by the checkpoint's generation config, else its config."""
    generation = getattr(network, "generation_config", None)
    ends = getattr(generation, "eos_token_id", None)
    if ends is None:
        ends = network.config.get_text_config().eos_token_id
    if ends is None:
        return frozenset()
    return frozenset([ends] if isinstance(ends, int) else ends)
