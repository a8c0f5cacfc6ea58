from dataclasses import replace
from typing import Any

import pytest
import torch

from backend.torch.build import new_scheduler
from backend.torch.config import EngineConfig
from backend.torch.generation import Generation, Request
from backend.torch.model import Model
from backend.torch.pool import Pool
from backend.torch.sampler import SamplingParams
from backend.torch.scheduler import Scheduler

pytestmark = pytest.mark.backend

SUM = [{"role": "user", "content": "1+2"}]
PROMPTS = ["What is 12 + 7?", "3+4-5", "Compute 100 + 200 + 300.", "How much is 9 - 4?", "8+8"]


def generation(model: Model, question: str, max_tokens: int = 12) -> Generation:
    prompt = model.tokenizer.chat([{"role": "user", "content": question}])
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    return Generation(Request(prompt, params), model.tokenizer, model.device, model.max_len)


def scheduler_on(model: Model, max_batch_size: int, prefill_tokens: int = 4096, **options: Any) -> Scheduler:
    config = EngineConfig(max_batch_size=max_batch_size, prefill_tokens=prefill_tokens, **options)
    return new_scheduler(model, config)


def finish(scheduler: Scheduler) -> int:
    """Run until nothing is left; returns the steps taken."""
    steps = 0
    while scheduler.has_work:
        scheduler.step()
        steps += 1
    return steps


def alone(model: Model, question: str, max_tokens: int = 12) -> list[int]:
    scheduler = scheduler_on(model, 1)
    only = generation(model, question, max_tokens)
    scheduler.add(only)
    finish(scheduler)
    return only.output


@pytest.mark.parametrize("prefill_tokens", [1, 20, 4096])
@pytest.mark.parametrize("batch_invariant", [False, True])
def test_mates_that_come_and_go_change_nothing_in_float32(
    exact: Model,
    prefill_tokens: int,
    batch_invariant: bool,  # noqa: FBT001
) -> None:
    """Joining, leaving, padding, tiles and slices are right: every answer is the one it gets alone, either way."""
    scheduler = scheduler_on(exact, 3, prefill_tokens, batch_invariant=batch_invariant)
    answers = {}
    for at, question in enumerate(PROMPTS):
        length = 4 + 5 * at % 13
        answers[question, length] = generation(exact, question, length)
        scheduler.add(answers[question, length])
        scheduler.step()
    finish(scheduler)

    for (question, length), answer in answers.items():
        assert alone(exact, question, length) == answer.output


def test_slots_bound_what_runs(exact: Model) -> None:
    """No more than `max_batch_size` answers hold cache; the others wait, and all finish."""
    scheduler = scheduler_on(exact, 2)
    answers = [generation(exact, question, 3) for question in PROMPTS]
    for answer in answers:
        scheduler.add(answer)

    seen = []
    while scheduler.has_work:
        scheduler.step()
        seen.append((scheduler.num_running, scheduler.num_waiting))

    assert 2 == max(running for running, _ in seen)
    assert 3 == max(waiting for _, waiting in seen)
    assert ["length"] * 5 == [answer.finish_reason for answer in answers]


def test_first_come_first_served(exact: Model) -> None:
    """With one slot answers finish in the order in which they came."""
    scheduler = scheduler_on(exact, 1)
    answers = [generation(exact, question, 2) for question in PROMPTS]
    for answer in answers:
        scheduler.add(answer)

    order = []
    while scheduler.has_work:
        order += [one for one, update in scheduler.step().updates if update.finish_reason]

    assert answers == order


def test_a_long_prompt_does_not_stall_running_answers(exact: Model) -> None:
    """While a prompt of ten slices is computed, a running answer gets a token in every step."""
    scheduler = scheduler_on(exact, 2, 20)
    running = generation(exact, "1+2", 30)
    scheduler.add(running)
    scheduler.step()
    scheduler.add(generation(exact, "1" * 198, 1))

    before = len(running.output)
    for _ in range(9):
        scheduler.step()

    assert 9 == len(running.output) - before


def test_an_aborted_answer_leaves_its_slot_at_the_next_step(exact: Model) -> None:
    """Aborted while running, in mid-prompt and while waiting, it is gone after one step."""
    scheduler = scheduler_on(exact, 2, 20)
    running, in_prompt, waiting = (generation(exact, text, 99) for text in ("1+2", "1" * 99, "3+4"))
    scheduler.add(running)
    scheduler.step()
    scheduler.add(in_prompt)
    scheduler.add(waiting)
    scheduler.step()
    assert (2, 1) == (scheduler.num_running, scheduler.num_waiting)

    for one in (running, in_prompt, waiting):
        one.abort()
    scheduler.step()

    assert (0, 0) == (scheduler.num_running, scheduler.num_waiting)
    assert ["abort"] * 3 == [one.finish_reason for one in (running, in_prompt, waiting)]


