"""What Redis is told in one step, as Lua: neither torn apart nor seen half done, and one round trip.

All keys of a script belong to one key of ours and so lie on one node of a cluster. A change and its announcement
are one step, so that neither is ever without the other. A script is granted what its caller is: an ACL has to
allow the commands in it, too.
"""

# Of a pin: the value and its time to live; what is no string counts as nothing.
FETCH = """
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return {false, -2} end
return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}
"""
SIZE = """
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return 0 end
return redis.call('STRLEN', KEYS[1])
"""
# The pin, unless there is one; with it its leader's lease goes.
# KEYS: pin, lease, waits  ARGV: value, milliseconds, channel, announcement, leader; 1 if it is pinned
PIN = """
local pinned = redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
local leads = ARGV[5] ~= '' and redis.call('GET', KEYS[2]) == ARGV[5]
if leads then redis.call('DEL', KEYS[2], KEYS[3]) end
if pinned or leads then redis.call('PUBLISH', ARGV[3], ARGV[4]) end
return pinned and 1 or 0
"""
REPLACE = """
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
"""
# KEYS: pin  ARGV: channel, announcement; 1 if there was one
DELETE = """
local was = redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[1], ARGV[2])
return was
"""
# What bars a key without being a pin goes, unless it is another value by now.
# KEYS: pin  ARGV: SHA-1 of the value
REMOVE = """
local kind = redis.call('TYPE', KEYS[1]).ok
if kind == 'string' and redis.sha1hex(redis.call('GET', KEYS[1])) ~= ARGV[1] then return end
redis.call('DEL', KEYS[1])
"""
# Whether it takes writes; nothing is left of it.
PROVE = """
redis.call('SET', KEYS[1], '', 'PX', 1000)
redis.call('DEL', KEYS[1])
"""
_NOW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
"""
# A note that somebody waits, which ends by itself: his process may die.
_NOTE = """
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
"""
# Take or renew the lease. Who cannot waits; nobody can once there is a pin.
# KEYS: lease, waits, pin, told  ARGV: owner, milliseconds; 1 if the owner has it
CLAIM = f"""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
    {_NOW} {_NOTE}
    return 0
end
if not holder then
    if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
    redis.call('ZREM', KEYS[2], ARGV[1])
    redis.call('DEL', KEYS[4])
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# Give the lease back; what it came to without a pin is told to those who wait.
# KEYS: lease, waits, told  ARGV: owner, milliseconds, channel, announcement, what is told
RELEASE = f"""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return end
{_NOW}
if ARGV[5] ~= '' and redis.call('ZCOUNT', KEYS[2], now, '+inf') > 0 then
    redis.call('SET', KEYS[3], ARGV[5], 'PX', ARGV[2])
end
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('PUBLISH', ARGV[3], ARGV[4])
"""
# Wait on: how long the lease still lasts, and once it has gone what was told.
# KEYS: lease, waits, told  ARGV: owner, milliseconds
WAIT = f"""
local left = redis.call('PTTL', KEYS[1])
if left == -2 then return {{left, redis.call('GET', KEYS[3])}} end
{_NOW} {_NOTE}
return {{left, false}}
"""
# Wait no more.
# KEYS: waits  ARGV: owner, channel, announcement
LEAVE = """
if redis.call('ZREM', KEYS[1], ARGV[1]) == 1 then redis.call('PUBLISH', ARGV[2], ARGV[3]) end
"""
# How many wait.
WAITING = f"{_NOW} return redis.call('ZCOUNT', KEYS[1], now, '+inf')"
# At the end of a stream, which is cut to about so many entries.
# KEYS: stream  ARGV: length, entries
APPEND = """
for at = 2, #ARGV do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'round', ARGV[at])
end
"""
READ = """
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return false end
return redis.call('GET', KEYS[1])
"""
# KEYS: text  ARGV: text, milliseconds unless it has no end
WRITE = """
if ARGV[2] then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) else redis.call('SET', KEYS[1], ARGV[1]) end
"""
