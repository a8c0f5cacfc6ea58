"""The PyTorch backend's two ways and transformers' own continuous batching, on the same model and requests.

Tokens per second with 1, 8 and 64 requests in flight, and how many prompts got one answer only, at temperature 0
in bfloat16. The engines alone, without HTTP; a server of the same model is asked over it, and its CPU time is
its own. Needs PyTorch and transformers, for a server aiohttp, and nothing of the rest.

    python benchmarks/backend.py                                the model with random weights
    python benchmarks/backend.py --model ~/Llama-3.2-1B --device cuda --server vLLM=http://127.0.0.1:8000
    python benchmarks/backend.py --check                        first, whether not one bit of a logit moves

What one engine fails at is said, and the others are measured; the exit code is 1 then, or if a check failed.
"""

import argparse
import asyncio
import copy
import json
import os
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

import torch

from backend.torch.build import new_scheduler
from backend.torch.config import EngineConfig
from backend.torch.generation import Generation, Request
from backend.torch.invariant import InvariantRunner
from backend.torch.model import Model, load
from backend.torch.padded import PaddedRunner
from backend.torch.sampler import SamplingParams
from tests.backend.compositions import pool_for, rounds_that_differ

_PROMPTS = 8
_LONGEST = 60  # tokens of a prompt
_ROUNDS = 20
# Rows of one composition at most: on a GPU about as many as an answer's tile has.
_ROWS = {"cpu": 6, "cuda": 48}

Prompt = tuple[int, ...]
Answers = list[tuple[Prompt, tuple[int, ...]]]
Ask = Callable[[Sequence[Prompt]], Answers]
Engine = Callable[[], AbstractContextManager[Ask]]
Maker = Callable[[], Engine]


@dataclass(frozen=True, slots=True)
class Run:
    """One engine with so many requests in flight, over all its turns; `tokens_per_second` is the median turn's.

    `cpu_ms_per_token` is of this process; None for a server.
    """

    engine: str
    in_flight: int
    requests: int
    tokens_per_second: float
    slowest: float
    fastest: float
    cpu_ms_per_token: float | None
    prompts_with_one_answer: int
    prompts: int


def main() -> int:
    """Measure, print the table, keep the JSON; exit code 1 if a check failed."""
    options = _parser().parse_args()
    config = EngineConfig(
        model=options.model,
        device=options.device,
        max_batch_size=max(options.in_flight),
        max_model_len=_LONGEST + options.tokens,
    )
    model = load(config)
    print(
        f"{model.num_parameters / 1e6:.1f} M parameters, {model.dtype_name}, {_device(model)}\n", flush=True
    )
    found: dict[str, Any] = {
        "machine": _machine(model),
        "command": sys.argv[1:],
        "tokens": options.tokens,
        "failed": {},
        "runs": [],
    }
    if options.check:
        found["check"] = check(model)
    for in_flight in options.in_flight:
        makers = engines(model, replace(config, max_batch_size=in_flight), options)
        runs, failed = compared(makers, in_flight, options)
        found["runs"] += [asdict(run) for run in runs]
        found["failed"] |= failed
        keep(found, options.out)
    print(table([Run(**run) for run in found["runs"]]))
    for name, reason in found["failed"].items():
        print(f"{name} failed: {reason}", file=sys.stderr)
    return 1 if found["failed"] or found.get("check", {}).get("invariant", 0) else 0


def keep(found: dict[str, Any], out: Path | None) -> None:
    """Write what there is so far."""
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(found, indent=1) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="random", help="demo, random or a folder (random)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (auto)")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 8, 64], metavar="N")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer (32)")
    parser.add_argument("--turns", type=int, default=3, help="of each engine, after one to warm up (3)")
    parser.add_argument(
        "--server",
        type=_named,
        action="append",
        default=[],
        metavar="NAME=URL",
        help="of the same model, to ask too",
    )
    parser.add_argument("--without", nargs="*", default=[], help="engines to leave out: transformers")
    parser.add_argument(
        "--check", action="store_true", help="compare logits bitwise, and fail if they differ"
    )
    parser.add_argument("--out", type=Path, help="keep the JSON here")
    return parser


