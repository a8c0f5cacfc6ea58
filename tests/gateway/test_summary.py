"""How upstreams stand, in the summary: of one process, and of several."""

import pytest

from gateway.core.breaker import CLOSED, HALF_OPEN, OPEN
from gateway.core.policy import PRESETS
from gateway.serving.summary import Standing
from gateway.settings.model import BreakerSettings, UpstreamSettings
from tests.doubles.gateway import Client, open_gateway
from tests.doubles.upstream import open_upstream
from tests.doubles.waiting import until_async

TWO = PRESETS["majority"].override({"k": 2, "min_ballots": 1, "cache": False})


async def states(client: Client) -> dict[str, dict[str, str | None]]:
    told: dict[str, dict[str, str | None]] = (await client.get("/v1/consistency/summary")).json[
        "upstream_states"
    ]
    return told


@pytest.mark.parametrize(("cooldown", "breaker"), [(1e6, "open"), (0.001, "half-open")])
async def test_the_breaker(cooldown: float, breaker: str) -> None:
    """One that keeps failing is up, with its breaker open, or half-open once the cooldown is over."""
    settings = BreakerSettings(failures=3, cooldown=cooldown)
    async with (
        open_upstream(500) as bad,
        open_upstream() as good,
        open_gateway(bad, good, default_policy=TWO, breaker=settings) as client,
    ):
        while not client.inside.pool.ejected:
            await client.chat()

        async def is_told() -> bool:
            return (await states(client))["u0"]["breaker"] == breaker

        await until_async(is_told)
        assert ("up", "closed") == (
            (await states(client))["u0"]["state"],
            (await states(client))["u1"]["breaker"],
        )


async def test_a_reference_lane_that_is_not_trusted() -> None:
    """The lane, and the reason for which it is not used; none for one that need not be probed."""
    async with open_upstream() as fast, open_upstream("1", "2") as doubtful:
        made = (
            UpstreamSettings(name="fast", url=fast.url),
            UpstreamSettings(name="doubtful", url=doubtful.url, lane="reference"),
            UpstreamSettings(name="trusted", url=fast.url, lane="reference", trust=True),
        )
        async with open_gateway(upstreams=made) as client:
            told = await states(client)
            lanes = {name: each["lane"] for name, each in told.items()}
            assert {"fast": "fast", "doubtful": "reference", "trusted": "reference"} == lanes
            doubt = told["doubtful"]["doubt"]
            assert doubt is not None
            assert "prompts have more than one text" in doubt
            assert (None, None) == (told["fast"]["doubt"], told["trusted"]["doubt"])


@pytest.mark.parametrize(
    ("one", "other", "worse"),
    [(CLOSED, HALF_OPEN, HALF_OPEN), (HALF_OPEN, OPEN, OPEN), (CLOSED, OPEN, OPEN), (CLOSED, CLOSED, CLOSED)],
)
def test_of_several_views_the_worst_is_told(one: int, other: int, worse: int) -> None:
    """Of what two workers see: down if one cannot reach it, the breaker that is furthest from closed, any doubt."""
    views = Standing(True, "reference", one, "why"), Standing(False, "reference", other, "")  # noqa: FBT003
    expected = Standing(False, "reference", worse, "why")  # noqa: FBT003
    assert expected == views[0].worse(views[1]) == views[1].worse(views[0])
