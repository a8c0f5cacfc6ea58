"""SIGHUP with other keys: who may ask changes without a restart."""

import signal
from pathlib import Path

import pytest

from gateway.serving.keyring import digest_of
from tests.doubles.upstream import open_upstream
from tests.running.served import serve

OLD, NEW = {"authorization": "Bearer the old key"}, {"authorization": "Bearer the new key"}


@pytest.mark.processes
async def test_keys_are_read_anew(tmp_path: Path) -> None:
    """A key that was taken out of its file is refused, one that was added is taken, a broken file changes nothing."""
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"- {{name: a, sha256: {digest_of('the old key')}}}")
    async with open_upstream("42") as upstream:
        settings = {"upstreams": [{"url": upstream.url}], "keys_file": str(keys)}
        async with serve(tmp_path, settings) as served:
            assert [401, 200, 401] == [(await served.chat(each)).status for each in (None, OLD, NEW)]
            keys.write_text(f"- {{name: b, sha256: {digest_of('the new key')}}}")
            served.tell(signal.SIGHUP)
            await served.logged("read anew")
            assert [401, 401, 200] == [(await served.chat(each)).status for each in (None, OLD, NEW)]
            keys.write_text("")
            served.tell(signal.SIGHUP)
            await served.logged("expected a list of keys")
            assert [401, 401, 200] == [(await served.chat(each)).status for each in (None, OLD, NEW)]
