"""The URL of the cache, taken apart: which Redis, or none, and how to get in.

    memory://
    redis[s]://[user:password@]host[:6379][/0]
    redis[s]+sentinel://[user:password@]host[:26379],host/MASTER[/0]
    redis[s]+cluster://[user:password@]host[:6379],host

What is in the query are redis-py's names: `ssl_ca_certs` and the like, `db`, `username`, `password`, and
`sentinel_username` and `sentinel_password` for the sentinels themselves.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

WANTED = (
    "expected memory://, redis://host:6379/0, redis+sentinel://host:26379,host:26379/mymaster/0 "
    "or redis+cluster://host:6379,host:6379 (rediss… for TLS)"
)
_SCHEMES: Mapping[str, tuple[str, bool]] = {
    f"redis{secure}{way and '+' + way}": (way or "single", bool(secure))
    for secure in ("", "s")
    for way in ("", "sentinel", "cluster")
}
_PORTS: Mapping[str, int] = {"single": 6379, "cluster": 6379, "sentinel": 26379}
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:,/\[\]@]+)(?::(\d{1,5}))?")
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_TLS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(_FILES, ()),
    "ssl_cert_reqs": ("none", "optional", "required"),
    "ssl_check_hostname": ("true", "false"),
}
_LOGIN = ("username", "password", "db")
_SENTINEL = ("sentinel_username", "sentinel_password")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheUrl:
    """Where pins are kept. `hosts` are Redis's own, the cluster's first ones or the sentinels."""

    kind: str  # memory | single | sentinel | cluster
    hosts: tuple[tuple[str, int], ...] = ()
    master: str = ""  # the name by which sentinels know it
    db: int = 0
    is_tls: bool = False
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)
    sentinel_login: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    @property
    def tls_files(self) -> tuple[str, ...]:
        """The files that have to be there."""
        return tuple(self.tls[name] for name in _FILES if name in self.tls)


def read_cache_url(url: str) -> CacheUrl:
    """Take a URL apart; ValueError says what is wrong with it, without its secrets."""
    scheme, separator, rest = url.strip().partition("://")
    if scheme == "memory" and not rest:
        return CacheUrl(kind="memory")
    if not separator or scheme not in _SCHEMES:
        raise ValueError(WANTED)
    kind, is_tls = _SCHEMES[scheme]
    try:
        parts = urlsplit(url.strip())
    except ValueError as error:
        raise ValueError(WANTED) from error
    if parts.fragment:
        raise ValueError(f"{WANTED}; a # in a password is written %23")
    return _read(parts, kind, is_tls=is_tls)


def _read(parts: SplitResult, kind: str, *, is_tls: bool) -> CacheUrl:
    options = _options(parts.query, kind, is_tls=is_tls)
    credentials, _, places = parts.netloc.rpartition("@")
    username, _, password = credentials.partition(":")
    master, db = _path(parts.path, kind)
    return CacheUrl(
        kind=kind,
        hosts=_hosts(places, kind),
        master=master,
        db=_database(options["db"], kind) if "db" in options else db,
        is_tls=is_tls,
        username=options.get("username") or unquote(username) or None,
        password=options.get("password") or unquote(password) or None,
        tls=MappingProxyType({name: options[name] for name in _TLS if name in options}),
        sentinel_login=MappingProxyType({
            name.removeprefix("sentinel_"): options[name] for name in _SENTINEL if name in options
        }),
    )  # fmt: skip


def _hosts(places: str, kind: str) -> tuple[tuple[str, int], ...]:
    found = [_HOST.fullmatch(place.strip()) for place in places.split(",")]
    hosts = tuple((match[1].strip("[]"), int(match[2] or _PORTS[kind])) for match in found if match)
    if len(hosts) < len(found) or not all(0 < port < 65536 for _, port in hosts):
        raise ValueError(WANTED)
    if kind == "single" and len(hosts) > 1:
        raise ValueError(f"{WANTED}; several hosts are a cluster's or sentinels'")
    return hosts


def _path(path: str, kind: str) -> tuple[str, int]:
    """The master's name and the database's number."""
    if kind == "sentinel":
        master, _, db = path.removeprefix("/").partition("/")
        if not master:
            raise ValueError(f"{WANTED}; the master's name is missing")
        return unquote(master), _database(db or "0", kind)
    return "", _database(path.removeprefix("/") or "0", kind)


def _database(text: str, kind: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{WANTED}; a database is a number")
    if kind == "cluster" and int(text):
        raise ValueError(f"{WANTED}; a cluster has no database but 0")
    return int(text)


def _options(query: str, kind: str, *, is_tls: bool) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = [*_LOGIN, *(_SENTINEL if kind == "sentinel" else ()), *(_TLS if is_tls else ())]
    for name, value in options.items():
        if name in _TLS and not is_tls:
            raise ValueError(f"{WANTED}; {name} is for rediss… only")
        if name not in known:
            raise ValueError(f"{WANTED}; of options only {', '.join(known)}")
        choices = _TLS.get(name)
        if choices and value.lower() not in choices:
            raise ValueError(f"{WANTED}; {name} is {' or '.join(choices)}")
    return options