def _named(text: str) -> tuple[str, str]:
    name, found, url = text.partition("=")
    if not found or not url.startswith("http"):
        raise argparse.ArgumentTypeError(f"{text!r}: must be NAME=URL")
    return name, url.rstrip("/").removesuffix("/v1")


def check(model: Model) -> dict[str, int]:
    """In how many of so many `rounds` of random mates, positions and slices a fixed text's logits have other bits."""
    pool = pool_for(model, _ROWS[model.device.type])
    found = {
        name: rounds_that_differ(runner(model, pool), pool, _ROUNDS)
        for name, runner in (("invariant", InvariantRunner), ("plain", PaddedRunner))
    }
    for name, differing in found.items():
        print(f"{name}: logits of {differing} of {_ROUNDS} random compositions differ from the first's")
    print()
    return found | {"rounds": _ROUNDS}


def engines(model: Model, config: EngineConfig, options: argparse.Namespace) -> dict[str, Maker]:
    """All that are compared, with as many requests in flight as `config` says."""
    in_flight, tokens = config.max_batch_size, options.tokens
    made: dict[str, Maker] = {
        "plain": lambda: ours(model, config, tokens),
        "batch-invariant": lambda: ours(model, replace(config, batch_invariant=True), tokens),
        "transformers": lambda: theirs(model, in_flight, tokens),
    }
    for name, url in options.server:
        made[name] = partial(served, url, in_flight, tokens)
    return {name: make for name, make in made.items() if name not in options.without}


def compared(
    makers: dict[str, Maker], in_flight: int, options: argparse.Namespace
) -> tuple[list[Run], dict[str, str]]:
    """All engines take turns at the same requests, so that a busy minute is shared; the first turn is not counted.

    Returns what was measured, and why an engine could not be.
    """
    dice = random.Random(1)
    prompts = [tuple(dice.choices(range(30, 200), k=dice.randint(4, _LONGEST))) for _ in range(_PROMPTS)]
    requests = (prompts * (2 * in_flight))[: max(2 * in_flight, 4)]
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    texts: dict[str, set[Any]] = defaultdict(set)
    made: dict[str, Engine] = {}
    failed: dict[str, str] = {}
    for turn in range(options.turns + 1):
        dice.shuffle(requests)
        for name in [each for each in makers if each not in failed]:
            try:
                engine = made[name] = made.get(name) or makers[name]()
                spent = timed(engine, requests, texts[name])
            except Exception as error:  # noqa: BLE001  whatever one engine dies of, the others are still measured
                failed[name] = f"{in_flight} in flight: {error!r}"
                continue
            if turn:
                times[name].append(spent)
    servers = [name for name, _ in options.server]
    num_tokens = len(requests) * options.tokens
    runs = [
        _run(name, in_flight, requests, num_tokens, times[name], texts[name])
        for name in makers
        if name not in failed
    ]
    return [replace(run, cpu_ms_per_token=None) if run.engine in servers else run for run in runs], failed


def timed(engine: Engine, requests: Sequence[Prompt], texts: set[Any]) -> tuple[float, float]:
    """Wall and CPU seconds of one turn; its answers are added to `texts`."""
    with engine() as ask:
        wall, cpu = time.perf_counter(), time.process_time()
        texts |= set(ask(requests))
        return time.perf_counter() - wall, time.process_time() - cpu


def _run(
    name: str,
    in_flight: int,
    requests: Sequence[Prompt],
    num_tokens: int,
    times: Sequence[tuple[float, float]],
    texts: set[tuple[Prompt, tuple[int, ...]]],
) -> Run:
    rates = sorted(num_tokens / wall for wall, _ in times)
    asked = set(requests)
    answers = {prompt: sum(one == prompt for one, _ in texts) for prompt in asked}
    return Run(
        engine=name,
        in_flight=in_flight,
        requests=len(requests),
        tokens_per_second=round(median(rates), 1),
        slowest=round(rates[0], 1),
        fastest=round(rates[-1], 1),
        cpu_ms_per_token=round(1000 * median(cpu for _, cpu in times) / num_tokens, 3),
        prompts_with_one_answer=sum(number == 1 for number in answers.values()),
        prompts=len(asked),
    )


