"""The one table of lanes: what each engine is told, and what it takes to be told that."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FAST, SERIAL, INVARIANT = "fast", "serial", "invariant"
LANES = (FAST, SERIAL, INVARIANT)


@dataclass(frozen=True, slots=True)
class Lane:
    """What makes a lane of an engine.

    Attributes:
        arguments: appended to the engine's command.
        environment: added to the engine's environment.
        version: the first release of the engine that has it.
        capability: the least NVIDIA compute capability, where it needs a GPU of some kind.
        architectures: AMD's that do as well.
    """

    arguments: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    version: str = "0"
    capability: str | None = None
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Engine:
    """How an engine's OpenAI server is started: `python -m MODULE…`, and its names for what all of them have."""

    title: str
    package: str
    module: tuple[str, ...]
    model: str  # the flag before the model; "" where it is an argument by itself
    host: str
    port: str
    served_name: str
    lanes: Mapping[str, Lane]


ENGINES: Mapping[str, Engine] = MappingProxyType({
    "vllm": Engine(
        title="vLLM",
        package="vllm",
        module=("vllm.entrypoints.openai.api_server",),
        model="--model",
        host="--host",
        port="--port",
        served_name="--served-model-name",
        lanes=MappingProxyType({
            FAST: Lane(),
            SERIAL: Lane(("--max-num-seqs", "1", "--no-enable-prefix-caching")),
            # vLLM's docs/features/batch_invariance.md; the variable has this name since 0.11.1.
            INVARIANT: Lane(
                environment=(("VLLM_BATCH_INVARIANT", "1"),),
                version="0.11.1",
                capability="8.0",
                architectures=("gfx90a", "gfx942", "gfx950"),
            ),
        }),
    ),
    "lmdeploy": Engine(
        title="LMDeploy",
        package="lmdeploy",
        module=("lmdeploy", "serve", "api_server"),
        model="",
        host="--server-name",
        port="--server-port",
        served_name="--model-name",
        # Prefix caching is off unless asked for, and there are no batch-invariant kernels.
        lanes=MappingProxyType({FAST: Lane(), SERIAL: Lane(("--max-batch-size", "1"))}),
    ),
    "sglang": Engine(
        title="SGLang",
        package="sglang",
        module=("sglang.launch_server",),
        model="--model-path",
        host="--host",
        port="--port",
        served_name="--served-model-name",
        lanes=MappingProxyType({
            FAST: Lane(),
            SERIAL: Lane(("--max-running-requests", "1", "--disable-radix-cache")),
            # SGLang's docs/advanced_features/deterministic_inference.md; its attention needs Ampere.
            INVARIANT: Lane(("--enable-deterministic-inference",), version="0.5.3", capability="8.0"),
        }),
    ),
})  # fmt: skip
