"""Answers as streams, in every way that an upstream may send them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from hypothesis import strategies as st

from gateway.wire.live_reader import REASONING
from gateway.wire.sse import DONE, encode_comment, encode_event

Json = dict[str, Any]
FACE = "\U0001f600"


@dataclass(frozen=True)
class Script:
    """One answer: its parts in the pieces in which they come."""

    name: str
    content: tuple[str, ...] = ()
    reasoning: tuple[str, ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    refusal: tuple[str, ...] = ()
    finish: str = "stop"
    is_chat: bool = True
    extra: tuple[tuple[str, Any], ...] = ()  # members of the last choice
    reasoned_in: str = "reasoning"  # the member: LMDeploy, SGLang and older vLLM say reasoning_content

    @property
    def text(self) -> str:
        return join("".join(self.content))

    def chunks(self) -> list[Json]:
        """The chunks, with usage at the end."""
        head = self.head()
        made = [{**head, "choices": [choice]} for choice in (self._chat() if self.is_chat else self._plain())]
        return [*made, {**head, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": len(made)}}]

    def head(self) -> Json:
        kind = "chat.completion.chunk" if self.is_chat else "text_completion"
        return {"id": self.name, "object": kind, "created": len(self.name), "model": "m", "new": None}

    def _chat(self) -> list[Json]:
        deltas: list[Json] = [{"role": "assistant", "content": ""}]
        deltas += [{self.reasoned_in: piece} for piece in self.reasoning]
        deltas += [{"content": piece} for piece in self.content]
        deltas += [{"refusal": piece} for piece in self.refusal]
        for index, (name, arguments) in enumerate(self.calls):
            call = {"index": index, "id": f"{self.name}-{index}", "type": "function"}
            deltas += [{"tool_calls": [{**call, "function": {"name": name, "arguments": ""}}]}]
            deltas += [{"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}]
        return [self._choice(delta=delta) for delta in deltas] + [self._end(delta={})]

    def _plain(self) -> list[Json]:
        return [self._choice(text=piece) for piece in self.content] + [self._end(text="")]

    def _choice(self, **said: Any) -> Json:
        return {"index": 0, **said, "logprobs": None, "finish_reason": None}

    def _end(self, **said: Any) -> Json:
        return {"index": 0, **said, "finish_reason": self.finish, **dict(self.extra)}

    def body(self, *, noisy: bool = False, end: bytes = b"\n") -> bytes:
        """The whole stream; noisy with comments between its events."""
        events = [
            encode_event(data) for data in [*(json.dumps(chunk).encode() for chunk in self.chunks()), DONE]
        ]
        noise = encode_comment("keep-alive") if noisy else b""
        return (noise + noise.join(events)).replace(b"\n", end)


def join(text: str) -> str:
    """Halves of pairs joined."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16")


def halves(text: str) -> str:
    """The same text as UTF-16 has it, each unit a character of its own."""
    units = text.encode("utf-16-le", "surrogatepass")
    return "".join(chr(int.from_bytes(units[at : at + 2], "little")) for at in range(0, len(units), 2))


def cut(whole: Any, places: Sequence[int]) -> list[Any]:
    """A text or bytes in pieces, none of them empty."""
    bounds = sorted({0, len(whole), *(place % (len(whole) + 1) for place in places)})
    return [whole[start:end] for start, end in pairwise(bounds)]


places = st.lists(st.integers(0, 1000), max_size=5)
letters = st.sampled_from(["a", "b", "ž", "漢", FACE, "\n"])
texts = st.lists(letters, max_size=6).map("".join)


@st.composite
def scripts(draw: st.DrawFn, *, most: int = 4, is_chat: bool = True) -> list[Script]:
    """Some answers to one question: the same or with the same beginning more often than not."""
    stem, reasoning = draw(texts), draw(texts)
    count = draw(st.integers(1, most))
    return [_script(draw, f"answer-{index}", stem, reasoning, is_chat=is_chat) for index in range(count)]


def _script(draw: st.DrawFn, name: str, stem: str, reasoning: str, *, is_chat: bool) -> Script:
    text = draw(st.just(stem) | texts.map(lambda more: stem + more) | texts)
    made = Script(
        name,
        tuple(cut(halves(text), draw(places))),
        is_chat=is_chat,
        finish=draw(st.sampled_from(["stop", "length"])),
    )
    if not is_chat:
        return made
    reasoned = draw(st.just(reasoning) | texts | st.just(""))
    return replace(
        made,
        reasoning=tuple(cut(reasoned, draw(places))),
        reasoned_in=draw(st.sampled_from(sorted(REASONING))),
        calls=draw(st.sampled_from([(), (), (("f", "{}"),), (("f", "{}"), ("g", '{"a":"ž"}'))])),
        refusal=draw(st.sampled_from([(), (), ("no", "pe")])),
        extra=draw(st.sampled_from([(), (("stop_reason", 7),)])),
    )
