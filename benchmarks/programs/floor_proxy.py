"""The floor of the language: the shortest aiohttp reverse proxy that still streams and keeps connections.

floor_proxy.py PORT UPSTREAM
"""

import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

PORT, UPSTREAM = int(sys.argv[1]), sys.argv[2]
CLIENT = web.AppKey("client", aiohttp.ClientSession)


async def relay(request: web.Request) -> web.StreamResponse:
    """Send the body on; answer with what comes back, an event stream piece by piece."""
    sent = {"content-type": "application/json", "authorization": request.headers.get("authorization", "")}
    async with request.app[CLIENT].request(
        request.method, UPSTREAM + request.path_qs, data=await request.read(), headers=sent
    ) as reply:
        headers = {"content-type": reply.headers["content-type"]}
        if reply.content_type != "text/event-stream":
            return web.Response(status=reply.status, body=await reply.read(), headers=headers)
        response = web.StreamResponse(status=reply.status, headers=headers)
        await response.prepare(request)
        async for piece in reply.content.iter_any():
            await response.write(piece)
        return response


async def client(app: web.Application) -> AsyncIterator[None]:
    """One client for the life of the process."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as app[CLIENT]:
        yield


if __name__ == "__main__":
    app = web.Application(client_max_size=64 << 20)
    app.cleanup_ctx.append(client)
    app.router.add_route("*", "/{path:.*}", relay)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=PORT, access_log=None, print=None)
