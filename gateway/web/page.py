"""The page as one document, with nothing to load from anywhere, and the policy that holds a browser to that."""

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

# In this order: each uses what stands before it.
_SCRIPTS = ("events.js", "texts.js", "vote.js", "standing.js", "page.js")


@dataclass(frozen=True, slots=True)
class Document:
    """HTML, and its Content-Security-Policy (W3C CSP Level 3)."""

    html: bytes
    policy: str


@cache
def load_page() -> Document:
    """The page, with its style and script inside. It reads files, at the first visit and not at start-up.

    Its policy: nothing but this style and this script, talking to this gateway.
    """
    style, script = _read("page.css"), "".join(map(_read, _SCRIPTS))
    html = _read("page.html").replace("/*style*/", style).replace("/*script*/", script)
    policy = (
        f"default-src 'none'; connect-src 'self'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return Document(html.encode(), policy)


def _read(name: str) -> str:
    return files("gateway.web").joinpath(name).read_text(encoding="utf-8")


def _digest(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode()}'"
