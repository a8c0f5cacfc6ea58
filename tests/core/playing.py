"""Rounds played from scripts, in any order of arrival."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

from gateway.core.ballot import Abstention, Reply, Sample
from gateway.core.failure import NoSamples
from gateway.core.plan import Plan
from gateway.core.policy import Policy
from gateway.core.round import Launch, Round
from gateway.core.vote import Agrees, Verdict

UNREACHABLE = 0  # in a script: no status, for no connection was made

# What a sample will be: a text, a whole reply, or the status of a failure. A script has one for each index.
Note = str | int | Reply
Script = Sequence[Note]


def outcome(index: int, note: Note) -> Sample | Abstention:
    """What comes of a launch, by the script's note."""
    if isinstance(note, str):
        note = Reply(note, tokens=1)
    if isinstance(note, Reply):
        return Sample(index, note)
    if note == UNREACHABLE:
        return Abstention(index, "unreachable")
    return Abstention(index, "status", note, b"detail", (("retry-after", "7"),))


@dataclass(frozen=True, slots=True)
class Play:
    """A round played to its end: what it launched, what arrived, and what it cancelled."""

    round: Round
    launched: list[Launch]
    arrived: list[int]
    cancelled: list[int]

    @property
    def verdict(self) -> Verdict:
        assert isinstance(self.round.result, Verdict)
        return self.round.result

    @property
    def lost(self) -> NoSamples:
        assert isinstance(self.round.result, NoSamples)
        return self.round.result

    @property
    def answer(self) -> str:
        """The winning answer, under `normalized`."""
        return " ".join(self.verdict.winner.reply.content.split())


def play(
    policy: Policy,
    script: Script,
    order: Sequence[int] | None = None,
    agrees: Agrees | None = None,
    *,
    greedy: bool = False,
    reference: Note = "reference",
) -> Play:
    """Play a round. Of the samples in flight, the one that comes first in `order` arrives next.

    Every order in which samples can arrive is the play of some `order`: that very one. The sample that
    arbitrates is `reference`.
    """
    game = Play(Round(Plan(policy, 100, greedy=greedy, question=b"question"), agrees), [], [], [])
    order = range(len(script)) if order is None else order
    in_flight: dict[int, Note] = {}
    actions = game.round.start()
    while True:
        for action in actions:
            if isinstance(action, Launch):
                game.launched.append(action)
                arbitrates = game.round.reference == "asked"
                in_flight[action.index] = reference if arbitrates else script[action.index]
            else:
                game.cancelled.append(action.index)
                del in_flight[action.index]
        if game.round.result is not None:
            assert not in_flight, "what is in flight at the end is cancelled"
            return game
        assert in_flight, "a round without a result waits for something"
        index = min(in_flight, key=lambda index: order.index(index) if index in order else index)
        game.arrived.append(index)
        actions = game.round.receive(outcome(index, in_flight.pop(index)))


NOTES: st.SearchStrategy[Note] = st.sampled_from(
    ["a", "a", "a ", " a", "b", "b ", "c", 429, 503, UNREACHABLE]
)
LETTERS: st.SearchStrategy[Note] = st.sampled_from(["A", "(A)", "B", "C", "?", "??"])  # choices, and none
THRESHOLDS = st.sampled_from([0.0, 0.0, 0.33, 0.34, 0.5, 0.6, 2 / 3, 0.67, 0.8, 1.0])


@st.composite
def games(draw: st.DrawFn) -> tuple[Policy, Script, Sequence[int]]:
    """A policy with k up to 6, a script without final errors, and an order of arrival."""
    k = draw(st.integers(1, 6))
    policy = Policy(
        k=k,
        answer="normalized",
        stop=draw(st.sampled_from(["unbeatable", "unbeatable", "all"])),
        min_ballots=draw(st.one_of(st.none(), st.integers(1, k + 1))),
        min_agreement=draw(THRESHOLDS),
        wave=draw(st.integers(1, 4)),
    )
    script: Script = draw(st.lists(NOTES, min_size=k + 1, max_size=k + 1))
    return policy, script, draw(st.permutations(range(k + 1)))


@dataclass(frozen=True, slots=True)
class Game:
    """All that a round's course depends on."""

    policy: Policy
    script: Script
    order: Sequence[int]
    greedy: bool
    reference: Note

    def play(self, order: Sequence[int] | None = None) -> Play:
        """Play it, in its own order or another."""
        order = self.order if order is None else order
        return play(self.policy, self.script, order, greedy=self.greedy, reference=self.reference)


@st.composite
def any_games(draw: st.DrawFn) -> Game:
    """A game under any policy there is, with k up to 5 and escalation up to 8."""
    k, most = draw(st.integers(1, 5)), draw(st.integers(6, 8))
    escalate = f"escalate:{most}"
    policy = Policy(
        k=k,
        answer=draw(st.sampled_from(["normalized", "choice"])),
        lane=draw(st.sampled_from(["fast", "fast", "reference"])),
        stop=draw(st.sampled_from(["all", "unbeatable", "beta:0.95", "beta:0.7"])),
        min_ballots=draw(st.one_of(st.none(), st.integers(1, k))),
        min_agreement=draw(THRESHOLDS),
        on_disagreement=draw(st.sampled_from(["return", "reject", escalate, escalate, "reference"])),
        reference_fallback=draw(st.sampled_from(["error", "return"])),
        wave=draw(st.integers(1, 4)),
        accept_margin=draw(st.sampled_from([None, 0.5])),
    )
    margins = st.builds(Reply, st.sampled_from(["A", "B"]), margin=st.sampled_from([None, 0.1, 0.5, 2.0]))
    script: Script = draw(st.lists(st.one_of(NOTES, LETTERS, margins), min_size=most + 1, max_size=most + 1))
    reference: Note = draw(st.sampled_from(["A", "?", "503"]))
    return Game(
        policy,
        script,
        draw(st.permutations(range(most + 1))),
        greedy=draw(st.booleans()),
        reference=503 if reference == "503" else reference,
    )


def shows(text: str) -> Agrees:
    """Whether a sample agrees with a stream that has shown this text."""
    return lambda sample: sample.reply.content.startswith(text)
