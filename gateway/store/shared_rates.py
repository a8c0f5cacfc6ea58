"""Limits a minute, kept by Redis for all that share it: the arithmetic of `gateway.core.rate` as a script.

Time is Redis's own, so that the clocks of gateways need not agree. All buckets of one tenant are one hash, each field
the time at which that bucket will be full; it ends when all of them are.
"""

from collections.abc import Sequence
from hashlib import sha1

from gateway.core.rate import MINUTE, MOST, ROUNDING, Draw, Level
from gateway.store.away import Away
from gateway.store.pipe import encode

_WORDS = 4  # that a draw is in the script's arguments

# Once a draw is refused, those behind it are not made, unless they are facts. ARGV[1] is the time, "" for Redis's
# own. Told are debt and wait, in microseconds: Redis cuts numbers to whole ones.
SCRIPT = f"""
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] + time[2] / 1000000
end
local told, longest, refused = {{}}, 0, false
for at = 2, #ARGV, {_WORDS} do
    local bucket, limit, amount, fact = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1'
    local debt = math.max(0, (tonumber(redis.call('HGET', KEYS[1], bucket)) or 0) - now)
    debt = math.min(debt, {MOST})
    local cost, wait = amount * {MINUTE} / limit, 0
    if not fact then
        cost = math.min(cost, {MINUTE})
        wait = debt + cost - {MINUTE}
        if wait <= {ROUNDING:f} then wait = 0 end
    end
    if fact or not (refused or wait > 0) then
        debt = math.min(math.max(debt + cost, 0), {MOST})
        redis.call('HSET', KEYS[1], bucket, string.format('%.17g', now + debt))
    else
        refused = true
    end
    longest = math.max(longest, debt)
    told[#told + 1] = math.ceil(debt * 1000000)
    told[#told + 1] = math.ceil(wait * 1000000)
end
redis.call('PEXPIRE', KEYS[1], math.ceil(longest * 1000) + 1000)
return told
"""


_DIGEST = sha1(SCRIPT.encode()).hexdigest()  # noqa: S324  by which Redis knows a script


def words(draws: Sequence[Draw]) -> list[str]:
    """Draws as the script's arguments, with Redis's own time."""
    return ["", *(word for wanted in draws for word in _words(wanted))]


def commands(name: str, words: Sequence[str]) -> bytes:
    """The script by its digest, for a pipe, which wants two commands."""
    return encode("EVALSHA", _DIGEST, "1", name, *words) + encode("PTTL", name)


def levels(draws: Sequence[Draw], told: object) -> list[Level]:
    """What the script told."""
    if not isinstance(told, list) or len(told) != 2 * len(draws):
        raise Away(f"no levels: {told!r}")
    numbers = [int(number) / 1e6 for number in told]
    return [
        Level(wanted.limit, debt, wait)
        for wanted, debt, wait in zip(draws, numbers[::2], numbers[1::2], strict=True)
    ]


def _words(wanted: Draw) -> tuple[str, ...]:
    return wanted.bucket, str(wanted.limit), repr(wanted.amount), str(int(wanted.is_fact))
