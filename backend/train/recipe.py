"""The recipe: every number that the model depends on."""

from dataclasses import dataclass

from transformers import LlamaConfig

from backend.train.tokens import END, VOCABULARY

POSITIONS = 2048


@dataclass(frozen=True, slots=True)
class Recipe:
    """How long, how fast, and when to stop."""

    seed: int = 1
    steps: int = 1500  # of the learning rate's way down; training stops before
    rows: int = 192
    warm_up: int = 50
    rate: float = 2e-3
    decay: float = 0.1  # of weights
    target: float = 0.74  # share of single samples that are right, at which to stop: voting needs room
    first_look: int = 600  # step at which to begin to look
    look_every: int = 25
    problems: int = 400  # looked at
    temperature: float = 0.7


def model_config() -> LlamaConfig:
    """A Llama of 5.2 million parameters."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=256,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=64,
        rms_norm_eps=1e-5,
        max_position_embeddings=POSITIONS,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END,
    )
