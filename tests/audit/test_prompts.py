"""Prompts from files: what is taken, and what is said of the rest."""

import json
from typing import Any

import pytest

from gateway.audit.prompts import BUILT_IN, PromptsError, as_completion, built_in, plain_prompt, read_prompts
from gateway.upstream.engines import CHAT, COMPLETIONS


def test_plain_lines() -> None:
    """One prompt a line; blank ones do not count."""
    prompts, notices = read_prompts("first\n\n  second  \n", "f.txt")
    assert ["first", "second"] == [prompt.shown for prompt in prompts]
    assert {CHAT} == {prompt.path for prompt in prompts}
    assert [{"role": "user", "content": "first"}] == json.loads(dict(prompts[0].members)["messages"])
    assert [] == notices


def test_json_lines() -> None:
    """Messages are chats, a prompt is a completion; further members go with them."""
    lines: list[dict[str, Any]] = [
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "é"}], "max_tokens": 5},
        {"prompt": "once", "stop": ["\n"]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "t"}]}]},
    ]
    prompts, _ = read_prompts("\n".join(map(json.dumps, lines)), "f.jsonl")
    assert [CHAT, COMPLETIONS, CHAT] == [prompt.path for prompt in prompts]
    assert ["é", "once", '[{"type": "text", "text": "t"}]'] == [prompt.shown for prompt in prompts]
    assert [(name, json.loads(text)) for name, text in prompts[1].members] == list(lines[1].items())


def test_a_repeated_prompt_is_left_out() -> None:
    """A prompt that comes twice would pretend to be two cases."""
    prompts, notices = read_prompts("a\nb\na\n", "f.txt")
    assert 2 == len(prompts)
    assert ["f.txt:3: repeats line 1, left out: the prompt is what is counted"] == notices


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f: no prompt in it"),
        ("\n \n", "f: no prompt in it"),
        ('{"prompt": "a"}\n{"prompt": 1}', "f:2: prompt must be a text"),
        ('{"prompt": "a"}\n\nplain', "f:3: no JSON object"),
        ('{"prompt": "a"}\n[1]', "f:2: expected a JSON object with messages or prompt"),
        ('{"question": "a"}', "f:1: expected either messages or prompt"),
        ('{"prompt": "a", "messages": []}', "f:1: expected either messages or prompt"),
        ('{"messages": []}', "f:1: messages must be a list with at least one message"),
        ('{"messages": "hi"}', "f:1: messages must be a list"),
        ('{"messages": [{"content": "x"}]}', "f:1: messages[0] must be an object with role and content"),
        ('{"messages": ["x"]}', "f:1: messages[0] must be an object with role and content"),
        ('{"prompt": "a", "model": "b"}', "f:1: model is not a prompt's to set"),
        ('{"prompt": "a", "n": 2}', "f:1: n is not a prompt's to set"),
        ('{"prompt": "a", "temperature": "hot"}', "f:1: temperature must be a number"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text: str, said: str) -> None:
    """File, line, and what was expected."""
    with pytest.raises(PromptsError) as caught:
        read_prompts(text, "f")
    assert str(caught.value).startswith(said)


def test_built_in_prompts_are_different() -> None:
    """The unit is the prompt: each is there once, and a few are of several kinds."""
    assert BUILT_IN == len(set(built_in(1000)))
    assert 4 == len({prompt.shown for prompt in built_in(4)})


def test_a_chat_as_a_completion() -> None:
    """The text goes where there is no chat template; further members go with it."""
    prompt = as_completion(plain_prompt("hello"))
    assert COMPLETIONS == prompt.path
    assert (("prompt", '"hello"'),) == prompt.members


def test_long_prompts_are_shown_in_part() -> None:
    """Reports show the beginning; what is sent is whole."""
    prompt = plain_prompt("x" * 1000)
    assert 200 == len(prompt.shown)
    assert "x" * 1000 in dict(prompt.members)["messages"]
