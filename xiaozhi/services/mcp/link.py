"""A link to one MCP server: kept up, its tools listed, its calls bounded in number and time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.errors import ServiceError
from xiaozhi.services.bridge import from_aio
from xiaozhi.services.counters import Counters
from xiaozhi.services.http import short
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers
from xiaozhi.tooling import Outcome, Scene, Tool

if TYPE_CHECKING:
    from xiaozhi.services.mcp.listing import Offered
    from xiaozhi.services.mcp.session import Session
    from xiaozhi.services.mcp.ways import Opening, Ways

FAILED: Final = "MCP工具调用失败"
"""What the model is told first when there is no result."""
TOOLS: Final = 128
"""Tools of one server that are used."""
AT_ONCE: Final = 16
"""Calls of one server's tools at one time."""
OPENING: Final = 60.0
"""Seconds until the tools of a new session are known: a server may have to be fetched first."""
PING: Final = 30.0
"""Seconds between two pings where nothing else is asked."""
PATIENCE: Final = 10.0
"""Seconds for the answer to one."""
FIRST, LAST = 1.0, 60.0
"""Seconds until a lost connection is opened again: at first, and at most."""

_QUERY = re.compile(r"(\w://[^\s'\"?]*)\?[^\s'\"]*")
"""Of an address in an error: there may be a key in it."""

State = Literal["connecting", "connected", "ending", "lost", "ended"]
"""`lost` is one that is opened again after a while."""


@attrs.frozen
class Library:
    """The official client, imported."""

    session: Any
    """The module `xiaozhi.services.mcp.session`."""
    results: Any
    ways: Ways


@attrs.frozen
class Room:
    """What links use of the house."""

    clock: Any
    counters: Counters
    pool: Workers
    library: Lazy[Library]


def room(clock: Any, counters: Counters, pool: Workers) -> Room:
    """Make what links use; the client is imported in the `pool` once there is a link."""
    return Room(clock, counters, pool, Lazy(pool, partial(_import, pool)))


def _import(pool: Workers) -> Library:
    session, results, ways = (
        import_module(f"xiaozhi.services.mcp.{name}") for name in ("session", "results", "ways")
    )
    return Library(session, results, ways.Ways(pool, os.environ))


@attrs.frozen
class Terms:
    """What is agreed about a server."""

    label: str
    """How its calls are counted."""
    patience: float = 30.0
    """Seconds a call may take."""
    alone: bool = False
    uses: Callable[[str], bool] = lambda tool: True
    devices: Collection[str] | None = None
    """Those it serves; None for all."""
    lasting: bool = True
    """Whether a connection that is lost is opened again."""


