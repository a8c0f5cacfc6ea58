"""One token a byte and three special ones: the tokenizer's files, and its encoding without it."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END, USER, ASSISTANT = 0, 1, 2
SPECIAL = ("<|end|>", "<|user|>", "<|assistant|>")
VOCABULARY = 320  # 3 + 256, rounded up to what kernels like
_TEMPLATE = (
    "{% for m in messages %}{% if m['role'] == 'user' %}<|user|>{{ m['content'] | trim }}"
    "{% elif m['role'] == 'assistant' %}<|assistant|>{{ m['content'] | trim }}<|end|>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def byte_tokens(text: str) -> list[int]:
    """The tokens of a text without special ones."""
    return [byte + len(SPECIAL) for byte in text.encode()]


def write_tokenizer(folder: Path, positions: int) -> None:
    """`tokenizer.json` and `tokenizer_config.json`, as transformers and vLLM read them."""
    vocabulary = {token: at for at, token in enumerate((*SPECIAL, *_byte_letters()))}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    made.save(str(folder / "tokenizer.json"))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": SPECIAL[END],
        "pad_token": SPECIAL[END],
        "bos_token": None,
        "unk_token": None,
        "model_max_length": positions,
        "clean_up_tokenization_spaces": False,
        "add_bos_token": False,
        "chat_template": _TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")


def _byte_letters() -> list[str]:
    """The letter that stands for each byte in byte-level BPE (GPT-2's `bytes_to_unicode`)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = iter(range(0x100, 0x200))
    return [chr(byte) if byte in plain else chr(next(moved)) for byte in range(256)]
