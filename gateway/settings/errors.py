"""What is wrong with a configuration, one line per key."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One key that cannot be taken. The message names the value, unless that is a secret."""

    key: str
    message: str
    source: str = ""

    def __str__(self) -> str:
        where = f" (in {self.source})" if self.source else ""
        return f"{self.key}: {self.message}{where}" if self.key else f"{self.message}{where}"


class ConfigError(ValueError):
    """A configuration that cannot be used; `problems` has them all, its text one line for each."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(f"config: {problem}" for problem in problems))
        self.problems = problems
