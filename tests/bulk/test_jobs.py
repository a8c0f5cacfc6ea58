"""Lines of the input: what is taken, what is sent, and what is said of what is not."""

import json
from typing import Any

import pytest

from gateway.bulk.jobs import JobsError, read_jobs

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def batch(**changes: Any) -> str:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}
    return json.dumps({name: value for name, value in (line | changes).items() if value is not ...})


@pytest.mark.parametrize(
    ("text", "custom_id", "path", "shown"),
    [
        (batch(), "a", "/v1/chat/completions", "hello"),
        (batch(url="/v1/messages", custom_id="b"), "b", "/v1/messages", "hello"),
        (batch(metadata={"x": 1}), "a", "/v1/chat/completions", "hello"),
        (json.dumps(CHAT), "line-1", "/v1/chat/completions", "hello"),
        ("\n" + json.dumps({"model": "m", "prompt": "p"}), "line-2", "/v1/completions", "p"),
        (json.dumps({"model": "m", "prompt": [1, 2]}), "line-1", "/v1/completions", "[1, 2]"),
        (json.dumps({"model": "m", "input": "i"}) + "\r\n", "line-1", "/v1/responses", "i"),
        ("\ufeffWhat is\u2028it?", "line-1", "/v1/chat/completions", "What is\u2028it?"),
    ],
)
def test_lines_of_every_kind(text: str, custom_id: str, path: str, shown: str) -> None:
    """The batch format, bodies of each endpoint, plain text; byte order marks and odd line ends are no part of it."""
    (job,) = read_jobs(text, "f", {"model": "m"})
    assert (custom_id, path, shown) == (job.custom_id, job.path, job.shown)


def test_a_body_is_sent_as_it_is_written() -> None:
    """Numbers, escapes and unknown members stay; a stream is asked for whole; what is lacking comes from defaults."""
    body = '{"prompt": "\\u00e9", "x": 1.50, "stream": true}'
    line = batch(url="/v1/completions", body=...).removesuffix("}") + f', "body": {body}}}'
    (job,) = read_jobs(line, "f", {"model": "m", "x": 2, "temperature": 0})
    assert rb'{"prompt": "\u00e9","x": 1.50,"model":"m","temperature":0}' == job.body


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f: is empty; expected JSON lines, or one prompt a line"),
        ("{", "f:1: the line is not JSON: Expecting value at column 2"),
        ('{"model": "m", "model": "n"}', "f:1: duplicate member 'model'"),
        ("{}", "f:1: expected custom_id, method, url and body, or one of messages, prompt, input"),
        (batch(custom_id=...), "f:1: custom_id: expected a text, got nothing"),
        (batch(custom_id=7), "f:1: custom_id: expected a text, got 7"),
        (batch(method="GET"), 'f:1: method: expected POST, got "GET"'),
        (batch(url=["x"]), "f:1: url: expected one that is voted on (/v1/chat/completions, /v1/completions, "),
        (batch(url="/v1/embeddings"), 'got "/v1/embeddings"'),
        (batch(body="x"), 'f:1: body: expected an object, got "x"'),
        (batch(body=CHAT | {"messages": []}), "f:1: messages must be a list with at least one message"),
        (batch(body=CHAT | {"n": 2}), "f:1: n: such a request cannot be voted on"),
        (batch(body=CHAT | {"temperature": "0"}), "f:1: temperature must be a number"),
        (batch(body=CHAT | {"model": ""}), "f:1: model: there is none; --model names one for lines without"),
        (batch(body=CHAT | {"consistency": []}), "f:1: consistency must be an object"),
        (batch(body=CHAT | {"consistency": {"kk": 1}}), "f:1: consistency.kk is not known; known: policy, k, "),
        (batch(body=CHAT | {"consistency": {"k": 0}}), "f:1: consistency.k: expected a whole number of at least 1"),
        (batch(body=CHAT | {"consistency": {"answer": "regex:a"}}), "for the gateway's configuration only"),
        (batch(url="/v1/completions", body={"model": "m"}), "f:1: prompt: there is none"),
        (batch(url="/v1/responses", body={"model": "m", "input": ""}), "f:1: input: there is none"),
        (f"{batch()}\n\n{batch()}", "f:3: custom_id 'a' is that of line 1"),
        (f"{batch()}\nplain", "f:2: the line is not JSON: Expecting value at column 1"),
        ('{"model": "m", "prompt": "p"}\n{"prompt": "p"}', "f:2: model: there is none"),
        ("{\n{\n{", "f:1: the line is not JSON: Expecting value at column 2 (and 2 more lines cannot be asked)"),
        ("[\n{},\n{}]", "f: is one JSON list; expected a JSON object on each line"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(text: str, said: str) -> None:
    """File, line and what is wrong, in one line."""
    with pytest.raises(JobsError) as error:
        read_jobs(text, "f", {})
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_json_among_plain_text() -> None:
    """Nobody means to ask a model a line of JSON that their own program wrote."""
    with pytest.raises(JobsError, match=r"f:2: a JSON object among lines of plain text"):
        read_jobs(f"plain\n{batch()}", "f", {"model": "m"})
    assert "{x} is what?" == read_jobs("plain\n{x} is what?", "f", {"model": "m"})[1].shown


def test_deep_nesting() -> None:
    """What no parser takes is a line for the user as JSON, and plain text like any other."""
    with pytest.raises(JobsError, match="f:1: the line is nested too deeply"):
        read_jobs('{"a":' * 100_000, "f", {})
    deep = "[" * 100_000
    assert deep == read_jobs(deep, "f", {"model": "m"})[0].shown


def test_the_name_of_an_answer() -> None:
    """It is that of the question and of the choices: another body, endpoint or policy has another."""
    texts = [batch(), batch(custom_id="b"), batch(body=CHAT | {"seed": 1}), batch(url="/v1/messages")]
    names = {read_jobs(text, "f", {})[0].id(()) for text in texts}
    job = read_jobs(batch(metadata=1), "f", {})[0]
    assert job.id(()) in names
    assert 4 == len(names | {job.id(())})
    assert job.id((("x-consistency-k", "5"),)) not in names
