"""Waits for what was asked for under a token.

Cancelling a wait forgets the answer: whatever comes later, or has come in the same moment, goes to
whoever clears up after it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from phantomdb.core.events import Reply


@dataclass(slots=True, eq=False)
class _Wait:
    come: trio.Event = field(default_factory=trio.Event)
    reply: Reply | None = None


class Replies:
    """Those that somebody waits for."""

    def __init__(self, unwanted: Callable[[Reply], None]) -> None:
        """`unwanted` is told of a reply that nobody waits for any more."""
        self._unwanted = unwanted
        self._waiting: dict[int, _Wait] = {}
        self._token = 0

    async def ask(self, submit: Callable[[int], None]) -> Reply:
        """Submit something under a new token and return its reply."""
        self._token += 1
        token = self._token
        wait = self._waiting[token] = _Wait()
        try:
            submit(token)
            await wait.come.wait()
        except BaseException:
            if wait.reply is not None:
                self._unwanted(wait.reply)
            raise
        finally:
            del self._waiting[token]
        assert wait.reply is not None, "it has come"
        return wait.reply

    def put(self, reply: Reply) -> None:
        """Hand a reply to whoever waits for it."""
        wait = self._waiting.get(reply.token)
        if wait is None or wait.reply is not None:
            self._unwanted(reply)
        else:
            wait.reply = reply
            wait.come.set()