class Link(Service):
    """A link to a server. While it runs, one asyncio task at a time owns a session."""

    log = Logger()

    def __init__(
        self,
        name: str,
        opening: Callable[[Ways], Opening],
        terms: Terms,
        room: Room,
        changed: Callable[[Link], object],
    ) -> None:
        """Call it `name`; `changed` is told when its tools, or its state, are others."""
        self.label = name
        self.terms = terms
        self.tools: tuple[Tool, ...] = ()
        self.state: State = "ended"
        self.why = ""
        """Why it is not connected."""
        self._opening = opening
        self._room = room
        self._changed = changed
        self._session: Session | None = None
        self._calls: set[Deferred[Any]] = set()
        self._life: Deferred[None] = succeed(None)
        self._pause: Deferred[None] = succeed(None)

    def serves(self, device: str) -> bool:
        """Say whether its tools are for a device."""
        return self.terms.devices is None or device in self.terms.devices

    def startService(self) -> None:
        """Begin to connect."""
        super().startService()
        self._life = Deferred.fromCoroutine(self._live())
        self._life.addErrback(partial(self.log.failure, "our fault, with an MCP server"))

    def stopService(self) -> Deferred[None]:
        """End the session, and the server if it is a program of ours."""
        super().stopService()
        if self._session is not None:
            self._session.end("it is used no more")
        self._pause.cancel()
        ended: Deferred[None] = Deferred()
        self._life.addBoth(lambda _: ended.callback(None))
        return ended

    # -- the connection --

    async def _live(self) -> None:
        """Be connected as long as the service runs."""
        clock, pause = self._room.clock, FIRST
        while self.running:
            self._become("connecting", self.why)
            began = clock.seconds()
            why = await self._connected()
            if not (self.running and self.terms.lasting):
                break
            if clock.seconds() - began > LAST:  # it was of use
                pause = FIRST
            self._pause = deferLater(clock, pause)
            self._become("lost", why)
            await self._pause.addErrback(_no_matter)
            pause = min(2 * pause, LAST)
        self._become("ended", self.why)

    async def _connected(self) -> str:
        """Have a session from its beginning to its end; tell why it has ended."""
        clock = self._room.clock
        try:
            library = await self._room.library.get()
        except ServiceError as error:
            return error.why
        if not self.running:
            return ""
        session: Session = library.session.Session(
            self._opening(library.ways),
            self._told,
            partial(self._become, "ending"),
            self._room.pool,
        )
        self._session = session
        patience = clock.callLater(OPENING, self._late, session)
        watch = LoopingCall(self._watch, session)
        watch.clock = clock
        watch.start(PING, now=False).addErrback(partial(self.log.failure, "our fault"))
        running = from_aio(session.run())
        why: str = await running.addCallbacks(lambda _: session.why, self._explain)
        watch.stop()
        if patience.active():
            patience.cancel()
        self._session = None
        return session.why or why or "the connection ended"

    def _late(self, session: Session) -> None:
        if self.state == "connecting":
            session.end(f"its tools were not known within {OPENING:g} s")

    def _watch(self, session: Session) -> None:
        """See whether a server is still there; one that works need not answer."""
        if self.state == "connected" and not self._calls:
            answer = from_aio(session.ping()).addTimeout(PATIENCE, self._room.clock)
            answer.addErrback(lambda failure: session.end(f"no answer: {_said(failure)}"))

    def _explain(self, failure: Failure) -> str:
        """Say in a few words why a session broke."""
        error = _cause(failure)
        foreseen = isinstance(error, OSError | ValueError | RuntimeError | ServiceError)
        if not (foreseen or _is_library(error)):
            self.log.failure("our fault, in a session with an MCP server", failure)
        return _words(error)

    def _become(self, state: State, why: str) -> None:
        """Be in another state; a failure is named when it is another than before."""
        if state != "connected":
            self.tools = ()
        is_news = state in ("ending", "lost") and why != self.why
        if is_news and self.running and self.terms.lasting:
            self.log.warn("MCP server {server}: {why}", server=self.label, why=why)
        self.state, self.why = state, why
        self._changed(self)

    def _told(self, server: str, offered: Sequence[Offered]) -> None:
        """Have other tools from now on."""
        if not self.terms.lasting:
            self.label = short(server, 60)
        known: dict[str, Tool] = {}
        for tool in offered:
            if tool.schema is not None and len(known) < TOOLS and self.terms.uses(tool.name):
                known.setdefault(tool.name, self._tool(tool, tool.schema))
        left = len(offered) - len(known)
        if self.state != "connected" or list(known) != [tool.name for tool in self.tools]:
            self.log.info(
                "MCP server {server}: {count} tools{rest}",
                server=self.label,
                count=len(known),
                rest=f", {left} left out" if left else "",
            )
        self.tools = tuple(known.values())
        self.state, self.why = "connected", ""
        self._changed(self)

    def _tool(self, offered: Offered, schema: Mapping[str, Any]) -> Tool:
        name = offered.name

        async def call(arguments: dict[str, Any], scene: Scene) -> Outcome:
            return await self.call(name, arguments)

        return Tool(
            name,
            offered.description,
            call,
            schema,
            self.terms.alone,
            self.terms.patience + 1,  # the link's own deadline comes first, and tells more
        )

    # -- calls --

    def call(self, tool: str, arguments: dict[str, Any]) -> Deferred[Outcome]:
        """Call a tool. What goes wrong is an outcome, too; cancelling this cancels the call."""
        session, terms = self._session, self.terms
        if session is None or self.state != "connected":
            return succeed(self._lost(tool, f"{self.label} is not connected", "lost"))
        if len(self._calls) >= AT_ONCE:
            return succeed(self._lost(tool, "too many calls at once", "refused"))
        asked: Deferred[Any] = from_aio(session.call(tool, arguments))
        self._calls.add(asked)
        asked.addTimeout(terms.patience, self._room.clock)
        asked.addBoth(self._done, asked)
        # Made in a thread, since a result may be long and have pictures.
        asked.addCallback(self._outcome)
        asked.addErrback(self._failed, tool, session)
        return asked

    def _done(self, result: Any, asked: Deferred[Any]) -> Any:
        self._calls.discard(asked)
        return result

    def _outcome(self, result: Any) -> Deferred[Outcome]:
        library = self._room.library.get()
        made: Deferred[Outcome] = library.addCallback(
            lambda found: self._room.pool.run(found.results.outcome, result)
        )
        return made.addCallback(self._count)

    def _count(self, outcome: Outcome) -> Outcome:
        counted = "failed" if outcome.failed else "done"
        self._room.counters.count("mcp_calls", server=self.terms.label, outcome=counted)
        return outcome

    def _failed(self, failure: Failure, tool: str, session: Session) -> Outcome | Failure:
        """Tell why there is no result."""
        if failure.check(CancelledError):
            self._room.counters.count("mcp_calls", server=self.terms.label, outcome="cancelled")
            return failure
        if failure.check(TimedOut):
            return self._lost(tool, f"no result within {self.terms.patience:g} s", "late")
        if session is not self._session or session.why:
            return self._lost(tool, session.why or "the connection was lost", "lost")
        error = _cause(failure)
        if _is_library(error):  # the server's answer, or that of HTTP: is it still there?
            self._watch(session)
            return self._lost(tool, _words(error), "refused")
        if isinstance(error, ValueError):
            return self._lost(tool, "the result cannot be read", "refused")
        if isinstance(error, ServiceError):
            return self._lost(tool, error.why, "refused")
        return failure

    def _lost(self, tool: str, why: str, counted: str) -> Outcome:
        self._room.counters.count("mcp_calls", server=self.terms.label, outcome=counted)
        return Outcome(f"{FAILED}: {tool}: {why}", failed=True)


def _no_matter(failure: Failure) -> None:
    failure.trap(CancelledError)


def _cause(failure: Failure) -> BaseException:
    """Tell the error of a failure; of a group of them, the first."""
    error = failure.value
    assert error is not None
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _is_library(error: BaseException) -> bool:
    """Say whether it is an error of the official client, or of HTTP."""
    return type(error).__module__.partition(".")[0] in ("mcp", "httpx2", "httpcore2", "anyio")


def _said(failure: Failure) -> str:
    if failure.check(TimedOut):
        return f"none within {PATIENCE:g} s"
    return _words(_cause(failure))


def _words(error: BaseException) -> str:
    if isinstance(error, ValueError):
        return "what it says is no MCP"
    return short(_QUERY.sub(r"\1", str(error)) or type(error).__name__)
