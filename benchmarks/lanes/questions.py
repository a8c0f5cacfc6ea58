"""What is asked in a scenario: many prompts once a round, some of them over and over."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backend.train.problems import draw_problem

_WORDS = ("river", "stone", "lantern", "engine", "paper", "winter", "signal", "harbor", "copper", "thunder")


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked.

    Attributes:
        questions: what about, a name of `QUESTIONS`.
        prompts: different ones, each asked once a round, in two rounds.
        repeated: of them, those that are asked more often.
        copies: of each of those in a round.
        characters: of a prompt of words; tokens, for a tokenizer of bytes.
        tokens: of an answer; at most, where the model ends it.
        in_flight: clients, each of which waits for its answer before it asks again.
        seconds: for both rounds; what is under way then is cut off.
        hits: requests of a round of the scenario whose answers are pinned.
    """

    questions: str = "words"
    prompts: int = 400
    repeated: int = 4
    copies: int = 28
    characters: int = 512
    tokens: int = 256
    in_flight: int = 64
    seconds: float = 50.0
    hits: int = 4000


def one_round(load: Load, number: int, among: Sequence[int]) -> list[int]:
    """The prompts of a round, by number, in an order of its own."""
    asked = list(among) + [prompt for prompt in range(load.repeated) for _ in range(load.copies - 1)]
    random.Random(number).shuffle(asked)
    return asked


def hits(load: Load, number: int) -> list[int]:
    """A round of requests for what is pinned."""
    dice = random.Random(number)
    return [dice.randrange(load.in_flight) for _ in range(load.hits)]


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked about.

    Attributes:
        prompt: a prompt by its number, negative ones for warming up, and how long it is to be in characters.
        named: what prompts are called, a format that takes a load's members.
        is_ended_by_model: answers may be shorter than a load says.
    """

    prompt: Callable[[int, int], str]
    named: str
    is_ended_by_model: bool


def in_words(size: Mapping[str, Any]) -> str:
    """In words how much a load, as it is kept, asks for."""
    questions = QUESTIONS[size["questions"]]
    at_most = "at most " if questions.is_ended_by_model else ""
    return (
        f"{size['prompts']} {questions.named.format(**size)}, {size['repeated']} of them {size['copies']} times a "
        f"round, {at_most}{size['tokens']} tokens out, {size['in_flight']} clients"
    )


def body(load: Load, model: str, prompt: int, salt: str | None) -> bytes:
    """A greedy completion; `salt` keeps a server's prefix cache apart from other scenarios'."""
    questions = QUESTIONS[load.questions]
    asked: dict[str, Any] = {
        "model": model,
        "prompt": questions.prompt(prompt, load.characters),
        "temperature": 0,
        "seed": 1,
        "max_tokens": load.tokens,
    }
    if not questions.is_ended_by_model:
        asked["ignore_eos"] = True
    if salt is not None:
        asked["cache_salt"] = salt
    return json.dumps(asked).encode()


def _words(number: int, characters: int) -> str:
    """Words by dice, the number in front: no two prompts share a beginning."""
    dice = random.Random(number)
    words = [f"{number}:", *(dice.choice(_WORDS) for _ in range(characters // 4))]
    return " ".join(words)[:characters]


def _sum(number: int, _: int) -> str:
    """A sum by dice, as long as it comes, in the demo model's own form."""
    # A text as the seed: dice seeded with -1 fall as those seeded with 1.
    problem = draw_problem(random.Random(f"sum {number}"), fewest=6)
    return f"<|user|>What is {problem.expression}?<|assistant|>"


QUESTIONS: Mapping[str, Questions] = {
    "words": Questions(_words, "prompts of {characters} characters", is_ended_by_model=False),
    "sums": Questions(_sum, "sums of 6 to 9 terms", is_ended_by_model=True),
}
