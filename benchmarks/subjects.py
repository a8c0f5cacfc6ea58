"""What is measured: modes of the gateway, and floors. These tables are all there is to a mode."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from benchmarks.processes import Group

_ASKED = (
    "A train covers 180 km in 2.5 hours. How far does it travel in 35 minutes at the same speed, in km? "
    "Think step by step and end with: The final answer is N."
)
_LONG = "The quick brown fox jumps over the lazy dog. " * 800  # about 8,000 tokens
_NO_STORE = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Question:
    """A request: its body, and header fields beside the usual ones."""

    prompt: str = _ASKED
    members: str = '"temperature":0,"seed":1'
    model: str = "m"
    headers: Mapping[str, str] = field(default_factory=dict)
    copies: int = 0  # so many requests in a row share one key of their own; 0: all are the same

    @property
    def body(self) -> str:
        """The JSON text. With `copies`, `@KEY@` in it stands for the key."""
        prompt = f"@KEY@ {self.prompt}" if self.copies else self.prompt
        return (
            f'{{"model":"{self.model}","messages":[{{"role":"system","content":"Be brief."}},'
            f'{{"role":"user","content":"{prompt}"}}],"max_tokens":256,{self.members}}}'
        )

    def to_model(self, model: str, extra: str) -> "Question":
        """The same for a server that names the model in its own way and wants more members."""
        return replace(self, model=model, members=self.members + extra)


GREEDY = Question()
SAMPLED = Question(members='"temperature":0.7')  # neither seed nor temperature 0: not deterministic


@dataclass(frozen=True, slots=True)
class Mode:
    """One of the gateway's ways to answer, and how to see that it was this one."""

    title: str
    question: Question
    source: str  # x-consistency-source of an answer
    settings: Mapping[str, str] = field(default_factory=dict)  # SCG_ variables beside the upstream


_REDIS = {"SCG_CACHE__URL": "@REDIS@", "SCG_CACHE__MEMORY": "0"}
_THROUGH = {"SCG_VOTE__WHEN": "deterministic"}
_ONCE = {"SCG_VOTE__K": "1"}
# A process of its own, for it pins ten thousand answers: memory is looked at where nothing but traffic can fill it.
_APART = {"SCG_CACHE__TTL": "1d"}

MODES: Mapping[str, Mode] = {
    "pass-through": Mode("pass-through", SAMPLED, "passthrough", _THROUGH),
    "single": Mode("k=1, no cache", replace(GREEDY, headers=_NO_STORE), "single", _ONCE),
    "hit": Mode("hit in memory", GREEDY, "cache"),
    "redis-hit": Mode("hit in Redis, no memory layer", GREEDY, "cache", _REDIS),
    "k3": Mode("k=3 agreeing, no cache", replace(GREEDY, headers=_NO_STORE), "vote"),
    "k3-all": Mode(
        "k=3, stop: all, no cache", replace(GREEDY, headers=_NO_STORE), "vote", {"SCG_VOTE__STOP": "all"}
    ),
    "copies": Mode("k=3, 16 copies of each key", replace(GREEDY, copies=16), "vote", _APART),
    "long-hit": Mode("hit, 8,000-token prompt", replace(GREEDY, prompt=_LONG), "cache"),
    "long-single": Mode(
        "k=1, 8,000-token prompt", replace(GREEDY, prompt=_LONG, headers=_NO_STORE), "single", _ONCE
    ),
}

FLOORS: Mapping[str, tuple[str, Question]] = {
    "upstream": ("the canned upstream itself", SAMPLED),
    "nginx": ("nginx proxy_pass", SAMPLED),
    "floor-proxy": ("shortest aiohttp proxy", SAMPLED),
    "floor-cache": ("shortest aiohttp + Redis GET", GREEDY),
}


# What does the same work stands, and runs, side by side.
SECTIONS: Mapping[str, tuple[str, ...]] = {
    "passing a request through": (
        "upstream", "nginx", "floor-proxy", "pass-through", "vllm-router", "rolter", "tensorzero", "litellm",
    ),
    "answering from a cache": (
        "floor-cache", "hit", "redis-hit", "rolter-cache", "tensorzero-cache", "litellm-cache",
    ),
    "asking and voting": ("single", "k3", "k3-all", "copies"),
    "8,000-token prompts": ("long-hit", "long-single"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Subject:
    """A running server and the question that it is measured by."""

    name: str
    title: str
    url: str
    group: Group
    question: Question
    source: str = ""
    is_ours: bool = False
