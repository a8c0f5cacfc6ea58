"""The cache's URL: which Redis it names, and what is said of one that names none."""

from pathlib import Path
from typing import Any

import pytest

from gateway.settings.cache_url import CacheUrl, read_cache_url
from gateway.settings.urls import parse_cache_url
from tests.settings.loading import complaints

LOGIN: Any = {"username": "scg", "password": "p@:/s"}


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("memory://", CacheUrl(kind="memory")),
        ("redis://h", CacheUrl(kind="single", hosts=(("h", 6379),))),
        ("redis://h:1/3", CacheUrl(kind="single", hosts=(("h", 1),), db=3)),
        ("redis://h?db=3", CacheUrl(kind="single", hosts=(("h", 6379),), db=3)),
        ("redis://[::1]:2", CacheUrl(kind="single", hosts=(("::1", 2),))),
        ("redis://scg:p%40%3A%2Fs@h", CacheUrl(kind="single", hosts=(("h", 6379),), **LOGIN)),
        ("redis://h?username=scg&password=p%40%3A%2Fs", CacheUrl(kind="single", hosts=(("h", 6379),), **LOGIN)),
        (
            "rediss://h?ssl_ca_certs=/ca&ssl_check_hostname=False",
            CacheUrl(
                kind="single", hosts=(("h", 6379),), is_tls=True,
                tls={"ssl_ca_certs": "/ca", "ssl_check_hostname": "False"},
            ),
        ),
        ("redis+sentinel://h/m", CacheUrl(kind="sentinel", hosts=(("h", 26379),), master="m")),
        (
            "redis+sentinel://:p%40%3A%2Fs@a:1,b,[::1]:3/my-master/2?sentinel_password=x",
            CacheUrl(
                kind="sentinel", hosts=(("a", 1), ("b", 26379), ("::1", 3)), master="my-master", db=2,
                password="p@:/s", sentinel_login={"password": "x"},
            ),
        ),
        ("rediss+sentinel://h/m/0", CacheUrl(kind="sentinel", hosts=(("h", 26379),), master="m", is_tls=True)),
        ("redis+cluster://a,b:7/", CacheUrl(kind="cluster", hosts=(("a", 6379), ("b", 7)))),
        ("rediss+cluster://a/0", CacheUrl(kind="cluster", hosts=(("a", 6379),), is_tls=True)),
    ],
)  # fmt: skip
def test_taken(url: str, read: CacheUrl) -> None:
    """Every way to Redis, with its hosts, ports, login, database and options, as users of redis-py write them."""
    assert read == read_cache_url(url)
    assert read == read_cache_url(parse_cache_url(url))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("redis://a,b", "several hosts are a cluster's or sentinels', got 'redis://a,b'"),
        ("redis://h/x", "a database is a number, got 'redis://h/x'"),
        ("redis://h:0", "got 'redis://h:0'"),
        ("redis://h:65536", "got 'redis://h:65536'"),
        ("redis+sentinel://h:1", "the master's name is missing, got 'redis+sentinel://h:1'"),
        ("redis+sentinel://h/m/x", "a database is a number, got"),
        ("redis+sentinel://h,,i/m", "got"),
        ("redis+cluster://h/1", "a cluster has no database but 0, got 'redis+cluster://h/1'"),
        ("redis+clutser://h", "got 'redis+clutser://h'"),
        ("redis://h?socket_timeout=5", "of options only username, password, db, got"),
        ("redis://h?ssl_cert_reqs=none", "ssl_cert_reqs is for rediss… only, got"),
        ("rediss://h?ssl_cert_reqs=maybe", "ssl_cert_reqs is none or optional or required, got"),
        ("redis://h#x", "a # in a password is written %23, got"),
    ],
)
def test_refused(url: str, why: str) -> None:
    """The line says what would do, what is wrong, and the value."""
    (told,) = complaints(f"cache: {{url: '{url}'}}", {"SCG_UPSTREAM_URL": "http://a"})
    assert told.startswith("config: cache.url: expected memory://, redis://host:6379/0, ")
    assert why in told


def test_a_ca_file_needs_tls(tmp_path: Path) -> None:
    """Certificates for a connection without TLS are a mistake."""
    (tmp_path / "ca").write_text("x")
    (told,) = complaints(
        f"cache: {{url: 'redis://h', ca_file: {tmp_path / 'ca'}}}", {"SCG_UPSTREAM_URL": "http://a"}
    )
    assert told.startswith("config: cache.ca_file: is for rediss:// only")


def test_no_secret_is_shown() -> None:
    """The login, the sentinels' and the TLS options are in no repr."""
    url = read_cache_url("rediss+sentinel://scg:hunter2@h/m?sentinel_password=hunter2")
    assert "hunter2" not in repr(url)
