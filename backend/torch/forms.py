"""How a request says what form its answer must have: OpenAI's `response_format`, vLLM's `structured_outputs`."""

from typing import Any

import msgspec

from backend.errors import RequestError
from backend.torch.grammar import Grammar, Guide


class _Schema(msgspec.Struct):
    schema: Any = None


class Form(msgspec.Struct):
    """`response_format`."""

    type: str
    json_schema: _Schema | None = None

    def grammar(self, guide: Guide) -> Grammar | None:
        """The grammar; None if any text will do.

        Raises:
            RequestError: the type or the schema is not one that can be held to.
        """
        if self.type == "text":
            return None
        if self.type == "json_object":
            return guide.grammar("response_format", "json", {"type": "object"})
        if self.type != "json_schema":
            raise RequestError(
                f"response_format: type {self.type} is none of text, json_object, json_schema",
                param="response_format",
            )
        if self.json_schema is None or self.json_schema.schema is None:
            raise RequestError("response_format: json_schema.schema is missing", param="response_format")
        return guide.grammar("response_format", "json", self.json_schema.schema)


class Constraint(msgspec.Struct, forbid_unknown_fields=True):
    """`structured_outputs`: exactly one of these."""

    json: Any = None
    regex: str | None = None
    choice: list[str] | None = None

    def grammar(self, guide: Guide) -> Grammar:
        """The grammar.

        Raises:
            RequestError: there is none, or more than one, or it cannot be held to.
        """
        if self.json is not None and self.regex is None and self.choice is None:
            return guide.grammar("structured_outputs", "json", self._schema())
        if self.regex is not None and self.json is None and self.choice is None:
            return guide.grammar("structured_outputs", "regex", self.regex)
        if self.choice and self.json is None and self.regex is None:
            return guide.grammar("structured_outputs", "choice", self.choice)
        raise RequestError(
            "structured_outputs: needs exactly one of json, regex, choice", param="structured_outputs"
        )

    def _schema(self) -> Any:
        """As in vLLM, it may come as JSON in a string."""
        try:
            return msgspec.json.decode(self.json) if isinstance(self.json, str) else self.json
        except msgspec.DecodeError as error:
            raise RequestError(f"structured_outputs: json: {error}", param="structured_outputs") from error
