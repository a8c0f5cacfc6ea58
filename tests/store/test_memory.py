"""The embedded store: bounded in bytes, least recently used first, nothing after its end."""

from collections import OrderedDict
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.core.pin import Pin
from gateway.store.memory import MemoryStore
from tests.store.pins import a_pin

ENTRY = 1024  # what an entry counts beside its body
LIMIT = 5 * ENTRY


@dataclass
class Clock:
    """Seconds that pass when a test says so."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Shelf:
    """A store with room for these many bytes, and its clock."""

    limit: int = LIMIT
    clock: Clock = field(default_factory=Clock)
    store: MemoryStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = MemoryStore(self.limit, self.clock)

    def keys(self, names: str) -> str:
        """Those of these one-letter keys that are kept. Looking makes them the latest used, in this order."""
        return "".join(name for name in names if self.store.look_up(name))


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.mark.parametrize(
    ("used", "kept"),
    [
        ("", "bcdef"),  # nothing used since: the first goes
        ("a", "acdef"),
        ("ab", "abdef"),
        ("edcba", "abcdf"),
    ],
)
def test_the_least_recently_used_goes_first(shelf: Shelf, used: str, kept: str) -> None:
    """A full store makes room by giving up the pin that was looked up longest ago."""
    for name in "abcde":
        shelf.store.put(name, a_pin(b""), 60)
    for name in used:
        shelf.store.look_up(name)
    shelf.store.put("f", a_pin(b""), 60)
    assert kept == shelf.keys("abcdef")


def test_one_large_pin_pushes_out_several(shelf: Shelf) -> None:
    """As many pins go as it takes, and no more."""
    for name in "abcde":
        shelf.store.put(name, a_pin(b""), 60)
    shelf.store.put("f", a_pin(bytes(2 * ENTRY)), 60)
    assert "def" == shelf.keys("abcdef")


@pytest.mark.parametrize(("length", "kept"), [(LIMIT - ENTRY, "f"), (LIMIT - ENTRY + 1, "a")])
def test_a_pin_larger_than_the_bound_is_not_kept(shelf: Shelf, length: int, kept: str) -> None:
    """A pin that fills the bound is kept alone; one byte more, and the others stay instead."""
    shelf.store.put("a", a_pin(), 60)
    shelf.store.put("f", a_pin(bytes(length)), 60)
    assert kept == shelf.keys("af")


async def test_a_pin_too_large_to_keep_is_given_back(shelf: Shelf) -> None:
    """Pinning what cannot be kept still answers with it."""
    large = a_pin(bytes(LIMIT))
    assert large is await shelf.store.pin("a", large, 60)
    assert await shelf.store.get("a") is None


def test_a_too_large_successor_ends_the_old_pin(shelf: Shelf) -> None:
    """What was to be replaced is not served any more, even if its successor cannot be kept."""
    shelf.store.put("a", a_pin(), 60)
    shelf.store.put("a", a_pin(bytes(LIMIT)), 60)
    assert shelf.store.look_up("a") is None


def test_no_room_at_all() -> None:
    """A bound of nothing keeps nothing and breaks nothing."""
    store = MemoryStore(0)
    store.put("a", a_pin(), 60)
    assert {"entries": 0, "bytes": 0, "limit": 0} == store.sizes()


@pytest.mark.parametrize(("passed", "left"), [(0, 60), (1, 59), (59.75, 0.25), (60, None), (61, None)])
def test_a_pin_ends_with_its_ttl(shelf: Shelf, passed: float, left: float | None) -> None:
    """The ttl counts down with the clock, and at its end there is no pin."""
    shelf.store.put("a", a_pin(), 60)
    shelf.clock.now += passed
    found = shelf.store.look_up("a")
    assert left == (found and found.ttl)


def test_an_ended_pin_takes_no_room(shelf: Shelf) -> None:
    """A pin that is found to have ended gives its bytes back."""
    shelf.store.put("a", a_pin(), 60)
    shelf.clock.now += 60
    shelf.store.look_up("a")
    assert {"entries": 0, "bytes": 0, "limit": LIMIT} == shelf.store.sizes()


async def test_an_ended_pin_can_be_pinned_anew(shelf: Shelf) -> None:
    """First-writer-wins lasts as long as the first writer's pin."""
    first, second = a_pin(b"first"), a_pin(b"second")
    await shelf.store.pin("a", first, 60)
    shelf.clock.now += 59
    assert first is await shelf.store.pin("a", second, 60)
    shelf.clock.now += 1
    assert second is await shelf.store.pin("a", second, 60)


