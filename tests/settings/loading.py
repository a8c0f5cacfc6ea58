"""Settings from a text, variables and flags, as a process would have them."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from gateway.settings.checked import Loaded, load_with_origins
from gateway.settings.errors import ConfigError
from gateway.settings.model import Settings

URL = {"SCG_UPSTREAM_URL": "http://llm:8000"}

CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUMe8GfRJ8hnxh8QdWa6lPxzmLAuswCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjgwNjU1NTRaGA8yMTI2MTEwNDA2NTU1
NFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABHA7
rE8iDWL2xLcq3S+sSwV8gvQgWY7aGtyAFeOr1pOV8aepH3m4J1/ErSeUzIjzGagK
whM0Zcs+9UwSdFVk7pmjUzBRMB0GA1UdDgQWBBSmi7lfHiTYwT/Xm72XSlOocQPb
NzAfBgNVHSMEGDAWgBSmi7lfHiTYwT/Xm72XSlOocQPbNzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQDck6DjUzKCOq5BoyatlF9ym7ROo3GT/5W8
WE75frjsRQIgX9aRaj9VUhgd9eYps0sKyEKtzrFaOoIvV/OxbLjELJY=
-----END CERTIFICATE-----
"""


def loaded(text: str | None = None, environ: Mapping[str, str] | None = None, **flags: Any) -> Loaded:
    """With where everything came from; the text is in a file named scg.yaml."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "scg.yaml")
        if text is not None:
            file.write_text(text, encoding="utf-8")
        return load_with_origins(flags, environ or {}, None if text is None else file)


def settings(text: str | None = None, environ: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    return loaded(text, environ, **flags).settings


def complaints(text: str | None = None, environ: Mapping[str, str] | None = None, **flags: Any) -> list[str]:
    """The lines that say why there are no settings."""
    with pytest.raises(ConfigError) as caught:
        loaded(text, environ, **flags)
    return str(caught.value).splitlines()
