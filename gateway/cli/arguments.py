"""What several commands share: one-line usage errors, and settings from their flags."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from gateway.settings.model import Settings

_OVERRIDES = ("host", "port", "upstream_url", "workers")


class Parser(argparse.ArgumentParser):
    """Keeps examples as they are written, and says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit 2."""
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help shows how)\n")


def describe(parser: argparse.ArgumentParser, text: str, examples: str) -> None:
    """The text above a command's flags and the examples below them."""
    parser.description = text
    parser.epilog = f"examples:\n{examples}"
    parser.formatter_class = argparse.RawDescriptionHelpFormatter


def add_config_flag(parser: "argparse._ActionsContainer") -> None:
    """`--config`, the file that SCG_CONFIG names otherwise."""
    parser.add_argument("--config", type=Path, metavar="FILE", help="YAML file with settings (SCG_CONFIG)")


def add_setting_flags(parser: argparse.ArgumentParser) -> None:
    """The settings that are flags as well; the loader checks them, as it does the variables."""
    add_config_flag(parser)
    parser.add_argument("--host", help="address to listen on (SCG_HOST, 127.0.0.1)")
    parser.add_argument("--port", help="port to listen on, 0 for any (SCG_PORT, 8080)")
    parser.add_argument(
        "--workers", metavar="N", help="processes on that port, sharing Redis (SCG_WORKERS, 1)"
    )
    parser.add_argument("--upstream-url", metavar="URL", help="the only upstream (SCG_UPSTREAM_URL)")


def load_settings(arguments: argparse.Namespace) -> "Settings":
    """The settings by flags, environment and file; ConfigError is for `main` to report."""
    from gateway.settings.loader import load

    return load(given_flags(arguments), os.environ, arguments.config)


def given_flags(arguments: argparse.Namespace) -> dict[str, str | None]:
    """The flags that are settings as well."""
    return {name: getattr(arguments, name, None) for name in _OVERRIDES}


def address(host: str, port: int) -> str:
    """Where a client on this machine finds what listens there."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  recognised, not listened on
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def gateway_url() -> str:
    """Where `scg serve` listens with these variables; a port that Kubernetes or a mistake put there is none."""
    host, port = (os.environ.get(name, "").strip() for name in ("SCG_HOST", "SCG_PORT"))
    return address(host or "127.0.0.1", int(port) if port.isascii() and port.isdigit() else 8080)
