"""The lines of the input: OpenAI's batch format, plain request bodies, or plain text."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from gateway.calling.shown import as_text, last_words
from gateway.core.answer.rules import REGEX
from gateway.core.policy_fields import CHOICES, parse_field
from gateway.errors import BadRequest
from gateway.wire.body import Body, parse_body
from gateway.wire.forms.table import BY_PATH

_OF_BATCHES = ("custom_id", "method", "url", "body")
_BY_MEMBER = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/responses"}
# A line of output holds a whole answer: the same one, by the same key.
_STREAMING = ("stream", "stream_options")


class JobsError(ValueError):
    """A file that cannot be asked: the message has its name, the line and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One line. `shown` is the question, for people."""

    custom_id: str
    path: str
    body: bytes
    shown: str

    def id(self, choices: Sequence[tuple[str, str]]) -> str:
        """The name of its answer: another question, or the same one under other choices, has another."""
        asked = json.dumps([self.custom_id, self.path, self.body.decode(), *choices])
        return f"batch_req_{sha256(asked.encode()).hexdigest()[:32]}"


def read_jobs(text: str, name: str, defaults: Mapping[str, Any]) -> tuple[Job, ...]:
    """The lines of a file of this name. Members that a line's body lacks are taken from `defaults`.

    JobsError names the first line that cannot be asked, and how many more there are.
    """
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), 1)
        if line.strip()
    ]
    if not lines:
        raise JobsError(f"{name}: is empty; expected JSON lines, or one prompt a line")
    if lines[0][1].startswith("[") and _is(list, text):
        raise JobsError(f"{name}: is one JSON list; expected a JSON object on each line")
    has_json = lines[0][1].startswith("{")
    jobs: dict[str, Job] = {}
    numbers: dict[str, int] = {}
    wrong = []
    for number, line in lines:
        try:
            job = _job(number, line, defaults) if has_json else _plain(number, line, defaults)
            if job.custom_id in numbers:
                raise ValueError(f"custom_id {job.custom_id!r} is that of line {numbers[job.custom_id]}")  # noqa: TRY301
        except ValueError as error:
            wrong.append(f"{name}:{number}: {error}")
            continue
        jobs[job.custom_id], numbers[job.custom_id] = job, number
    if wrong:
        more = f" (and {len(wrong) - 1} more lines cannot be asked)" if len(wrong) > 1 else ""
        raise JobsError(wrong[0] + more)
    return tuple(jobs.values())


def _plain(number: int, line: str, defaults: Mapping[str, Any]) -> Job:
    if line.startswith("{") and _is(dict, line):
        raise ValueError("a JSON object among lines of plain text; all lines are JSON if the first one is")
    body = json.dumps({"messages": [{"role": "user", "content": line}]})
    return _asked(f"line-{number}", _BY_MEMBER["messages"], _parsed(body, "the line"), defaults)


def _job(number: int, line: str, defaults: Mapping[str, Any]) -> Job:
    given = _parsed(line, "the line")
    if not any(name in given.members for name in _OF_BATCHES):
        return _asked(f"line-{number}", _path_of(given.members), given, defaults)
    members = given.members
    custom_id, method, url = (members.get(name) for name in _OF_BATCHES[:3])
    if not isinstance(custom_id, str) or not custom_id:
        raise ValueError(f"custom_id: expected a text, got {_got(custom_id)}")
    if method != "POST":
        raise ValueError(f"method: expected POST, got {_got(method)}")
    if not isinstance(url, str) or url not in BY_PATH:
        raise ValueError(f"url: expected one that is voted on ({', '.join(BY_PATH)}), got {_got(url)}")
    if not isinstance(members.get("body"), dict):
        raise ValueError(f"body: expected an object, got {_got(members.get('body'))}")  # noqa: TRY004  a line for the user
    text = given.texts["body"].partition(":")[2].strip()
    return _asked(custom_id, url, _parsed(text, "body"), defaults)


def _path_of(members: Mapping[str, Any]) -> str:
    named = [name for name in _BY_MEMBER if name in members]
    if len(named) != 1:
        raise ValueError(f"expected custom_id, method, url and body, or one of {', '.join(_BY_MEMBER)}")
    return _BY_MEMBER[named[0]]


def _asked(custom_id: str, path: str, body: Body, defaults: Mapping[str, Any]) -> Job:
    """The request, as a gateway will take it."""
    added = {name: value for name, value in defaults.items() if name not in body.members}
    members = {**body.members, **added}
    try:
        asking = BY_PATH[path].asks(members)
    except BadRequest as error:
        raise ValueError(error.message) from error
    if not asking.model:
        raise ValueError("model: there is none; --model names one for lines without")
    if asking.unvoted:
        raise ValueError(f"{asking.unvoted}: such a request cannot be voted on")
    _check_choices(members.get("consistency"))
    texts = {name: json.dumps(value) for name, value in added.items() if name not in _STREAMING}
    return Job(custom_id, path, body.forwarded(_STREAMING, texts), _question(path, members))


def _check_choices(member: Any) -> None:
    if member is None:
        return
    if not isinstance(member, dict):
        raise ValueError("consistency must be an object")  # noqa: TRY004  a line for the user
    for name, value in member.items():
        if name not in CHOICES:
            raise ValueError(f"consistency.{name} is not known; known: {', '.join(CHOICES)}")
        if name == "answer" and str(value).startswith(REGEX):
            raise ValueError("consistency.answer: regex answers are for the gateway's configuration only")
        if name != "policy":  # which there are is for the gateway to say
            try:
                parse_field(name, value)
            except ValueError as error:
                raise ValueError(f"consistency.{name}: {error}") from error


def _question(path: str, members: Mapping[str, Any]) -> str:
    """What is asked, for people; ValueError where nothing is."""
    if path.endswith(("chat/completions", "messages")):
        return last_words(members.get("messages"))
    name = "prompt" if path.endswith("completions") else "input"
    if not members.get(name):
        raise ValueError(f"{name}: there is none")
    return as_text(members[name])


def _parsed(text: str, what: str) -> Body:
    """The object; what is wrong with it is said of the line, not of a request's body."""
    try:
        return parse_body(text.encode())
    except BadRequest as error:
        raise ValueError(
            error.message.replace("the body", what).replace(" at line 1, column", " at column")
        ) from error


def _is(kind: type, text: str) -> bool:
    """Whether a text is JSON of this kind."""
    try:
        return isinstance(json.loads(text), kind)
    except (ValueError, RecursionError):
        return False


def _got(value: Any) -> str:
    return "nothing" if value is None else json.dumps(value, ensure_ascii=False)[:80]
