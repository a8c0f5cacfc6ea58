"""What any plain answer tells of the tokens that it took."""

import msgspec


class _Usage(msgspec.Struct):
    total_tokens: int | None = None
    prompt_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_DECODER = msgspec.json.Decoder(_Answer)


def usage_of(body: bytes) -> int | None:
    """All tokens, of prompt and answer, in the words of OpenAI's and Anthropic's forms; None if nothing is told."""
    try:
        usage = _DECODER.decode(body).usage
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if usage is None:
        return None
    if usage.total_tokens is not None:
        return usage.total_tokens
    told = [
        each for each in (usage.prompt_tokens, usage.input_tokens, usage.output_tokens) if each is not None
    ]
    return sum(told) if told else None
