"""Chat: what was heard is answered, by a grammar or by a language model with tools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Final

import attrs
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from xiaozhi.answers import Aside, Part, Pause
from xiaozhi.choices import Wish
from xiaozhi.commands import understand
from xiaozhi.dialogue import Entry
from xiaozhi.errors import ServiceError
from xiaozhi.phrases import Key
from xiaozhi.services.deadline import late
from xiaozhi.services.llm import Message, Preferring
from xiaozhi.settings import Assistant
from xiaozhi.speakable import Cleaner
from xiaozhi.toolbox import Toolbox
from xiaozhi.tooling import Call, Outcome, Scene, Tool
from xiaozhi.untrusted import unmarked

STEPS: Final = 5
"""Times a model may call tools in one answer. Then it has to answer without."""
CLUMSY: Final = 2
"""Times a model may give arguments that are wrong: it is told what was wrong, and tries again."""
PROSE: Final = 80
"""Characters of speech that show that a model for intents only talks, or has begun to."""
THOUGHTS: Final = 4000
"""Characters of whatever else it writes that are waited for: thoughts, as a rule."""
TIME: Final = 90.0
"""Seconds after which no more tools are called in one answer. Those at work have their time."""
TOLD: Final = 64_000
"""Characters of results that a model is told in one answer; it is told the beginning of others."""
BEGINNING: Final = 500
"""Characters of those, at least."""
PATIENCE: Final[Sequence[tuple[float, Key]]] = ((1.5, "looking"), (8.0, "still_looking"))
"""Seconds that tools take, and what the user is told then."""


@attrs.frozen
class Asked:
    """A question, with all that its answer depends on."""

    history: Sequence[Entry]
    """What was said. The last entry is the question."""
    language: str
    """The one to answer in."""
    system: str
    """What the model is told about its part."""
    scene: Scene
    toolbox: Toolbox
    model: Wish | None = None
    """The model to think with, before those for chat."""

    @property
    def question(self) -> str:
        """What the user said last."""
        return self.history[-1].text


@attrs.frozen
class Chat:
    """Free talk with the models for this purpose."""

    minds: Callable[[str, Wish | None], Preferring]
    """Gives the models for a purpose ("chat", "intent"), with one before them if it is wished."""
    assistant: Assistant
    now: Callable[[], datetime]
    clock: Any

    async def answer(self, asked: Asked) -> AsyncGenerator[Part, None]:
        """Yield the answer in parts, as they come; raises ServiceError."""
        tools: Sequence[Tool] = ()
        if self.assistant.intent != "nointent":
            tools = asked.toolbox.offered(asked.scene.device)
        settled = False
        async with aclosing(self._settled(asked)) as parts:
            async for part in parts:
                settled = settled or isinstance(part, str)
                yield part
        if settled:
            return
        answering = _Answering(self, asked, tools)
        async with aclosing(answering.parts()) as parts:
            async for part in parts:
                yield part

    async def _settled(self, asked: Asked) -> AsyncGenerator[Part, None]:
        """Answer what a grammar understands: without a model, and without a network."""
        command = (
            None
            if self.assistant.intent == "nointent"
            else understand(asked.question, asked.language)
        )
        if command is None or asked.toolbox.find(asked.scene.device, command.tool) is None:
            return
        calls = [Call("", command.tool, command.arguments)]
        outcomes: list[Outcome] = []
        until = self.clock.seconds() + TIME
        async with aclosing(self.have_done(calls, asked, outcomes, until)) as parts:
            async for part in parts:
                yield part
        # If there is nothing to say, the model may find another way.
        yield outcomes[0].say or Pause.THINKING

    async def have_done(
        self,
        calls: Sequence[Call],
        asked: Asked,
        outcomes: list[Outcome],
        until: float,
        said: bool = False,
    ) -> AsyncGenerator[Part, None]:
        """Have `calls` done that begin before `until`, and add what comes of each to `outcomes`.

        Meanwhile, unless nothing may be spoken, the user is told that it takes a while; not at
        once, if something was `said` before.
        """
        yield Pause.WORKING
        failures: list[Failure] = []
        doing = Deferred.fromCoroutine(asked.toolbox.run(calls, asked.scene, until))
        doing.addCallbacks(outcomes.extend, failures.append)  # raised below, if anybody waits
        try:
            if not asked.toolbox.quiet(calls):
                for patience, key in PATIENCE[said:]:
                    if await late(doing, self.clock, patience):
                        yield Aside(key)
            await doing
        finally:
            doing.cancel()
        for failure in failures:
            failure.raiseException()


class _Answering:
    """One answer of a model: it is asked, its calls are done, it is asked again."""

    def __init__(self, chat: Chat, asked: Asked, tools: Sequence[Tool]) -> None:
        self._chat = chat
        self._asked = asked
        self._tools = tools
        self._messages = [Message("system", asked.system)]
        self._messages += [Message(entry.role, unmarked(entry.text)) for entry in asked.history]
        self._until: float = chat.clock.seconds() + TIME
        """When no more tools are called."""
        self._steps = 0
        self._clumsy = 0
        """Steps in which arguments were wrong."""
        self._room = TOLD
        """Characters of results for which there is still room."""
        self._told = ""
        """What tools have to say, should the model find no words for it."""
        self._done = False

    async def parts(self) -> AsyncGenerator[Part, None]:
        """Yield the answer in parts."""
        tools = self._tools
        if self._chat.assistant.intent == "intent_llm" and tools:
            calls = await self._intended(tools)
            tools = ()
            if calls:
                async with aclosing(self._work("", calls)) as parts:
                    async for part in parts:
                        yield part
        while not self._done:
            async with aclosing(self._step(tools)) as parts:
                async for part in parts:
                    yield part

    async def _intended(self, tools: Sequence[Tool]) -> list[Call]:
        """Ask the model for this purpose what is to be done; what else it says does not count."""
        minds = self._chat.minds("intent", None)
        calls: list[Call] = []
        try:
            asking = minds.reply(self._messages, self._asked.language, tools)
            async with aclosing(asking) as pieces:
                speech, spoken, written = Cleaner(), 0, 0
                async for piece in pieces:
                    if isinstance(piece, Call):
                        calls.append(piece)
                        continue
                    spoken += len(speech.feed(piece))
                    written += len(piece)
                    if spoken > PROSE or written > THOUGHTS:
                        break  # nothing is to be done, or nothing more
        except ServiceError:
            pass  # it has been said; the model that answers may do without
        return calls

    async def _step(self, tools: Sequence[Tool]) -> AsyncGenerator[Part, None]:
        """Ask the model once, and do what it calls for."""
        self._steps += 1
        in_time = self._chat.clock.seconds() < self._until
        offered = tools if self._steps <= STEPS and self._clumsy < CLUMSY and in_time else ()
        words: list[str] = []
        calls: list[Call] = []
        minds = self._chat.minds("chat", self._asked.model)
        asking = minds.reply(self._messages, self._asked.language, offered)
        try:
            async with aclosing(asking) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Call):
                        calls.append(piece)
                    elif not calls:  # what a model writes after a call, it makes up
                        words.append(piece)
                        yield piece
        except ServiceError:
            if words or not self._told:
                raise
        if calls and offered:
            async with aclosing(self._work("".join(words), calls)) as parts:
                async for part in parts:
                    yield part
            return
        self._done = True
        if not words:
            if not self._told:
                raise ServiceError("llm", "it would only call tools")
            yield self._told

    async def _work(self, words: str, calls: list[Call]) -> AsyncGenerator[Part, None]:
        """Do what the model calls for, after its `words`, and take down what comes of it."""
        named = [
            attrs.evolve(call, id=call.id or f"call_{self._steps}_{number}")
            for number, call in enumerate(calls)
        ]
        self._messages.append(Message("assistant", words, tuple(named)))
        outcomes: list[Outcome] = []
        said = bool(words.strip())
        doing = self._chat.have_done(named, self._asked, outcomes, self._until, said)
        async with aclosing(doing) as parts:
            async for part in parts:
                yield part
        for call, outcome in zip(named, outcomes, strict=True):
            text = self._in_bounds(unmarked(outcome.text) or "done", outcome.whole)
            self._messages.append(Message("tool", text, call_id=call.id))
        self._clumsy += any(outcome.bad_arguments for outcome in outcomes)
        self._told = " ".join(outcome.say for outcome in outcomes if outcome.say)
        if self._told and all(outcome.final for outcome in outcomes):
            self._done = True
            yield self._told
        else:
            yield Pause.THINKING

    def _in_bounds(self, text: str, whole: bool) -> str:
        """Cut a result that is too long beside those before, unless it is to be told as a whole."""
        most = max(self._room, BEGINNING)
        if len(text) > most and not whole:
            text = f"{text[:most]}… (cut)"
        self._room -= len(text)
        return text
