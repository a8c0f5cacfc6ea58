"""Answers of the later two forms, plain and as streams."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from gateway.wire.forms.form import Form
from gateway.wire.forms.messages import MESSAGES
from gateway.wire.forms.responses import RESPONSES
from gateway.wire.live import LiveForm
from gateway.wire.live_messages import MESSAGES_LIVE
from gateway.wire.live_responses import RESPONSES_LIVE
from gateway.wire.sse import Event, EventDecoder, encode_comment, encode_event
from tests.doubles import shapes
from tests.wire.samples import FACE, cut, places, texts

Json = dict[str, Any]
LIVE: list[tuple[Form, LiveForm]] = [(RESPONSES, RESPONSES_LIVE), (MESSAGES, MESSAGES_LIVE)]


@dataclass(frozen=True)
class Answer:
    """One answer, whatever its form: reasoning, texts, calls, then reasoning again."""

    name: int
    thoughts: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    late: tuple[str, ...] = ()
    refusal: str = ""
    is_cut: bool = False

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def plain(self, form: Form) -> bytes:
        """The whole answer."""
        return json.dumps(self._message() if form is MESSAGES else self._response()).encode()

    def stream(
        self, form: Form, at: Sequence[int] = (1, 3), *, noisy: bool = False, end: bytes = b"\n"
    ) -> bytes:
        """Its events, the deltas cut at these places; noisy with comments and pings between them."""
        events = form.events(self.plain(form), streamed=False)
        made = [
            encode_event(event.data, event.type)
            for number, event in enumerate(
                _finely(EventDecoder().feed(b"".join([*events.frames, events.end])), at)
            )
        ]
        noise = encode_comment("keep-alive") + encode_event(b'{"type":"ping"}', b"ping") if noisy else b""
        return (noise + noise.join(made)).replace(b"\n", end)

    def _response(self) -> Json:
        parts: list[Json] = [{"type": "output_text", "text": text, "annotations": []} for text in self.texts]
        parts += [{"type": "refusal", "refusal": self.refusal}] if self.refusal else []
        output = [self._reasoning(f"rs_{self.name}_{at}", text) for at, text in enumerate(self.thoughts)]
        message = {"type": "message", "id": f"item_{self.name}", "role": "assistant", "status": "completed"}
        output += [{**message, "content": parts}] if parts else []
        for at, name in enumerate(self.calls):
            call = {
                "type": "function_call",
                "id": f"fc_{self.name}_{at}",
                "call_id": f"c_{at}",
                "arguments": '{"a": 1}',
            }
            output.append({**call, "name": name, "status": "completed"})
        output += [self._reasoning(f"late_{self.name}_{at}", text) for at, text in enumerate(self.late)]
        usage = {"input_tokens": 5, "output_tokens": self.name, "total_tokens": 5 + self.name,
                 "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                 "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip
        ending: Json = (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
            if self.is_cut
            else {}
        )
        return shapes.response("", self.name, output=output, usage=usage, **ending)

    def _reasoning(self, name: str, text: str) -> Json:
        """Of one kind or the other, in one part or two."""
        kind = ("content", "reasoning_text") if len(text) % 2 else ("summary", "summary_text")
        parts = [{"type": kind[1], "text": piece} for piece in (text[:2], text[2:]) if piece]
        return {"type": "reasoning", "id": name, "summary": [], "content": None, kind[0]: parts}

    def _message(self) -> Json:
        def thinking(text: str) -> Json:
            if not text:
                return {"type": "redacted_thinking", "data": "x"}
            return {"type": "thinking", "thinking": text, "signature": f"signed-{self.name}"}

        content = [*map(thinking, self.thoughts), *({"type": "text", "text": text} for text in self.texts)]
        content += [
            {"type": "tool_use", "id": f"t_{self.name}_{at}", "name": name, "input": {"a": 1}}
            for at, name in enumerate(self.calls)
        ]
        content += map(thinking, self.late)
        reason = "max_tokens" if self.is_cut else "tool_use" if self.calls else "end_turn"
        usage = {"input_tokens": 5, "output_tokens": self.name}
        return shapes.message(
            "", self.name, content=content, stop_reason=reason, stop_sequence=None, usage=usage
        )


def _finely(events: Sequence[Event], at: Sequence[int]) -> list[Event]:
    """The same events, each with a delta as several, numbered anew where they have numbers."""
    made = []
    for event in events:
        parsed = json.loads(event.data)
        delta = parsed.get("delta")
        name = next(
            (
                name
                for name in ("text", "thinking", "partial_json")
                if isinstance(delta, dict) and name in delta
            ),
            None,
        )
        text = delta[name] if isinstance(delta, dict) and name else delta
        pieces = cut(text, at) if isinstance(text, str) else []
        more = [{**parsed, "delta": {**delta, name: piece} if name else piece} for piece in pieces]
        made += more or [parsed]
    for number, parsed in enumerate(made):
        if "sequence_number" in parsed:
            parsed["sequence_number"] = number
    return [
        Event(json.dumps(parsed, ensure_ascii=False).encode(), parsed["type"].encode()) for parsed in made
    ]


@st.composite
def answers(draw: st.DrawFn, *, most: int = 4) -> list[Answer]:
    """Some answers to one question: the same or with the same beginning more often than not."""
    stem, thought = draw(texts), draw(texts)
    return [_answer(draw, index, stem, thought) for index in range(1, draw(st.integers(1, most)) + 1)]


def _answer(draw: st.DrawFn, index: int, stem: str, thought: str) -> Answer:
    text = draw(st.just(stem) | texts.map(lambda more: stem + more) | texts)
    thoughts = draw(st.sampled_from([(), (thought,), (thought, thought + FACE), (FACE,)]))
    made = Answer(index, thoughts, tuple(cut(text, draw(st.just([]) | places))))
    return replace(
        made,
        calls=draw(st.sampled_from([(), (), ("f",), ("f", "g")])),
        late=draw(st.sampled_from([(), (), ("So",)])),
        refusal=draw(st.sampled_from(["", "", "nope"])),
        is_cut=draw(st.booleans()),
    )
