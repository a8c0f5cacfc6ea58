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
# KEYS: pin  ARGV: value, milliseconds, channel, announcement; 1 if it is pinned
PIN = """
if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
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
# KEYS: lease  ARGV: owner, milliseconds; 1 if the owner has it
CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
# KEYS: lease  ARGV: owner, channel, announcement
RELEASE = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[2], ARGV[3])
return 1
"""
LEFT = "return redis.call('PTTL', KEYS[1])"
READ = """
if redis.call('TYPE', KEYS[1]).ok ~= 'string' then return false end
return redis.call('GET', KEYS[1])
"""
WRITE = "redis.call('SET', KEYS[1], ARGV[1])"