@pytest.mark.parametrize("batch_invariant", [False, True])
def test_one_prompt_is_computed_once(exact: Model, batch_invariant: bool) -> None:  # noqa: FBT001
    """Of those that wait for one prompt the first computes it, slice by slice: all get the answer of one alone.

    One that comes while the prompt is computed joins them; one that comes later computes it again.
    """
    scheduler = scheduler_on(exact, 8, 20, batch_invariant=batch_invariant)
    question = PROMPTS[2]
    length = len(generation(exact, question).request.prompt)
    together, other, joins, late = (
        [generation(exact, question) for _ in range(3)],
        *(generation(exact, text) for text in (PROMPTS[1], question, question)),
    )
    for one in (*together, other):
        scheduler.add(one)
    computed = scheduler.step().num_prompt_tokens
    scheduler.add(joins)
    while not joins.output:
        computed += scheduler.step().num_prompt_tokens
    scheduler.add(late)
    computed += scheduler.step().num_prompt_tokens
    while scheduler.has_work:
        computed += scheduler.step().num_prompt_tokens

    assert 2 * length + len(other.request.prompt) == computed
    assert [alone(exact, question)] * 5 == [one.output for one in (*together, joins, late)]
    assert alone(exact, PROMPTS[1]) == other.output


def test_who_waits_for_an_aborted_prompt_computes_it(exact: Model) -> None:
    """If the one that computes a prompt is aborted in the middle of it, the next one does."""
    scheduler = scheduler_on(exact, 2, 5)
    first, second = generation(exact, PROMPTS[2]), generation(exact, PROMPTS[2])
    scheduler.add(first)
    scheduler.add(second)
    scheduler.step()
    first.abort()

    finish(scheduler)

    assert ([], alone(exact, PROMPTS[2])) == (first.output, second.output)


def test_an_answer_stops_at_the_models_length(exact: Model) -> None:
    """`max_tokens` beyond the model's length ends with finish_reason length, not with an error."""
    model = exact
    prompt = model.tokenizer.chat([{"role": "user", "content": "1+2"}])
    params = SamplingParams(max_tokens=999, temperature=0.0, ignore_eos=True)
    only = Generation(Request(prompt, params), model.tokenizer, model.device, max_len=len(prompt) + 3)
    scheduler = scheduler_on(model, 1)
    scheduler.add(only)

    finish(scheduler)

    assert (3, "length") == (len(only.output), only.finish_reason)


def test_an_answer_begins_when_all_of_it_has_memory(exact: Model) -> None:
    """With memory for 100 tokens, answers of 39 begin by twos: none is dropped, and all is given back."""
    model = replace(exact, max_len=100)
    scheduler = scheduler_on(model, 8, kv_cache_memory=100 * exact.need.token)
    answers = [generation(model, "1+2", 40 - len(model.tokenizer.chat(SUM))) for _ in range(5)]
    for answer in answers:
        scheduler.add(answer)

    seen = []
    while scheduler.has_work:
        scheduler.step()
        seen.append((scheduler.num_running, round(100 * scheduler.cache_usage)))

    assert {39} == {answer.num_reserved for answer in answers}
    assert [(2, 78), (1, 39), (0, 0)] == sorted(set(seen), reverse=True)
    assert ["length"] * 5 == [answer.finish_reason for answer in answers]


def test_a_failed_step_costs_its_answers_only(exact: Model) -> None:
    """What had begun is dropped and its memory is free; what waited begins and is answered as if alone."""
    scheduler = scheduler_on(exact, 1)
    begun, waiting = generation(exact, "1+2"), generation(exact, PROMPTS[1])
    for one in (begun, waiting):
        scheduler.add(one)
    scheduler.step()

    assert [begun] == scheduler.drop_running()
    assert (0, 1, 0.0) == (scheduler.num_running, scheduler.num_waiting, scheduler.cache_usage)
    finish(scheduler)
    assert alone(exact, PROMPTS[1]) == waiting.output


def test_what_was_left_in_memory_is_never_read(exact: Model) -> None:
    """A row whose keys were not numbers leaves nothing behind that could reach the next one."""
    pool = Pool(exact.need.shape, 50, 2, 50, like=next(exact.network.parameters()))
    row = pool.take(50)
    pool.memory[:, :, pool.table[row, :20]] = torch.nan

    pool.release(row, 20)

    assert 0.0 == pool.usage
    assert not pool.memory.any()
    assert not pool.table.any()
