import math
from typing import Any

import pytest
import torch

from backend.torch.sampler import Sampled, SamplingParams, distribution, new_generator, sample

CPU = torch.device("cpu")
# Probabilities .5, .25, .125, .0625, .0625, in no order.
LOGITS = torch.tensor([0.125, 0.5, 0.0625, 0.25, 0.0625]).log()


def params(**options: object) -> SamplingParams:
    return SamplingParams(max_tokens=1, **options)  # type: ignore[arg-type]


def row(seed: int | None = 0, **options: object) -> Sampled:
    return Sampled(params(seed=seed, **options), new_generator(seed, CPU))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.125, 0.5, 0.0625, 0.25, 0.0625]),
        ({"temperature": 0.5}, [4 / 86, 64 / 86, 1 / 86, 16 / 86, 1 / 86]),
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 2}, [0, 2 / 3, 0, 1 / 3, 0]),
        ({"top_k": 99}, [0.125, 0.5, 0.0625, 0.25, 0.0625]),
        ({"top_p": 0.1}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.5}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.51}, [0, 2 / 3, 0, 1 / 3, 0]),
        ({"top_p": 0.76}, [1 / 7, 4 / 7, 0, 2 / 7, 0]),
        ({"min_p": 0.3}, [0, 2 / 3, 0, 1 / 3, 0]),
        ({"min_p": 0.3, "temperature": 0.5}, [0, 1, 0, 0, 0]),
        ({"min_p": 0.0, "top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_p": 1.0}, [0.125, 0.5, 0.0625, 0.25, 0.0625]),
        # Top-p sees what top-k left: 2/3 is enough for .6.
        ({"top_k": 2, "top_p": 0.6}, [0, 1, 0, 0, 0]),
        # Of two equal tokens the lower id stays.
        ({"top_k": 4}, [2 / 15, 8 / 15, 1 / 15, 4 / 15, 0]),
    ],
)
def test_distribution(options: dict[str, float], expected: list[float]) -> None:
    """Temperature, top-k and top-p keep the stated tokens, with their mass renormalised."""
    probabilities = distribution(LOGITS.unsqueeze(0), [params(**options)])

    assert expected == pytest.approx(probabilities[0].tolist(), abs=1e-6)


def test_rows_are_filtered_each_by_its_own_params() -> None:
    """A batch of different requests gives each row, bitwise, what it would get alone, logprobs included."""
    asked: list[dict[str, Any]] = [
        {"top_k": 1},
        {},
        {"top_p": 0.51},
        {"temperature": 0.5},
        {"min_p": 0.1},
        {"top_k": 9, "top_p": 0.9},
    ] * 3
    logits = torch.randn(len(asked), 1003, generator=torch.Generator().manual_seed(1))

    together = distribution(logits, [params(**one) for one in asked])
    drawn = sample(logits, [row(logprobs=20, **one) for one in asked])

    alone = [distribution(logits[at : at + 1], [params(**one)]) for at, one in enumerate(asked)]
    assert torch.equal(torch.cat(alone), together)
    assert [
        sample(logits[at : at + 1], [row(logprobs=20, **one)])[0] for at, one in enumerate(asked)
    ] == drawn


@pytest.mark.parametrize("temperature", [0.0, 1e-6])
def test_greedy_takes_the_first_of_the_likeliest(temperature: float) -> None:
    """Temperature 0 is argmax, and an exact tie goes to the lower id."""
    logits = torch.tensor([[1.0, 3.0, 3.0, 2.0]])

    assert [1] == [draw.token for draw in sample(logits, [row(temperature=temperature)])]


def test_a_draw_does_not_depend_on_batch_mates() -> None:
    """Same seed, same draws: alone, and between neighbours with other seeds, params and draws."""
    alone, between = row(seed=7), row(seed=7)
    mates = [row(seed=1, temperature=2.0), row(temperature=0.0), row(seed=None, top_k=3)]
    logits = torch.randn(30, 50, generator=torch.Generator().manual_seed(1))

    expected = [sample(step.unsqueeze(0), [alone])[0].token for step in logits]
    seen = [sample(step.repeat(4, 1), [mates[0], mates[1], between, mates[2]])[2].token for step in logits]

    assert expected == seen
    assert len(set(expected)) > 10


def test_draws_follow_the_distribution() -> None:
    """4000 draws hit each token as often as it is likely, within 5 standard deviations (odds 1 in 300,000)."""
    count = 4000
    drawn = sample(LOGITS.repeat(count, 1), [row(seed=seed) for seed in range(count)])

    for token, probability in enumerate(LOGITS.exp().tolist()):
        hits = sum(draw.token == token for draw in drawn)
        assert abs(hits - count * probability) < 5 * math.sqrt(count * probability * (1 - probability))


def test_seeds_matter() -> None:
    """Different seeds and unseeded requests draw differently (200 draws of 50 tokens agree with odds 50^-200)."""
    logits = torch.zeros(50)

    def draws(seed: int | None) -> list[int]:
        one = row(seed=seed)
        return [sample(logits.unsqueeze(0), [one])[0].token for _ in range(200)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)
    assert draws(None) != draws(None)


def test_logprobs_are_the_models_own() -> None:
    """Logprobs sum to 1, are taken before temperature and top-k, and come likeliest first."""
    drawn = sample(LOGITS.repeat(2, 1), [row(logprobs=5, temperature=0.1, top_k=1), row(logprobs=None)])

    first = drawn[0].logprob
    assert first is not None
    assert drawn[1].logprob is None
    assert 1.0 == pytest.approx(sum(math.exp(value) for _, value in first.top))
    assert [1, 3, 0] == [token for token, _ in first.top[:3]]
    assert math.log(0.5) == pytest.approx(first.logprob)


def test_logprobs_per_row() -> None:
    """Each row gets as many alternatives as it asked for, none included."""
    drawn = sample(LOGITS.repeat(3, 1), [row(logprobs=0), row(logprobs=2), row(logprobs=1)])

    assert [0, 2, 1] == [len(draw.logprob.top) for draw in drawn if draw.logprob is not None]
