"""Tool calls by what they would do."""

from collections.abc import Sequence
from json.encoder import encode_basestring

from gateway.core.answer.json_value import NotJson, encode, parse

# No text and no JSON value begins so: a call is never mistaken for an answer that spells it out.
MARK = "\0calls"


def canonical_calls(calls: Sequence[tuple[str, str]]) -> str | None:
    """Names and arguments in their order, arguments by value; None if nothing is called.

    The arguments of a function are one JSON object. Whatever else stands there is compared as it is: the
    free text of a custom tool, and arguments that cannot be parsed and so should equal nothing but copies.
    """
    if not calls:
        return None
    called = (
        f'{{"arguments":{_arguments(arguments)},"name":{encode_basestring(name)}}}'
        for name, arguments in calls
    )
    return f"{MARK}[{','.join(called)}]"


def _arguments(text: str) -> str:
    try:
        value = parse(text)
        return encode(value) if isinstance(value, dict) else encode_basestring(text)
    except NotJson:
        return encode_basestring(text)
