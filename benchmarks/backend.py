"""The PyTorch backend's two ways and transformers' own continuous batching, on the same model and requests.

Tokens per second with 1, 8 and 64 requests in flight, and how many prompts got one answer only, at temperature 0
in bfloat16. No HTTP: the engines alone. Needs PyTorch and transformers, and nothing of the rest.

    python benchmarks/backend.py                                the model with random weights
    python benchmarks/backend.py --model ~/Llama-3.2-1B --device cuda
    python benchmarks/backend.py --width 2048 --device cuda     random weights, 1.2 billion of them
    python benchmarks/backend.py --check                        first, whether not one bit of a logit moves
"""

import argparse
import copy
import json
import os
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

import torch

from backend.torch.build import new_scheduler
from backend.torch.config import DEMO_FOLDER, EngineConfig
from backend.torch.generation import Generation, Request
from backend.torch.invariant import InvariantRunner
from backend.torch.model import Model, load
from backend.torch.padded import PaddedRunner
from backend.torch.sampler import SamplingParams
from tests.backend.compositions import pool_for, rounds_that_differ

_PROMPTS = 8
_ROUNDS = 20
# Rows of one composition at most: on a GPU about as many as an answer's tile has.
_ROWS = {"cpu": 6, "cuda": 48}

Prompt = tuple[int, ...]
Answers = list[tuple[Prompt, tuple[int, ...]]]
Ask = Callable[[Sequence[Prompt]], Answers]
Engine = Callable[[], AbstractContextManager[Ask]]


@dataclass(frozen=True, slots=True)
class Run:
    """One engine with so many requests in flight, over all its turns; `tokens_per_second` is the median turn's."""

    engine: str
    in_flight: int
    requests: int
    tokens_per_second: float
    slowest: float
    fastest: float
    cpu_ms_per_token: float
    prompts_with_one_answer: int
    prompts: int


def main() -> int:
    """Measure, print the table, keep the JSON; exit code 1 if a check failed."""
    options = _parser().parse_args()
    with ExitStack() as stack:
        model_name = options.model
        if options.width:
            model_name = stack.enter_context(tempfile.TemporaryDirectory())
            make_model(Path(model_name), options.width, options.layers)
        config = EngineConfig(model=model_name, device=options.device, max_batch_size=max(options.in_flight))
        model = load(config)
        print(f"{model.num_parameters / 1e6:.1f} M parameters, {model.dtype_name}, {_device(model)}\n")
        found: dict[str, Any] = {"machine": _machine(model), "command": sys.argv[1:]}
        if options.check:
            found["check"] = check(model)
        found["runs"] = [asdict(run) for run in measure(model, config, options)]
        print(table([Run(**run) for run in found["runs"]]))
    text = json.dumps(found, indent=1)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n")
    else:
        print(text)
    return 0 if found.get("check", {}).get("invariant", 0) == 0 else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="random", help="demo, random or a folder (random)")
    parser.add_argument("--width", type=int, help="instead: make random weights with this hidden size")
    parser.add_argument("--layers", type=int, default=16, help="and so many layers (16)")
    parser.add_argument("--device", default="auto", help="cpu, cuda or auto (auto)")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 8, 64], metavar="N")
    parser.add_argument("--tokens", type=int, default=32, help="of an answer (32)")
    parser.add_argument("--turns", type=int, default=3, help="of each engine, after one to warm up (3)")
    parser.add_argument("--without", nargs="*", default=[], help="engines to leave out: transformers")
    parser.add_argument(
        "--check", action="store_true", help="compare logits bitwise, and fail if they differ"
    )
    parser.add_argument("--out", type=Path, help="keep the JSON here")
    return parser


def make_model(folder: Path, width: int, layers: int) -> None:
    """A Llama with random weights and the demo model's tokenizer, as a checkpoint."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=128_256,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        num_key_value_heads=max(width // 256, 1),
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=0,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        network = LlamaForCausalLM(config).bfloat16()
    network.save_pretrained(folder)
    AutoTokenizer.from_pretrained(DEMO_FOLDER).save_pretrained(folder)


def check(model: Model) -> dict[str, int]:
    """Rounds of random mates, positions and slices in which a logit of a fixed text has other bits."""
    pool = pool_for(model, _ROWS[model.device.type])
    found = {
        name: rounds_that_differ(runner(model, pool), pool, _ROUNDS)
        for name, runner in (("invariant", InvariantRunner), ("plain", PaddedRunner))
    }
    for name, differing in found.items():
        print(f"{name}: logits of {differing} of {_ROUNDS} random compositions differ from the first's")
    print()
    return found


def measure(model: Model, config: EngineConfig, options: argparse.Namespace) -> list[Run]:
    """Every engine at every load, one turn after the other."""
    runs = []
    for in_flight in options.in_flight:
        at_once = replace(config, max_batch_size=in_flight)
        engines: dict[str, Engine] = {
            "plain": ours(model, at_once, options.tokens),
            "batch-invariant": ours(model, replace(at_once, batch_invariant=True), options.tokens),
            "transformers": theirs(model, in_flight, options.tokens),
        }
        for name in options.without:
            del engines[name]
        runs += compared(engines, in_flight, options)
    return runs


def compared(engines: dict[str, Engine], in_flight: int, options: argparse.Namespace) -> list[Run]:
    """All engines take turns at the same requests, so that a busy minute is shared; the first turn is not counted."""
    dice = random.Random(1)
    prompts = [tuple(dice.choices(range(30, 200), k=dice.randint(4, 60))) for _ in range(_PROMPTS)]
    requests = (prompts * (2 * in_flight))[: max(2 * in_flight, 4)]
    times: dict[str, list[tuple[float, float]]] = defaultdict(list)
    texts: dict[str, set[Any]] = defaultdict(set)
    for turn in range(options.turns + 1):
        dice.shuffle(requests)
        for name, engine in engines.items():
            with engine() as ask:
                wall, cpu = time.perf_counter(), time.process_time()
                texts[name] |= set(ask(requests))
                spent = (time.perf_counter() - wall, time.process_time() - cpu)
            if turn:
                times[name].append(spent)
    num_tokens = len(requests) * options.tokens
    return [_run(name, in_flight, requests, num_tokens, times[name], texts[name]) for name in engines]


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


def table(runs: Sequence[Run]) -> str:
    """Markdown."""
    lines = [
        "| engine | in flight | tokens/s | slowest - fastest turn | CPU ms/token | prompts with one answer |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {run.engine} | {run.in_flight} | {run.tokens_per_second:.0f} | {run.slowest:.0f} - {run.fastest:.0f} "
        f"| {run.cpu_ms_per_token:.2f} | {run.prompts_with_one_answer} of {run.prompts} |"
        for run in runs
    ]
    return "\n".join(lines) + "\n"


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
