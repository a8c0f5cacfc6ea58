import pytest
import torch

from backend.torch.batch import Batch, PaddedCache, PaddedLayer, Rows, joined, padded
from backend.torch.generation import Generation, Request
from backend.torch.model import Model
from backend.torch.sampler import SamplingParams
from backend.torch.scheduler import Scheduler

pytestmark = pytest.mark.backend

PROMPTS = ["What is 12 + 7?", "3+4-5", "Compute 100 + 200 + 300.", "How much is 9 - 4?", "8+8"]


def generation(model: Model, question: str, max_tokens: int = 12) -> Generation:
    prompt = model.tokenizer.chat([{"role": "user", "content": question}])
    params = SamplingParams(max_tokens=max_tokens, temperature=0.0, ignore_eos=True)
    return Generation(Request(prompt, params), model.tokenizer, model.device, model.max_len)


def finish(scheduler: Scheduler) -> int:
    """Run until nothing is left; returns the steps taken."""
    steps = 0
    while scheduler.has_work:
        scheduler.step()
        steps += 1
    return steps


def alone(model: Model, question: str, max_tokens: int = 12) -> list[int]:
    scheduler = Scheduler(model, max_batch_size=1, prefill_tokens=4096)
    only = generation(model, question, max_tokens)
    scheduler.add(only)
    finish(scheduler)
    return only.output


@pytest.mark.parametrize("prefill_tokens", [1, 20, 4096])
def test_mates_that_come_and_go_change_nothing_in_float32(exact: Model, prefill_tokens: int) -> None:
    """Joining, leaving, padding and slicing are right: every answer is the one it gets alone."""
    scheduler = Scheduler(exact, max_batch_size=3, prefill_tokens=prefill_tokens)
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
    scheduler = Scheduler(exact, max_batch_size=2, prefill_tokens=4096)
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
    scheduler = Scheduler(exact, max_batch_size=1, prefill_tokens=4096)
    answers = [generation(exact, question, 2) for question in PROMPTS]
    for answer in answers:
        scheduler.add(answer)

    order = []
    while scheduler.has_work:
        order += [one for one, update in scheduler.step().updates if update.finish_reason]

    assert answers == order


def test_a_long_prompt_does_not_stall_running_answers(exact: Model) -> None:
    """While a prompt of ten slices is computed, a running answer gets a token in every step."""
    scheduler = Scheduler(exact, max_batch_size=2, prefill_tokens=20)
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
    scheduler = Scheduler(exact, max_batch_size=2, prefill_tokens=20)
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


def test_an_answer_stops_at_the_models_length(exact: Model) -> None:
    """`max_tokens` beyond the model's length ends with finish_reason length, not with an error."""
    model = exact
    prompt = model.tokenizer.chat([{"role": "user", "content": "1+2"}])
    params = SamplingParams(max_tokens=999, temperature=0.0, ignore_eos=True)
    only = Generation(Request(prompt, params), model.tokenizer, model.device, max_len=len(prompt) + 3)
    scheduler = Scheduler(model, max_batch_size=1, prefill_tokens=4096)
    scheduler.add(only)

    finish(scheduler)

    assert (3, "length") == (len(only.output), only.finish_reason)


def first_keys(cache: PaddedCache) -> torch.Tensor:
    layer = cache.layers[0]
    assert isinstance(layer, PaddedLayer)
    return layer.key_buffer[:, :, : layer.get_seq_length()]


def test_the_batch_is_as_narrow_as_its_longest_row(demo: Model) -> None:
    """Rebuilding drops columns that only the departed needed, and keeps the buffers where nobody left."""
    tokens, mask = padded([[3] * 9, [4] * 5, [5] * 2], demo.device)
    cache = PaddedCache()
    demo.forward(tokens, mask, cache)
    batch = Batch(mask, cache)

    same = joined([Rows(batch, [0, 1, 2], 9)])
    narrow = joined([Rows(batch, [1, 2], 5), Rows(batch, [], 0)])

    assert same is batch
    assert narrow is not None
    assert [[True] * 5, [False] * 3 + [True] * 2] == narrow.mask.tolist()
    assert torch.equal(first_keys(cache)[1:, :, 4:], first_keys(narrow.cache))
    assert joined([Rows(batch, [], 0)]) is None
