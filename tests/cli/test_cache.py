"""`scg cache`, against a server that answers as a gateway would."""

import json
from asyncio import to_thread

import pytest

from gateway.__main__ import main
from tests.cli.commands import http_server
from tests.doubles.gateway import open_gateway
from tests.doubles.upstream import open_upstream

KEY = "ab" * 32
PIN = json.dumps({"key": KEY, "body": "ünïcode"}, ensure_ascii=False)
REFUSAL = json.dumps({"error": {"message": "not from here", "code": "forbidden"}})


@pytest.mark.parametrize(
    ("words", "request_line", "answer", "printed"),
    [
        (["stats"], "GET /v1/consistency/summary", '{"in_flight": 1}', {"in_flight": 1}),
        (["get", KEY], f"GET /v1/consistency/cache/{KEY}", PIN, json.loads(PIN)),
        (["delete", KEY], f"DELETE /v1/consistency/cache/{KEY}", '{"deleted": true}', {"deleted": True}),
        (["delete", KEY], f"DELETE /v1/consistency/cache/{KEY}", "", {"deleted": KEY}),
        (["get", "a/b?c"], "GET /v1/consistency/cache/a%2Fb%3Fc", "{}", {}),
    ],
)
def test_asks_and_prints_json(
    words: list[str], request_line: str, answer: str, printed: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each action is one request to the admin endpoints; the answer is printed as JSON."""
    with http_server({request_line: (200, answer)}) as (url, seen):
        assert main(["cache", *words, "--url", f"{url}/v1/"]) == 0
    assert [request_line] == seen
    assert printed == json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("action", ["get", "delete"])
async def test_no_such_key_is_exit_code_1(action: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What a script wants to tell from all else: the gateway was asked, and nothing is pinned there."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert 1 == await to_thread(main, ["cache", action, KEY, "--url", client.url])
    assert capsys.readouterr().err == f"scg cache: nothing is pinned under {KEY}\n"


async def test_what_is_no_key_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """A key that none can be is bad usage, in the gateway's words."""
    async with open_upstream() as upstream, open_gateway(upstream) as client:
        assert 2 == await to_thread(main, ["cache", "get", "team-a", "--url", client.url])
    said = "the gateway refuses: a key is 64 hex digits, as in x-consistency-key (400)"
    assert capsys.readouterr().err == f"scg cache: {said}\n"


@pytest.mark.parametrize(
    ("words", "status", "body", "said"),
    [
        (["get", KEY], 404, "<html>", "the gateway refuses: Not Found (404)"),
        (["delete", KEY], 404, '{"detail": "Not Found"}', "the gateway refuses: Not Found (404)"),
        (["get", KEY], 404, '{"error": []}', "the gateway refuses: Not Found (404)"),
        (["get", KEY], 403, REFUSAL, "the gateway refuses: not from here (403)"),
        (["stats"], 401, REFUSAL, "not from here (401); SCG_ADMIN_KEY is to hold a key with `admin: true`"),
        (["stats"], 404, "<html>", "the gateway refuses: Not Found (404)"),
        (["stats"], 500, "[]", "the gateway refuses: Internal Server Error (500)"),
        (["stats"], 200, "<html>", "does not answer like a gateway"),
    ],
)
def test_refusals_are_exit_code_2_and_one_line(
    words: list[str], status: int, body: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the gateway refuses is told in its own words where it has some."""
    paths = (
        f"GET /v1/consistency/cache/{KEY}",
        f"DELETE /v1/consistency/cache/{KEY}",
        "GET /v1/consistency/summary",
    )
    with http_server(dict.fromkeys(paths, (status, body))) as (url, _):
        assert main(["cache", *words, "--url", url]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    (line,) = told.err.splitlines()
    assert line.startswith("scg cache: ")
    assert said in line


def test_no_gateway_there(capsys: pytest.CaptureFixture[str]) -> None:
    """A gateway that does not run is named with the reason."""
    with http_server({}) as (url, _):
        pass
    assert main(["cache", "stats", "--url", url]) == 2
    assert capsys.readouterr().err == f"scg cache: cannot reach {url}: Connection refused\n"


def test_proxies_are_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The admin endpoints answer the loopback only; a proxy between would be refused."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with http_server({"GET /v1/consistency/summary": (200, "{}")}) as (url, _):
        assert main(["cache", "stats", "--url", url]) == 0
    assert capsys.readouterr().out == "{}\n"


@pytest.mark.parametrize("host", [None, "127.0.0.1", "0.0.0.0"])
def test_the_variables_of_serve_say_where(host: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without --url the gateway is where `scg serve` would listen with the same variables."""
    with http_server({"GET /v1/consistency/summary": (200, "{}")}) as (url, seen):
        monkeypatch.setenv("SCG_PORT", url.rpartition(":")[2])
        if host:
            monkeypatch.setenv("SCG_HOST", host)
        assert main(["cache", "stats"]) == 0
    assert ["GET /v1/consistency/summary"] == seen


@pytest.mark.parametrize("port", [None, "", "tcp://10.0.0.1:80"])
def test_what_is_no_port_is_passed_over(
    port: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Kubernetes sets SCG_PORT for a service of that name; then the gateway is at its usual port."""
    if port is not None:
        monkeypatch.setenv("SCG_PORT", port)
    assert main(["cache", "stats", "--help"]) == 0
    assert "http://127.0.0.1:8080)" in " ".join(capsys.readouterr().out.split())


def test_shows_its_key(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A gateway with keys is asked with the one in SCG_ADMIN_KEY, which no other command takes for a setting."""
    asked = "GET /v1/consistency/summary"
    with http_server({asked: (200, "{}")}, {"authorization": "Bearer of-an-operator"}) as (url, seen):
        assert main(["cache", "stats", "--url", url]) == 2
        monkeypatch.setenv("SCG_ADMIN_KEY", "of-an-operator")
        assert main(["cache", "stats", "--url", url]) == 0
        assert [asked, asked] == seen
    monkeypatch.setenv("SCG_UPSTREAM_URL", "http://llm:8000")
    assert main(["config", "check"]) == 0
    assert "of-an-operator" not in capsys.readouterr().out