async def test_an_ended_pin_was_not_there_to_delete(shelf: Shelf) -> None:
    """Deleting says whether a living pin went."""
    shelf.store.put("a", a_pin(), 60)
    shelf.clock.now += 60
    assert not await shelf.store.delete("a")


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_pin_without_a_future_is_not_kept(shelf: Shelf, ttl: float) -> None:
    """A ttl that is over already keeps nothing."""
    shelf.store.put("a", a_pin(), ttl)
    assert shelf.store.look_up("a") is None


def test_clearing_forgets_all(shelf: Shelf) -> None:
    """After `clear` no pin and no byte is left."""
    for name in "abc":
        shelf.store.put(name, a_pin(), 60)
    shelf.store.clear()
    assert ("", 0, 0) == (shelf.keys("abc"), len(shelf.store), shelf.store.size)


NAMES = st.sampled_from("abcdefgh")
LENGTHS = st.sampled_from([0, 1, 100, ENTRY, 2 * ENTRY, LIMIT - ENTRY, LIMIT - ENTRY + 1, LIMIT])
TTLS = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 60.0])


class AnySequence(RuleBasedStateMachine):
    """Does anything to a store, and the same to the obvious model of it."""

    model: OrderedDict[str, tuple[Pin, float]]

    def __init__(self) -> None:
        super().__init__()
        self.shelf = Shelf()
        self.model = OrderedDict()

    @rule(name=NAMES, length=LENGTHS, ttl=TTLS)
    def put(self, name: str, length: int, ttl: float) -> None:
        pin = a_pin(bytes(length))
        self.shelf.store.put(name, pin, ttl)
        self.model.pop(name, None)
        if ttl <= 0 or length + ENTRY > LIMIT:
            return
        self.model[name] = pin, self.shelf.clock.now + ttl
        while self.modelled_size() > LIMIT:
            self.model.popitem(last=False)

    @rule(name=NAMES)
    def look_up(self, name: str) -> None:
        found = self.shelf.store.look_up(name)
        expected = self.model.pop(name, None)
        if expected is not None and expected[1] > self.shelf.clock.now:
            self.model[name] = expected
            assert (expected[0], expected[1] - self.shelf.clock.now) == (found and (found.pin, found.ttl))
        else:
            assert found is None

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        assert (self.model.pop(name, None) is not None) == self.shelf.store.drop(name)

    @rule()
    def clear(self) -> None:
        self.shelf.store.clear()
        self.model.clear()

    @rule(seconds=st.sampled_from([0.25, 0.5, 30.0]))
    def wait(self, seconds: float) -> None:
        self.shelf.clock.now += seconds

    @invariant()
    def the_bound_holds(self) -> None:
        """Sizes are those of the model, and never above the bound."""
        expected = {"entries": len(self.model), "bytes": self.modelled_size(), "limit": LIMIT}
        assert expected == self.shelf.store.sizes()
        assert expected["bytes"] <= LIMIT

    def modelled_size(self) -> int:
        return sum(len(pin.body) + ENTRY for pin, _ in self.model.values())


AnySequence.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestAnySequence = AnySequence.TestCase


async def test_texts_are_bounded() -> None:
    """However many texts are told, a bounded number is kept, the ones told last."""
    store = MemoryStore(1 << 20)
    await store.remember("again", "first")
    for number in range(10_000):
        await store.remember(f"{number}", "text")
        await store.remember("again", f"{number}")
    assert 4096 == len(store._texts)
    assert ("9999", None) == (await store.recall("again"), await store.recall("0"))


async def test_texts_with_an_end() -> None:
    """They are forgotten in time, the ones told first where there are many, and drive out none without an end."""
    now = 0.0
    store = MemoryStore(1 << 20, clock=lambda: now)
    await store.remember("lasting", "text")
    for number in range(20_000):
        await store.remember(f"{number}", "text", 10)
    assert 16_384 == len(store._passing)
    assert ("text", "text", None) == tuple([await store.recall(each) for each in ("lasting", "19999", "0")])
    now = 10.0
    assert ("text", None) == (await store.recall("lasting"), await store.recall("19999"))
