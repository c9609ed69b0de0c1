"""Recognise English with pocketsphinx, on this machine, while the user speaks.

Each of a few decoders lives in a process of its own and is leased for one utterance. An
utterance without one keeps its audio; when it gets one the audio is caught up with, faster
than it was spoken. So that nobody waits for somebody else's mouth, the last free decoder is
kept for utterances whose audio is complete, and those go first: of n decoders at most n - 1
follow live speech.

The threads that talk to the processes are the engine's own, as many as there are decoders.
They only wait on pipes, and a lease needs one while there is audio to pass on, not while the
user draws breath; in the pool of the house they would stand behind other engines' seconds of
real work, and a decoder would sit idle with its audio next to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from typing import Annotated, Any, ParamSpec, TypeVar

import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred, succeed
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from xiaozhi.errors import Refused, ServiceError, missing
from xiaozhi.services import engine
from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.asr._sphinx_process import Decoder
from xiaozhi.services.pool import Workers

P = ParamSpec("P")
T = TypeVar("T")

SECOND = RATE * 2
BACKLOG = 60 * SECOND
"""Audio an utterance keeps while it waits. What comes later is dropped rather than what came
earlier: the start holds the command, and a hole would join words that were never neighbours."""
QUEUE = 64
"""Complete utterances that may wait for a decoder."""
_STEP = SECOND * 24 // 100  # the least passed on while the user speaks: a few frames at once
_PIECE = SECOND  # the most: it bounds how long a cancelled decoder is still busy

_BEGIN_S, _FEED_S, _RELEASE_S = 30.0, 10.0, 2.0


class Settings(engine.Settings, frozen=True):
    """Settings of pocketsphinx."""

    decoders: Annotated[
        int,
        msgspec.Meta(description="Decoder processes, about 100 MB each.", ge=1, le=32),
    ] = 2


class _Seat:
    """A decoder, the thread calls made to it, and the deadline of the one under way."""

    def __init__(self, decoder: Decoder, threads: Workers, reactor: Any) -> None:
        self.decoder = decoder
        self._threads = threads
        self._reactor = reactor
        self._deadline: IDelayedCall | None = None

    async def call(
        self, patience: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Do `work` in a thread; if it takes longer than `patience` s the process is killed."""
        result = self._threads.run(work, *args, **kwargs)
        deadline = self._deadline = self._reactor.callLater(patience, self.decoder.kill)
        try:
            return await result
        finally:
            self._deadline = None
            if deadline.active():
                deadline.cancel()

    def hurry(self) -> None:
        """Give the call under way, if any, no longer than it takes to release a decoder."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.reset(_RELEASE_S)


class _Utterance:
    """An utterance: the audio no decoder has had yet, and whoever waits for what."""

    def __init__(self, recogniser: Recogniser) -> None:
        self.seat: _Seat | None = None
        self.complete = False
        self.over = False
        self.length = 0
        self._recogniser = recogniser
        self._audio = bytearray()
        self._error: ServiceError | None = None
        self._more: Deferred[None] | None = None
        self._text: Deferred[str] | None = None

    @property
    def ready(self) -> bool:
        """Whether a decoder has something to do: it begins with a whole second."""
        return len(self._audio) >= SECOND

    def feed(self, pcm: bytes) -> None:
        """Keep the piece, and pass it on if a decoder is leased."""
        if self.over or self.complete:
            return
        self._audio += pcm[: BACKLOG - len(self._audio)]
        self.length += len(pcm)
        if self.seat is not None:
            self._wake()
        elif self.ready:
            self._recogniser.schedule()

    async def finish(self) -> Transcript:
        """Wait for the text."""
        if self._error is None and self.length and not self.over:
            text = await self._wait(10 + 0.5 * self.length / SECOND)
            return Transcript(text, "en")
        self.cancel()
        if self._error is not None:
            raise self._error
        return Transcript("", "en")

    def cancel(self) -> None:
        """Release the decoder; a `finish` under way ends with CancelledError."""
        if self.over:
            return
        self.over = True
        self._audio.clear()
        self._recogniser.forget(self)
        self._wake()
        if self.seat is not None:
            self.seat.hurry()
        if self._text is not None and not self._text.called:
            self._text.cancel()

    async def next(self) -> bytes:
        """Wait for the next piece for the decoder; b"" when there will be none."""
        while len(self._audio) < _STEP and not (self.complete or self.over):
            self._more = Deferred()
            await self._more
        piece = bytes(self._audio[:_PIECE])
        del self._audio[:_PIECE]
        return piece

    def succeed(self, text: str) -> None:
        """Hand the text to who waits for it."""
        if self._text is not None and not self._text.called:
            self._text.callback(text)

    def fail(self, error: ServiceError) -> None:
        """Hand the error to who waits for the text, or will."""
        if self.over:
            return
        if self._text is not None:
            if not self._text.called:
                self._text.errback(error)
            return
        self._error = error
        self.cancel()

    async def _wait(self, patience: float) -> str:
        try:
            self._recogniser.completed(self)
            self.complete = True
            text = self._text = Deferred()
            text.addTimeout(patience, self._recogniser.reactor)
            self._recogniser.schedule()
            self._wake()
            return await text
        except TimedOut as error:
            raise ServiceError("asr", f"pocketsphinx took longer than {patience:.0f} s") from error
        finally:
            self.cancel()

    def _wake(self) -> None:
        more = self._more
        if more is not None and (len(self._audio) >= _STEP or self.complete or self.over):
            self._more = None
            more.callback(None)


class Recogniser(MultiService):
    """Lease decoders to utterances."""

    languages = frozenset({"en"})
    log = Logger()

    def __init__(
        self,
        settings: Settings,
        workshop: engine.Workshop,
        *,
        decoder: Callable[[], Decoder] = Decoder,
        threads: Workers | None = None,
    ) -> None:
        """Start nothing yet. Raises Unavailable. `decoder` and `threads` are for tests."""
        super().__init__()
        if find_spec("pocketsphinx") is None:
            raise missing("pocketsphinx")
        self.reactor = workshop.reactor
        self._threads = threads or Workers(workshop.reactor, "asr", size=settings.decoders)
        self._threads.setServiceParent(self)
        self._seats = tuple(
            _Seat(decoder(), self._threads, workshop.reactor) for _ in range(settings.decoders)
        )
        self._free: list[_Seat] = []
        self._open: set[_Utterance] = set()
        self._live: list[_Utterance] = []
        self._complete: deque[_Utterance] = deque()
        self._work: set[Deferred[None]] = set()

    def startService(self) -> None:
        """Begin to load the models, in the background."""
        super().startService()
        for seat in self._seats:
            self._start(seat, None)

    def settled(self) -> Deferred[None]:
        """Wait until the models are loaded."""
        # Not of the work itself: who gives up waiting must not end it.
        return DeferredList([_after(work) for work in self._work], consumeErrors=True).addCallback(
            lambda _: None
        )

    async def _stop(self) -> None:
        # A killed process ends its call, and that the coroutine which made it.
        for seat in self._seats:
            seat.decoder.kill()
        await DeferredList(list(self._work), consumeErrors=True)
        for seat in self._seats:
            await self._threads.run(seat.decoder.close)
        await super().stopService()

    def stopService(self) -> Deferred[None]:
        """End the decoders and whatever they were at."""
        if not self.running:
            return succeed(None)
        self.running = 0
        stopping = ServiceError("asr", "the server is stopping")
        for utterance in list(self._open):
            utterance.fail(stopping)
        return ensureDeferred(self._stop())

    def open(self, language: str) -> _Utterance:
        """Begin an utterance."""
        if not self.running:
            raise ServiceError("asr", "pocketsphinx is not running")
        utterance = _Utterance(self)
        self._open.add(utterance)
        self._live.append(utterance)
        return utterance

    def completed(self, utterance: _Utterance) -> None:
        """Let an utterance whose audio is complete wait before those whose is not."""
        if utterance not in self._live:
            return
        if len(self._complete) >= QUEUE:
            raise Refused("asr", "too much work is waiting")
        self._live.remove(utterance)
        self._complete.append(utterance)

    def forget(self, utterance: _Utterance) -> None:
        """Let an utterance that is over wait no longer."""
        self._open.discard(utterance)
        if utterance in self._live:
            self._live.remove(utterance)
        elif utterance in self._complete:
            self._complete.remove(utterance)

    def schedule(self) -> None:
        """Lease the free decoders to those who wait for one."""
        while self.running and self._free and self._complete:
            self._start(self._free.pop(), self._complete.popleft())
        while self.running and len(self._free) > 1:
            utterance = next((u for u in self._live if u.ready), None)
            if utterance is None:
                return
            self._live.remove(utterance)
            self._start(self._free.pop(), utterance)

    def _start(self, seat: _Seat, utterance: _Utterance | None) -> None:
        work = ensureDeferred(self._lease(seat, utterance))
        self._work.add(work)

        def done(_: object) -> None:
            self._work.discard(work)
            self._free.append(seat)
            self.schedule()

        work.addErrback(lambda failure: self.log.failure("pocketsphinx failed", failure))
        work.addBoth(done)

    async def _lease(self, seat: _Seat, utterance: _Utterance | None) -> None:
        try:
            if utterance is not None:
                utterance.seat = seat
            await seat.call(_BEGIN_S, seat.decoder.begin)
            if utterance is not None:
                await self._recognise(seat, utterance)
        except ServiceError as error:
            if utterance is not None:
                utterance.fail(error)
            elif self.running:
                self.log.error("{error}", error=error)
        finally:
            if utterance is not None:
                utterance.seat = None

    async def _recognise(self, seat: _Seat, utterance: _Utterance) -> None:
        while piece := await utterance.next():
            await seat.call(_FEED_S, seat.decoder.feed, piece)
        if utterance.over:
            await seat.call(_RELEASE_S, seat.decoder.reset)
        else:
            patience = 10 + 0.5 * utterance.length / SECOND
            utterance.succeed(await seat.call(patience, seat.decoder.finish))


def _after(work: Deferred[None]) -> Deferred[None]:
    """Wait until `work` is done, without a say in it."""
    done: Deferred[None] = Deferred()

    def tell(result: None) -> None:
        done.callback(None)
        return result

    work.addBoth(tell)
    return done
