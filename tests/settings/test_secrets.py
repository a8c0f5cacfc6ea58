"""A secret is in the settings, and nowhere else: not in repr, not in `config show`, not in an error."""

import traceback
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as run_with
from hypothesis import strategies as st

from gateway.settings.errors import ConfigError
from gateway.settings.show import show
from gateway.settings.spelling import MASK, mask_url
from tests.settings.loading import URL, loaded

SECRET = "hunter2hunter2"


def test_secrets_arrive_and_stay_inside(tmp_path: Path) -> None:
    """Keys from YAML, files and variables reach the settings; repr and `config show` have none of them."""
    (tmp_path / "key").write_text(f"{SECRET}-file\n")
    text = f"""
upstreams:
  - {{url: http://a, api_key: {SECRET}-yaml, headers: {{authorization: Bearer {SECRET}}}}}
  - {{url: http://b, api_key_file: {tmp_path / "key"}}}
  - {{url: http://c}}
cache: {{url: 'redis://user:{SECRET}@redis:6379/0?password={SECRET}'}}
"""
    made = loaded(text, {"SCG_UPSTREAMS__2__API_KEY": f"{SECRET}-variable"})
    keys = [f"{SECRET}-yaml", f"{SECRET}-file", f"{SECRET}-variable"]
    assert keys == [upstream.api_key for upstream in made.settings.upstreams]
    assert SECRET in made.settings.cache.url
    shown = show(made.settings, made.origins)
    assert SECRET not in repr(made.settings) + shown
    assert shown.count(f"api_key: '{MASK}'") == 3
    assert f"redis://{MASK}@redis:6379/0?{MASK}" in shown


@pytest.mark.parametrize(
    ("text", "environ"),
    [
        (f"upstreams: [{{url: http://a, api_key: [{SECRET}]}}]", {}),
        (f"upstreams: [{{url: http://a, api_key: '{SECRET}\n\n{SECRET}'}}]", {}),
        (f"upstreams: [{{url: http://a, api_key: é{SECRET}}}]", {}),
        (f"upstreams: [{{url: 'http://user:{SECRET}@a'}}]", {}),
        (f"upstreams: [{{url: 'http://a?key={SECRET}'}}]", {}),
        (f"upstreams: [{{url: http://a, headers: {{authorization: [{SECRET}]}}}}]", {}),
        (f"upstreams: [{{url: http://a, headers: {{authorization: é{SECRET}}}}}]", {}),
        (f"upstreams: {{url: http://a, api_key: {SECRET}}}", {}),
        (f"upstreams: [{{api_key: {SECRET}}}]", {}),
        (f"upstreams: [{{url: http://a, api_kye: {SECRET}}}]", {}),
        (f"upstreams: [{{url: http://a, api_key: {SECRET}, api_key_file: /dev/null}}]", {}),
        (f"cache: {{url: 'http://:{SECRET}@redis'}}", URL),
        (f"cache: {{url: 'redis://:{SECRET}'}}", URL),
        (f"cache: {{url: 'redis+sentinel://:{SECRET}@h,i'}}", URL),
        (f"cache: {{url: 'redis+cluster://:{SECRET}@h,i:x'}}", URL),
        (f"cache: {{url: 'redis+cluster://:{SECRET}@h,i/1'}}", URL),
        (f"cache: {{url: 'redis://h?pasword={SECRET}'}}", URL),
        (f"cache: {{url: 'rediss://:{SECRET}@h', ca_file: /nowhere}}", URL),
        (f"cache: {{url: ':{SECRET}@redis'}}", URL),
        (f"cache: {{url: 'redis://:p@ss/{SECRET}@redis/x'}}", URL),
        (f"keys: [{{name: a, sha256: {SECRET}}}]", URL),
        (f"keys: [{SECRET}]", URL),
        (f"api_key: '{SECRET}", URL),
        (f"api_key: *{SECRET}", URL),
        (f"api_key: !{SECRET} x", URL),
        ("port: 1", {"SCG_UPSTREAM_API_KEY": SECRET}),
        ("port: 1", URL | {"SCG_UPSTREAM_API_KEY": f"é{SECRET}"}),
        ("port: 1", {"SCG_UPSTREAMS": f'[{{"url": "http://a", "api_key": "{SECRET}"'}),
        ("port: 1", {"SCG_UPSTREAMS__0__APIKEY": SECRET}),
        ("port: 1", URL | {"SCG_CACHE__URL": f"http://:{SECRET}@redis"}),
    ],
)  # fmt: skip
def test_errors_tell_no_secret(text: str, environ: Mapping[str, str]) -> None:
    """A mistake near a secret is told without it, in the lines for the user and in a traceback."""
    with pytest.raises(ConfigError) as caught:
        loaded(text, environ)
    assert SECRET not in str(caught.value)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://redis:6379/0", "redis://redis:6379/0"),
        ("redis://:pw@redis:6379/0", "redis://***@redis:6379/0"),
        ("redis://user:p@w@redis/0", "redis://***@redis/0"),
        ("redis://redis?password=pw", "redis://redis?***"),
        ("redis://[::1]:6379", "redis://[::1]:6379"),
        ("redis+sentinel://u:p@h:1,[::1]:2/m/0?x=p", "redis+sentinel://***@h:1,[::1]:2/m/0?***"),
        ("redis:6379", "redis:6379"),
        ("redis://:pw", "***"),
        ("a b", "***"),
        ("memory://", "memory://"),
    ],
)
def test_mask_url(url: str, masked: str) -> None:
    """Host, port and path are shown, what could be a password is not."""
    assert masked == mask_url(url)


@run_with(max_examples=200)
@given(st.text(min_size=8).filter(lambda text: "***" not in text))
def test_mask_url_hides_every_password(password: str) -> None:
    """Whatever is between the scheme and the last @ is gone, odd characters included."""
    assert "redis://***@redis:6379/0" == mask_url(f"redis://:{password}@redis:6379/0")
