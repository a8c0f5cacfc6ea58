"""Which targets go through to an upstream, and which of them only for an operator.

The upstream's host is never the client's to choose; what is left to it is the path, which servers read in different
ways. So one that any of them could read as another path than we do is refused rather than mended.
"""

from urllib.parse import unquote

from gateway.errors import BadRequest

# What asks a server something or tells it something. Not TRACE, which says to the client what was sent upstream, the
# upstream's own key included, and nothing that caches alone understand.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# What changes a server rather than asks it something.
_ADMIN = frozenset({"load_lora_adapter", "unload_lora_adapter"})
_UP = frozenset({".", ".."})


def require_plain(path: str) -> None:
    """BadRequest for a decoded path that goes up the tree, also if it is decoded once more, or has no plain letters."""
    if "\\" in path or not path.isprintable():
        raise BadRequest("the path has a backslash or a control character in it")
    if not (_UP.isdisjoint(_parts(path)) and _UP.isdisjoint(_parts(unquote(path)))):
        raise BadRequest("the path goes up the tree")


def is_for_admin(path: str) -> bool:
    """Whether a decoded path changes the server, however it is spelt."""
    return not _ADMIN.isdisjoint(_parts(unquote(path).lower()))


def _parts(path: str) -> list[str]:
    """The names between slashes, without the parameters that some servers allow behind a semicolon."""
    return [part.partition(";")[0] for part in path.split("/")]
