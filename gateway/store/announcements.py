"""What other processes say that they changed, as long as the subscription stands."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from redis.asyncio.client import PubSub

from gateway.store.away import Away, limit, mapped
from gateway.store.servers import Servers


class Announcements:
    """A standing subscription."""

    def __init__(self, subscription: PubSub, timeout: float, me: str) -> None:
        self._subscription = subscription
        self._timeout = timeout
        self._me = me

    async def next(self, patience: float) -> str | None:
        """The next key that another process changed; None if none was announced for a while.

        Silence is checked on the subscription's own connection, for another one would prove nothing.
        """
        async with limit(self._timeout + patience):
            message = await self._subscription.get_message(timeout=patience)
        if message is None:
            async with limit(self._timeout):
                await self._subscription.ping()
                message = await self._subscription.get_message(timeout=None)
        if message is None or message["type"] != "message":
            return None
        sender, _, key = message["data"].decode(errors="replace").partition(" ")
        return None if sender == self._me else key


@asynccontextmanager
async def subscribe(servers: Servers, channel: str, patience: float, me: str) -> AsyncIterator[Announcements]:
    """A subscription that Redis has confirmed: from now on no announcement goes unheard, but those by `me`."""
    async with AsyncExitStack() as stack:
        async with limit(patience):
            subscriber = await stack.enter_async_context(servers.subscriber())
            subscription = subscriber.pubsub()
            stack.push_async_callback(_close, subscription)
            await subscription.subscribe(channel)
            answer = await subscription.get_message(timeout=None)
        if answer is None or answer["type"] != "subscribe":
            raise Away("Redis does not confirm the subscription")
        yield Announcements(subscription, patience, me)


async def _close(subscription: PubSub) -> None:
    with mapped():
        await subscription.aclose()  # type: ignore[no-untyped-call]
