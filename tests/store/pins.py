"""Pins for tests."""

from hypothesis import strategies as st

from gateway.core.pin import Pin


def a_pin(body: bytes = b'{"id":"cmpl-0"}', *, samples: int = 3) -> Pin:
    """A pin with this body."""
    return Pin(
        body=body,
        streamed=False,
        outcome="majority",
        agreement=2 / 3,
        k=3,
        samples=samples,
        distinct=2,
        divergence=17,
        tokens=21,
        returned=7,
        policy="majority",
    )


_COUNT = st.integers(0, 1 << 40)

PINS = st.builds(
    Pin,
    body=st.binary(max_size=200),
    streamed=st.booleans(),
    outcome=st.text(max_size=20),
    agreement=st.floats(0, 1),
    k=_COUNT,
    samples=_COUNT,
    distinct=_COUNT,
    divergence=st.none() | _COUNT,
    tokens=_COUNT,
    returned=_COUNT,
    policy=st.text(max_size=20),
    margin=st.none() | st.floats(0, 1e9),
)
