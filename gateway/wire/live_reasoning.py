"""Reasoning items of a response that end before their sample ended them."""

from collections.abc import Iterator, Sequence

from gateway.wire.chunks import Json

_PLACE = ("item_id", "output_index", "summary_index", "content_index")
_Texts = dict[tuple[str, int], list[str]]  # the deltas of an item by part


def closing(said: Sequence[Json]) -> list[Json]:
    """The events that end what these have begun: a text, its part, its item."""
    begun: list[Json] = []
    texts: _Texts = {}
    for event in said:
        name, _, step = _type(event).rpartition(".")
        if event.get("item"):
            begun, texts = [], {}
        if step == "added":
            begun.append(event)
        elif step == "delta":
            texts.setdefault(_part(event), []).append(str(event.get("delta") or ""))
            if not begun or not _type(begun[-1]).startswith(name):
                begun.append(event)
        elif step == "done" and any(_type(other).startswith(name) for other in begun):
            while not _type(begun.pop()).startswith(name):
                pass
    return [_ending(event, texts) for event in reversed(begun)]


def finished(said: Sequence[Json]) -> list[Json]:
    """The items that these events have ended."""
    return [event["item"] for event in said if _type(event) == "response.output_item.done"]


def _ending(event: Json, texts: _Texts) -> Json:
    kind = _type(event).rpartition(".")[0] + ".done"
    made = {"type": kind, **{name: event[name] for name in _PLACE if name in event}}
    text = "".join(texts.get(_part(event), ()))
    if event.get("item"):
        return {**made, "item": {**event["item"], **dict(_members(texts)), "status": "incomplete"}}
    part = event.get("part")
    return {**made, "part": {**part, "text": text}} if part else {**made, "text": text}


def _members(texts: _Texts) -> Iterator[tuple[str, list[Json]]]:
    """An item's lists of parts."""
    for member, kind in (("summary", "summary_text"), ("content", "reasoning_text")):
        parts = [texts[part] for part in sorted(texts) if part[0] == member]
        if parts:
            yield member, [{"type": kind, "text": "".join(pieces)} for pieces in parts]


def _part(event: Json) -> tuple[str, int]:
    member = "summary" if "summary_index" in event else "content"
    return member, event.get(f"{member}_index") or 0


def _type(event: Json) -> str:
    return str(event.get("type"))
