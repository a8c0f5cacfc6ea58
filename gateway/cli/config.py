"""`scg config`: look at the configuration without serving."""

import argparse
import os
import sys
from importlib.resources import files

from gateway.cli.arguments import add_setting_flags, describe, given_flags

_EXAMPLES = """\
  scg config check --config scg.yaml        what is wrong, line by line, and exit code 2
  scg config show                           what holds now, and which variable or file says so
  scg config schema > scg.schema.json       JSON schema, for editors and CI
"""
_CHECK = """\
Check the configuration. Exit code 0, or 2 with a line for each key and value that is wrong. Policies and files that are
named and not there, and settings that do not go together, are told once all values are right."""
_CHECK_EXAMPLES = """\
  scg config check --config scg.yaml
  SCG_CONFIG=scg.yaml SCG_VOTE__K=5 scg config check
"""
_SHOW_EXAMPLES = """\
  scg config show --config scg.yaml
  SCG_UPSTREAM_URL=http://vllm:8000 scg config show > scg.yaml
"""
_SCHEMA_EXAMPLES = """\
  scg config schema > scg.schema.json
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The commands of `scg config`."""
    describe(parser, "Check and show the configuration that `scg serve` would have.", _EXAMPLES)
    actions = parser.add_subparsers(dest="action", required=True, metavar="check|show|schema")
    check = actions.add_parser("check", help="say what is wrong")
    describe(check, _CHECK, _CHECK_EXAMPLES)
    add_setting_flags(check)
    show = actions.add_parser("show", help="print what holds, as YAML")
    describe(
        show, "Print the effective configuration as YAML, secrets masked, with who set what.", _SHOW_EXAMPLES
    )
    add_setting_flags(show)
    schema = actions.add_parser("schema", help="print the JSON schema")
    describe(schema, "Print the JSON schema of the configuration file.", _SCHEMA_EXAMPLES)


def run(arguments: argparse.Namespace) -> int:
    """Do one of the three."""
    if arguments.action == "schema":
        sys.stdout.write(files("gateway").joinpath("config.schema.json").read_text(encoding="utf-8"))
        return 0
    from gateway.settings.checked import load_with_origins  # pydantic, which the schema does without

    loaded = load_with_origins(given_flags(arguments), os.environ, arguments.config)
    for warning in loaded.settings.warnings:
        print(f"scg: warning: {warning}", file=sys.stderr)
    if arguments.action == "show":
        from gateway.settings.show import show

        sys.stdout.write(show(loaded.settings, loaded.origins))
    else:
        print("config: ok")
    return 0
