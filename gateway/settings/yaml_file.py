"""YAML, read strictly: keys are text and occur once. Error messages quote nothing that might be a secret."""

import re
from pathlib import Path
from typing import Any

import yaml

from gateway.settings.errors import ConfigError, Problem

_MERGE = "tag:yaml.org,2002:merge"

# What PyYAML found, as Python spells it, and of that what tells no value: one character, or the kind of a token.
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*["]""")
_TELLS_NOTHING = re.compile(r"""(['"])(?:\\?.|\\[xuU][0-9a-f]+|<[a-z ]+>)\1""")


class _Refused(yaml.YAMLError):
    pass


class _StrictLoader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002  PyYAML's signature
        if not isinstance(node, yaml.MappingNode):  # `!!set [x]`
            raise _Refused(f"not valid YAML at line {node.start_mark.line + 1}: expected a mapping")
        seen: set[str] = set()
        for key_node, _ in node.value:
            if key_node.tag == _MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                told = f"the key {key_node.value!r}" if isinstance(key_node, yaml.ScalarNode) else "this key"
                raise _Refused(f"line {line}: {told} is no text; put it in quotes")
            if key in seen:
                raise _Refused(f"line {line}: the key {key!r} is there twice")
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT001, FBT002  PyYAML's signature
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except Exception:  # noqa: BLE001  whatever its constructors stumble over, and what they say quotes the value
            kind = node.tag.rpartition(":")[2]
            raise _Refused(
                f"line {node.start_mark.line + 1}: the value is no {kind}; text needs quotes"
            ) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """The file's mapping; ConfigError names the file, and the line where YAML is to blame."""
    origin = f"in {path.name}"
    try:
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(Problem("", f"cannot read {path}: {error.strerror}")) from error
    except (UnicodeDecodeError, ValueError) as error:
        told = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(Problem("", told, origin)) from error
    if not isinstance(content or {}, dict):
        raise ConfigError(Problem("", "expected a mapping of settings such as `port: 8080`", origin))
    return content or {}


def parse_yaml(text: str) -> Any:
    """What a text in YAML says, without the keys that have no value; ValueError has the place."""
    try:
        # The loader is PyYAML's safe one, made stricter.
        return _without_blanks(yaml.load(text, Loader=_StrictLoader))  # noqa: S506
    except _Refused as error:
        raise ValueError(str(error)) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        told = _QUOTED.sub(_masked, error.problem or "syntax error")
        raise ValueError(f"not valid YAML{where}: {told}") from None
    except Exception:  # noqa: BLE001  whatever PyYAML stumbles over: no such character, what contains itself
        raise ValueError("not valid YAML") from None


def _masked(quoted: re.Match[str]) -> str:
    """What was found, unless it may be half of a password."""
    return quoted[0] if _TELLS_NOTHING.fullmatch(quoted[0]) else "'…'"


def _without_blanks(value: Any) -> Any:
    """A key with nothing after it, all its lines commented out, counts as absent."""
    if isinstance(value, dict):
        return {key: _without_blanks(item) for key, item in value.items() if item is not None}
    return [_without_blanks(item) for item in value] if isinstance(value, list) else value
