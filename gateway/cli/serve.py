"""`scg serve`: the gateway."""

import argparse
from functools import partial

from gateway.cli.arguments import add_setting_flags, describe, load_settings

_EXAMPLES = """\
  scg serve --upstream-url http://127.0.0.1:8000      in front of one LLM server
  scg serve --config scg.yaml --port 9000             settings from a file, the port from here
  SCG_UPSTREAM_URL=http://vllm:8000 SCG_HOST=0.0.0.0 scg serve
  scg serve --workers 4 --config scg.yaml             four processes on one port, sharing Redis
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `scg serve`."""
    describe(
        parser, "Run the gateway until SIGINT or SIGTERM. Flags beat the environment and the file.", _EXAMPLES
    )
    add_setting_flags(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve; the exit code is the application's."""
    settings = load_settings(arguments)
    from gateway.running import start  # after the settings: a bad configuration is told at once

    return start.run(settings, partial(load_settings, arguments))
