"""What is wrong with a configuration, one line per key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One key that cannot be taken. The message names the value, unless that is a secret."""

    key: str
    message: str
    origin: str = ""  # `in scg.yaml`, `from SCG_PORT`, `from --port`; empty where nobody gave the key

    def __str__(self) -> str:
        said = f"{self.key}: {self.message}" if self.key else self.message
        return f"{said} ({self.origin})" if self.origin else said


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` has them all, its text one line for each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(f"config: {problem}" for problem in problems))
        self.problems = problems