def ours(model: Model, config: EngineConfig, tokens: int) -> Engine:
    """Our scheduler, from the first step to the last."""
    scheduler = new_scheduler(model, config)
    params = SamplingParams(max_tokens=tokens, temperature=0.0, ignore_eos=True)

    def ask(prompts: Sequence[Prompt]) -> Answers:
        requests = [Request(prompt, params) for prompt in prompts]
        generations = [Generation(one, model.tokenizer, model.device, model.max_len) for one in requests]
        for generation in generations:
            scheduler.add(generation)
        while scheduler.has_work:
            scheduler.step()
        return [(one.request.prompt, tuple(one.output)) for one in generations]

    return lambda: nullcontext(ask)


def theirs(model: Model, in_flight: int, tokens: int) -> Engine:
    """Transformers' manager of continuous batching; its start, which may capture CUDA graphs, is not timed."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    network: Any = copy.deepcopy(model.network)
    network.set_attn_implementation("sdpa")
    generation: Any = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=tokens, do_sample=False, eos_token_id=-1, pad_token_id=0
    )
    batching = ContinuousBatchingConfig(
        max_requests_per_batch=in_flight, num_blocks=4 * in_flight + 8, max_batch_tokens=2048
    )

    @contextmanager
    def engine() -> Iterator[Ask]:
        with network.continuous_batching_context_manager(
            generation, continuous_batching_config=batching, timeout=5
        ) as manager:

            def ask(prompts: Sequence[Prompt]) -> Answers:
                manager.add_requests([list(prompt) for prompt in prompts], max_new_tokens=tokens)
                found: Answers = []
                while len(found) < len(prompts):
                    answer = manager.get_result(timeout=1)
                    if answer is not None and answer.is_finished():
                        found.append((tuple(answer.prompt_ids), tuple(answer.generated_tokens)))
                    elif not manager.is_running():
                        raise RuntimeError("transformers' continuous batching ended early")
                return found

            yield ask

    return engine


def served(url: str, in_flight: int, tokens: int) -> Engine:
    """A server, asked for completions of the same tokens over as many connections."""
    from aiohttp import ClientSession, TCPConnector

    async def ask_all(prompts: Sequence[Prompt]) -> Answers:
        left, found = iter(prompts), Answers()
        async with ClientSession(connector=TCPConnector(limit=0)) as session:
            async with session.get(f"{url}/v1/models") as response:
                model = (await response.json())["data"][0]["id"]
            asked = {
                "model": model,
                "max_tokens": tokens,
                "temperature": 0,
                "ignore_eos": True,
                "return_token_ids": True,
            }

            async def client() -> None:
                for prompt in left:
                    body = asked | {"prompt": list(prompt)}
                    async with session.post(f"{url}/v1/completions", json=body) as response:
                        response.raise_for_status()
                        choice = (await response.json())["choices"][0]
                    found.append((prompt, tuple(choice["token_ids"])))

            await asyncio.gather(*(client() for _ in range(in_flight)))
        return found

    return lambda: nullcontext(lambda prompts: asyncio.run(ask_all(prompts)))


def table(runs: Sequence[Run]) -> str:
    """Markdown."""
    lines = [
        "| engine | in flight | tokens/s | slowest - fastest turn | CPU ms/token | prompts with one answer |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {run.engine} | {run.in_flight} | {run.tokens_per_second:.0f} | {run.slowest:.0f} - {run.fastest:.0f} "
        f"| {_cpu(run)} | {run.prompts_with_one_answer} of {run.prompts} |"
        for run in runs
    ]
    return "\n".join(lines) + "\n"


def _cpu(run: Run) -> str:
    return "" if run.cpu_ms_per_token is None else f"{run.cpu_ms_per_token:.2f}"


def _machine(model: Model) -> dict[str, str]:
    import transformers

    return {
        "device": _device(model),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "model": f"{model.num_parameters / 1e6:.1f} M parameters, {model.dtype_name}",
        "threads": str(torch.get_num_threads()),
    }


def _device(model: Model) -> str:
    if model.device.type == "cuda":
        return torch.cuda.get_device_name()
    flags = torch.backends.cpu.get_cpu_capability()
    return f"CPU, {flags}, {os.cpu_count()} cores"


if __name__ == "__main__":
    sys.exit(main())
