"""An engine on standby: made when it is first needed, ended when nobody has needed it for long."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing
from typing import Any, Final

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import languages
from xiaozhi.errors import Absent, ServiceError, Unavailable
from xiaozhi.services.lazy import Lazy
from xiaozhi.services.pool import Workers

UNUSED: Final = 600.0
"""Seconds after its last use until an engine is ended."""


class Standby(MultiService):
    """Stands for an engine in its list, and has what models and voices have.

    Making one imports packages, which is work for a thread. It is done at the first question, or
    before (`warm`), and again when the engine is needed after it was ended. One that cannot be
    had has failed like any other, so that it is tried again as others are.
    """

    log = Logger()

    def __init__(
        self, stage: str, make: Callable[[], Any], workers: Workers, clock: Any, writes: bool = True
    ) -> None:
        """Have `make` called by `workers`; it raises Unavailable."""
        super().__init__()
        self.writes = writes
        """Whether a model can write what it is asked to."""
        self._stage = stage
        self._lazy = Lazy(workers, make)
        self._clock = clock
        self._engine: Any = None
        """What was made, and lives here."""
        self._languages: Collection[str] = (languages.ANY,)
        self._users = 0
        self._used = 0.0
        """When it was last needed."""
        self._ending: IDelayedCall | None = None

    # -- what its list sees --

    @property
    def languages(self) -> Collection[str]:
        """What it can do; as long as nobody knows, it is taken to do anything."""
        if self._engine is not None:
            self._languages = self._engine.languages
        return self._languages

    @property
    def rate(self) -> int:
        """The sample rate of a voice, in Hz; it is known by the time it speaks."""
        rate: int = self._engine.rate
        return rate

    def reply(self, messages: Any, language: str, tools: Any = ()) -> AsyncGenerator[Any, None]:
        """Yield what the model answers: see `services.llm.Model`."""
        return self._asked(language, lambda model: model.reply(messages, language, tools))

    def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        """Yield what the voice says: see `services.tts.Speaker`."""
        return self._asked(language, lambda voice: voice.speak(sentence, language))

    def warm(self) -> None:
        """Get ready, in the background: a question is on its way."""

        def made(engine: Any) -> None:
            getattr(engine, "warm", lambda: None)()

        def failed(failure: Failure) -> None:  # whoever asks will be told, too
            if not failure.check(ServiceError):
                self.log.failure("making an engine", failure)

        if self.running:
            self._needed().addCallback(made).addErrback(failed)

    # -- its life --

    async def _asked(
        self, language: str, ask: Callable[[Any], AsyncGenerator[Any, None]]
    ) -> AsyncGenerator[Any, None]:
        self._users += 1
        known = self._engine is not None
        try:
            engine = await self._needed()
            able = known or not engine.languages or languages.can(engine.languages, {language})
            if not able:  # its list could not know; one that does not know yet says so itself
                raise Absent(self._stage, f"it does no {language}")
            async with aclosing(ask(engine)) as items:
                async for item in items:
                    yield item
        finally:
            self._users -= 1
            self._used = self._clock.seconds()

    def _needed(self) -> Deferred[Any]:
        """Give the engine, which is made if need be. Fails with ServiceError.

        Who waits may give up: it is made all the same.
        """
        self._used = self._clock.seconds()
        waiter: Deferred[Any] = Deferred()
        made = self._lazy.get().addCallbacks(self._house, self._lacking)
        made.addBoth(lambda result: None if waiter.called else waiter.callback(result))
        return waiter

    def _house(self, engine: Any) -> Any:
        """Let an engine that was made live here."""
        if not self.running:
            raise ServiceError(self._stage, "it is stopped")
        if self._engine is not engine:
            self._engine = engine
            if IService.providedBy(engine):
                engine.setServiceParent(self)
            self._watch(UNUSED)
        return engine

    def _lacking(self, failure: Failure) -> Failure:
        if failure.check(Unavailable):
            return Failure(ServiceError(self._stage, str(failure.value)))
        return failure

    def _watch(self, seconds: float) -> None:
        self._ending = self._clock.callLater(seconds, self._look)

    def _look(self) -> None:
        """End the engine if it was not needed for so long."""
        unused = 0.0 if self._users else self._clock.seconds() - self._used
        if unused < UNUSED:
            self._watch(UNUSED - unused)
            return
        self._ending = None
        self._drop().addErrback(lambda failure: self.log.failure("ending an engine", failure))

    def _drop(self) -> Deferred[Any]:
        """Let go of the engine; what was known of its languages is remembered."""
        engine, self._languages = self._engine, self.languages
        self._lazy.drop()
        self._engine = None
        if not IService.providedBy(engine):
            return maybeDeferred(lambda: None)
        return maybeDeferred(engine.disownServiceParent)

    def stopService(self) -> Deferred[Any]:
        """End the engine, if there is one."""
        ending, self._ending = self._ending, None
        if ending is not None and ending.active():
            ending.cancel()
        stopped = super().stopService()
        return maybeDeferred(self._drop).addCallback(lambda _: stopped)
