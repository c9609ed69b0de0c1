"""The tools of one connected device: learned when it says hello, called one at a time.

The firmware runs a call in its main loop: until it has replied it neither listens nor speaks nor
takes another call. Hence the queue, `busy`, and patience.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import __version__, messages
from xiaozhi.errors import ServiceError
from xiaozhi.jsonrpc import Calls, Fault, notification
from xiaozhi.link import Link
from xiaozhi.mcpvalues import FAILED, Described, described, outcome
from xiaozhi.services.counters import Counters
from xiaozhi.services.deadline import within
from xiaozhi.timers import Timers
from xiaozhi.tooling import Outcome, Scene, Tool

ANSWER: Final = 10.0
"""Seconds a device has to introduce itself, and for each page of its list."""
CALL: Final = 30.0
"""Seconds a call may take."""
PHOTO: Final = 35.0
"""Seconds for a photo: the firmware has half a minute for the upload alone."""
WAIT: Final = 10.0
"""Seconds a call may wait for those before it."""
QUEUE: Final = 8
"""Calls that may wait."""

INTRODUCTION: Final = 1.0
"""Seconds from its hello for which a question waits until it is known what the device can do."""

PAGES: Final = 32
"""Pages of a list that are asked for."""
TOOLS: Final = 128
"""Tools of one device."""
BYTES: Final = 131_072
"""What these may take of what a model is told."""


class Late(ServiceError):
    """The device did not reply in time."""


@attrs.define(eq=False)
class _Asked:
    """A request, and whoever waits for its result."""

    method: str
    params: Mapping[str, Any]
    seconds: float
    answer: Deferred[Any] = attrs.field(factory=Deferred[Any])


@attrs.frozen
class _Introduction:
    """Learning what a device can do."""

    work: Deferred[None]
    until: float
    """Whoever needs it waits until then, by the clock."""


class DeviceTools:
    """Where the tools of a device come from (a `Source`), as long as it is connected."""

    log = Logger()

    def __init__(
        self, link: Link, clock: Any, counters: Counters, vision: Mapping[str, str]
    ) -> None:
        """Ask the device behind `link`. `vision` is where its photos go: `url` and `token`."""
        self._link = link
        self._counters = counters
        self._vision = vision
        self._timers = Timers(clock, link)
        self._calls: Calls[_Asked] = Calls(1)
        self._waiting: list[_Asked] = []
        self._described: dict[str, Described] = {}
        self._tools: tuple[Tool, ...] | None = None
        """Made when somebody asks for them: most devices that are connected say nothing."""
        self._learning: _Introduction | None = None
        self._freed: list[Deferred[None]] = []
        """Who waits until the device can speak again."""
        self._awake = False
        """Whether the device has shown that it does not run what it was asked last."""
        self._closed = False

    # -- what the visit tells --

    def begin(self) -> None:
        """Learn what the device can do, since its hello says that it can be asked; once."""
        if self._learning is None and not self._closed:
            work = Deferred.fromCoroutine(self._learn()).addErrback(self._failed)
            self._learning = _Introduction(work, self._timers.now + INTRODUCTION)

    def receive(self, payload: Mapping[str, Any]) -> None:
        """Take JSON-RPC of the device's; what is no reply to us is ignored."""
        reply = self._calls.take(payload)
        if reply is None:
            return
        if isinstance(reply.result, Fault):
            reply.kept.answer.errback(ServiceError("tool", f"{FAILED}: {reply.result.why}"))
        else:
            reply.kept.answer.callback(reply.result)
        self._next()

    def awake(self) -> None:
        """Note that the device has told what its user does: its main loop is not in a tool.

        It never replies to what it does not like, so that this may be the end of a call.
        """
        self._awake = True
        self._release()

    def close(self) -> None:
        """Fail whatever is under way: the connection is gone. Idempotent."""
        self._closed = True
        self._described.clear()
        self._tools = None
        self._timers.stop()
        if self._learning is not None:
            self._learning.work.cancel()
        left = [*self._calls.clear(), *self._waiting]
        self._waiting.clear()
        for asked in left:
            asked.answer.errback(ServiceError("tool", f"{FAILED}: the device has gone"))
        self._next()

    # -- what others ask --

    def tools(self, device: str = "") -> Sequence[Tool]:
        """Tell what the device can do, in its own order; those for operators are among them."""
        if self._tools is None:
            self._tools = tuple(self._made(one) for one in self._described.values())
        return self._tools

    @property
    def busy(self) -> bool:
        """Whether the device runs a call, so that it would not hear that speech begins."""
        return not self._awake and any(asked.method == "tools/call" for asked in self._calls)

    def introduced(self) -> Deferred[None]:
        """Wait until it is known what the device can do, but not for long after its hello."""
        learning, known = self._learning, Deferred[None]()

        def learnt(result: None) -> None:
            if not known.called:
                known.callback(None)

        left = learning.until - self._timers.now if learning is not None else 0.0
        if learning is None or learning.work.called or left <= 0:
            return succeed(None)
        learning.work.addCallback(learnt)
        return within(left, known, self._timers.clock, lambda *_: None)

    def free(self) -> Deferred[None]:
        """Wait until the device is not `busy`: the longest call, at most."""
        if not self.busy:
            return succeed(None)
        freed: Deferred[None] = Deferred()
        self._freed.append(freed)
        return freed

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call a tool by the device's own name for it; raises ServiceError.

        Who does not wait any longer cancels; the device is asked nothing else until it has
        replied, or cannot be expected to.
        """
        began, result = self._timers.now, "dropped"
        params = {"name": name, "arguments": dict(arguments)}
        try:
            done = outcome(await self._ask("tools/call", params, _patience(name)))
            result = "failed" if done.failed else "done"
            return done
        except ServiceError as error:
            result = "late" if isinstance(error, Late) else "failed"
            raise
        finally:
            self._counters.count("device_tool_calls", result=result)
            self._counters.observe("device_tool_call", self._timers.now - began)

    # -- learning --

    async def _learn(self) -> None:
        """Have the device introduce itself and list its tools; if that fails, once more."""
        for last in (False, True):
            try:
                await self._ask("initialize", self._introduction(), ANSWER)
                self._link.send(messages.Mcp(notification("notifications/initialized")))
                await self._list()
            except ServiceError as error:
                if last:
                    self.log.info("the device's tools are not known: {why}", why=error.why)
            else:
                self.log.info("the device has {count} tools", count=len(self._described))
                return

    def _introduction(self) -> dict[str, Any]:
        return {
            "protocolVersion": "2024-11-05",
            # Some clients fail where one of the two is missing.
            "capabilities": {
                "vision": {"url": self._vision["url"], "token": self._vision["token"]}
            },
            "clientInfo": {"name": "xiaozhi", "version": __version__},
        }

    async def _list(self) -> None:
        """Ask for page after page; what is on them can be called at once."""
        params: dict[str, Any] = {"withUserTools": True}
        cursors = {""}
        size = 0
        for _ in range(PAGES):
            page = await self._ask("tools/list", params, ANSWER)
            if not isinstance(page, dict) or not isinstance(page.get("tools"), list):
                raise ServiceError("tool", "its list of tools is none")
            for told in page["tools"]:
                one = described(told)
                if one is None or one.name in self._described:
                    continue
                size += one.size
                if size > BYTES or len(self._described) >= TOOLS:
                    self.log.info("the device has too many tools: the rest is left out")
                    return
                self._described[one.name], self._tools = one, None
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or cursor in cursors:
                return
            cursors.add(cursor)
            params = {"withUserTools": True, "cursor": cursor}

    def _made(self, one: Described) -> Tool:
        return Tool(
            one.name,
            one.description,
            partial(self._do, one.name),
            one.schema,
            alone=True,
            quiet=True,
            # Our own words about a call that is late come first.
            patience=_patience(one.name) + WAIT + 1,
            user_only=one.user_only,
        )

    async def _do(self, name: str, arguments: dict[str, Any], scene: Scene) -> Outcome:
        return await self.call(name, arguments)

    def _failed(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            self.log.failure("our fault", failure)

    # -- one request at a time --

    def _ask(self, method: str, params: Mapping[str, Any], seconds: float) -> Deferred[Any]:
        """Ask, when it is its turn; the reply may take so long. Fails with ServiceError."""
        if self._closed:
            return fail(ServiceError("tool", f"{FAILED}: the device has gone"))
        # Those that nobody waits for any more are not in the way of others.
        self._waiting[:] = [one for one in self._waiting if not one.answer.called]
        if len(self._waiting) >= QUEUE:
            return fail(ServiceError("tool", f"{FAILED}: too many calls wait for the device"))
        asked = _Asked(method, params, seconds)
        self._waiting.append(asked)
        self._next()
        asked.answer.addTimeout(seconds + WAIT, self._timers.clock)
        return asked.answer.addErrback(_late, seconds)

    def _next(self) -> None:
        """Send the next request, if none is under way."""
        while self._waiting and not len(self._calls):
            asked = self._waiting.pop(0)
            if asked.answer.called:
                continue  # nobody waits for it any more
            deadline = self._timers.now + asked.seconds
            request = self._calls.call(asked.method, asked.params, asked, deadline)
            self._awake = False
            self._link.send(messages.Mcp(request))
        if (due := self._calls.next_at()) is None:
            self._timers.cancel("overdue")
        else:
            self._timers.after("overdue", max(0.0, due - self._timers.now), self._overdue)
        self._release()

    def _release(self) -> None:
        """Let those go on who want to speak, if they can be heard."""
        if not self.busy:
            freed, self._freed = self._freed, []
            for waiting in freed:
                waiting.callback(None)

    def _overdue(self) -> None:
        """Wait no longer for a reply, and ignore it if it comes."""
        for asked in self._calls.expire(self._timers.now):
            asked.answer.errback(TimedOut())
        self._next()


def _patience(name: str) -> float:
    return PHOTO if "photo" in name else CALL


def _late(failure: Failure, seconds: float) -> Any:
    if failure.check(TimedOut) is None:
        return failure
    raise Late("tool", f"{FAILED}: the device did not reply within {seconds:g} s")
