"""The floor of a Redis hit in the language: aiohttp, a digest of the body, one GET.

floor_cache.py PORT UPSTREAM REDIS
"""

import sys
from collections.abc import AsyncIterator
from hashlib import sha256

import aiohttp
import uvloop
from aiohttp import web
from redis.asyncio import Redis

PORT, UPSTREAM, REDIS = int(sys.argv[1]), sys.argv[2], sys.argv[3]
CACHE: web.AppKey["Redis"] = web.AppKey("cache", Redis)


async def complete(request: web.Request) -> web.Response:
    """The kept answer to these very bytes, else the upstream's, kept."""
    asked = await request.read()
    key = "floor:" + sha256(asked).hexdigest()
    answer = await request.app[CACHE].get(key)
    if answer is None:
        answer = await ask(request.path, asked)
        await request.app[CACHE].set(key, answer, ex=3600)
    return web.Response(body=answer, content_type="application/json")


async def ask(path: str, body: bytes) -> bytes:
    """The upstream's answer. Misses are few here: no need to keep a client."""
    headers = {"content-type": "application/json"}
    async with aiohttp.request("POST", UPSTREAM + path, data=body, headers=headers) as reply:
        return await reply.read()


async def cache(app: web.Application) -> AsyncIterator[None]:
    """One Redis client for the life of the process."""
    app[CACHE] = Redis.from_url(REDIS)
    yield
    await app[CACHE].aclose()


async def health(_request: web.Request) -> web.Response:
    """Always well."""
    return web.Response()


if __name__ == "__main__":
    app = web.Application(client_max_size=64 << 20)
    app.cleanup_ctx.append(cache)
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/healthz", health)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=PORT, access_log=None, print=None)
