"""The tools of one session: who offers what under which name, and how calls of them are done.

Whatever goes wrong in a call ends in words for the model, so that it can tell the user, or try
again: a tool that fails, is late, is not there, or is given what it cannot take.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any, Final

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi.arguments import BadArguments, understood
from xiaozhi.errors import ServiceError
from xiaozhi.services.counters import Counters
from xiaozhi.tooling import Call, Outcome, Picture, Scene, Source, Tool, legal

MOST: Final = 16
"""Calls in one answer of a model that are done; the rest are refused."""
LONGEST: Final = 16_000
"""Characters of a result that the model is told, unless it is to be told as a whole."""

See = Callable[[Picture, str], Deferred[str]]
"""Tells in words what is to be seen on a picture, in a language."""


class Toolbox:
    """What can be done in one session."""

    log = Logger()

    def __init__(
        self, sources: Sequence[Source], clock: Any, counters: Counters, see: See | None = None
    ) -> None:
        """Offer the tools of all `sources`; of two that have one name, both."""
        self.sources = tuple(sources)
        self._clock = clock
        self._counters = counters
        self._see = see
        self._here: tuple[tuple[Tool, ...], ...] = ()
        """What each source had when it was last asked."""
        self._named: dict[str, Tool] = {}
        """By the name models know, in order."""

    def offered(self, device: str) -> Sequence[Tool]:
        """Tell the tools there are for a device, by names that models accept.

        They are called by these names until this is asked again: while a model answers, a tool
        that vanishes hands its name to no other.
        """
        self._look(device)
        return [attrs.evolve(tool, name=name) for name, tool in self._named.items()]

    def find(self, device: str, name: str, first: Sequence[Source] = ()) -> Tool | None:
        """Find a tool by the name its source gives it, if models may learn of it.

        Of two that have one name, that of the sources `first` is taken.
        """
        for source in (*first, *self.sources):
            for tool in source.tools(device):
                if tool.name == name and not tool.user_only:
                    return tool
        return None

    def _look(self, device: str) -> None:
        """See what the sources have now; each gives the same tools while nothing changes."""
        here = tuple(tuple(source.tools(device)) for source in self.sources)
        if here == self._here:
            return
        self._here = here
        self._named = {}
        for tools in here:
            for tool in tools:
                if not tool.user_only:
                    self._named[legal(tool.name, self._named)] = tool

    def quiet(self, calls: Sequence[Call]) -> bool:
        """Say whether nothing may be spoken while these `calls` are done."""
        found = (self._tool(call.name) for call in calls)
        return any(tool is not None and tool.quiet for tool in found)

    async def run(self, calls: Sequence[Call], scene: Scene, until: float = inf) -> list[Outcome]:
        """Do what a model asks for, side by side where that is safe; give what came of each.

        Those that must be alone wait for each other, so that each may be late in its turn: by
        the time `until`, in seconds of the clock, none begins any more.
        """
        outcomes: dict[int, Outcome] = {}

        async def note(*numbers: int) -> None:
            for number in numbers:
                if self._clock.seconds() < until:
                    outcomes[number] = await self.call(calls[number], scene)
                else:
                    name = calls[number].name[:64]
                    outcomes[number] = self._failed("late", f"no time was left for {name!r}")

        alone: list[int] = []
        beside: list[int] = []
        for number, call in enumerate(calls[:MOST]):
            tool = self._tool(call.name)
            (alone if tool is not None and tool.alone else beside).append(number)
        works = [Deferred.fromCoroutine(note(*alone))]
        works += [Deferred.fromCoroutine(note(number)) for number in beside]
        ended: list[tuple[bool, Any]] = await DeferredList(works, consumeErrors=True)
        for _, fault in ended:
            if isinstance(fault, Failure):  # it was cancelled, or we are wrong
                fault.raiseException()
        too_many = Outcome("工具调用失败: too many calls at once; ask again", failed=True)
        return [outcomes.get(number, too_many) for number in range(len(calls))]

    async def call(self, call: Call, scene: Scene) -> Outcome:
        """Do one call. It never fails: what goes wrong is in the outcome."""
        tool = self._tool(call.name)
        if tool is None:
            return self._failed("unknown", f"there is no tool called {call.name[:64]!r}")
        return await self.use(tool, call.arguments, scene)

    async def use(self, tool: Tool, arguments: object, scene: Scene) -> Outcome:
        """Have a tool do its work. It never fails, either."""
        try:
            outcome = await self._done(tool, understood(arguments, tool.schema), scene)
            if outcome.pictures and self._see is not None:
                outcome = await self._described(outcome, scene.language)
        except BadArguments as error:
            self._counters.count("tool_calls", outcome="bad_arguments")
            return Outcome(str(error), failed=True, bad_arguments=True)
        except CancelledError:
            raise
        except TimedOut:
            return self._failed("late", f"{tool.name} has not answered in {tool.patience:g} s")
        except ServiceError as error:
            return self._failed("failed", f"{tool.name}: {error.why}")
        except Exception:  # a tool may be anybody's code: this is a boundary
            self.log.failure("the tool {name} has a mistake", name=tool.name)
            return self._failed("mistake", f"{tool.name} has a mistake of its own")
        self._counters.count("tool_calls", outcome="failed" if outcome.failed else "done")
        if len(outcome.text) > LONGEST and not outcome.whole:
            outcome = attrs.evolve(outcome, text=f"{outcome.text[:LONGEST]}… (cut)")
        return outcome

    def _done(self, tool: Tool, arguments: dict[str, Any], scene: Scene) -> Deferred[Outcome]:
        """Have a tool do its work. It fails with CancelledError only if nobody waits any more.

        Who does not wait is not held up by a tool that goes on all the same.
        """
        given_up: list[Any] = []

        def give_up(waiting: Any) -> None:
            given_up.append(waiting)
            doing.cancel()

        def done(result: Any) -> None:
            if waiting.called or given_up:
                return
            if isinstance(result, Failure) and result.check(CancelledError):
                # What the tool was waiting for was cancelled, by somebody else.
                result = Failure(ServiceError("tool", "what it was waiting for has ended"))
            waiting.callback(result)

        waiting: Deferred[Outcome] = Deferred(give_up)
        doing = Deferred.fromCoroutine(tool.call(arguments, scene)).addBoth(done)
        return waiting.addTimeout(tool.patience, self._clock)

    async def _described(self, outcome: Outcome, language: str) -> Outcome:
        """Put into words what is to be seen."""
        assert self._see is not None
        words = [outcome.text] if outcome.text else []
        for picture in outcome.pictures:
            try:
                words.append(f"[image: {await self._see(picture, language)}]")
            except ServiceError as error:
                words.append(f"[an image that could not be looked at: {error.why}]")
        return attrs.evolve(outcome, text="\n".join(words), pictures=())

    def _failed(self, how: str, why: str) -> Outcome:
        self._counters.count("tool_calls", outcome=how)
        self.log.info("tool call: {why}", why=why)
        return Outcome(f"工具调用失败: {why}", failed=True)

    def _tool(self, name: str) -> Tool | None:
        """Find a tool by the name a model gives; some write it as its source does."""
        return self._named.get(name) or self._named.get(legal(name))
