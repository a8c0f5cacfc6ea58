"""How often the model's samples are right, alone and voted on."""

from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

import torch

from backend.train.problems import Problem, draw_problem
from backend.train.tokens import ASSISTANT, END, SPECIAL, USER, byte_tokens

_MAX_TOKENS = 200
_FEWEST = 6  # terms; shorter sums are too easy to tell anything


def held_out(seed: int, number: int) -> list[Problem]:
    """Problems that no row was made from: another stream of the generator."""
    random = Random(f"held out {seed}")  # noqa: S311  problems, no secrets
    return [draw_problem(random, fewest=_FEWEST) for _ in range(number)]


@torch.inference_mode()
def sample_answers(
    model: Any, problems: Sequence[Problem], temperature: float, copies: int
) -> list[list[str]]:
    """For each problem its samples' answers, "" where there is none. Temperature 0 is greedy."""
    prompts = [[USER, *byte_tokens(f"What is {each.expression}?"), ASSISTANT] for each in problems]
    width = max(map(len, prompts))
    padded = torch.tensor([[END] * (width - len(each)) + each for each in prompts], device=model.device)
    mask = torch.tensor(
        [[0] * (width - len(each)) + [1] * len(each) for each in prompts], device=model.device
    )
    sampling = (
        {"do_sample": True, "temperature": temperature, "top_k": 0} if temperature else {"do_sample": False}
    )
    made = model.generate(
        padded, attention_mask=mask, max_new_tokens=_MAX_TOKENS, num_return_sequences=copies, **sampling
    )
    answers = [_answer(tokens) for tokens in made[:, width:].tolist()]
    return [answers[at : at + copies] for at in range(0, len(answers), copies)]


def share_right(answers: Sequence[Sequence[str]], problems: Sequence[Problem], votes: int) -> float:
    """The share of problems that the first `votes` samples answer right; ties fall to the first seen."""
    chosen = [Counter(own[:votes]).most_common(1)[0][0] for own in answers]
    return sum(a == str(p.answer) for a, p in zip(chosen, problems, strict=True)) / len(problems)


def share_of_samples(answers: Sequence[Sequence[str]], problems: Sequence[Problem]) -> float:
    """The share of all samples that are right."""
    right = [a == str(p.answer) for own, p in zip(answers, problems, strict=True) for a in own]
    return sum(right) / len(right)


def _answer(tokens: Sequence[int]) -> str:
    whole = tokens[: tokens.index(END)] if END in tokens else ()
    text = bytes(token - len(SPECIAL) for token in whole if len(SPECIAL) <= token < 256 + len(SPECIAL))
    return text.decode(errors="replace").rpartition("#### ")[2] if b"#### " in text else ""
