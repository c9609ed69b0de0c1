"""One answer: pieces of text become sentences, speech, packets, sent when they are due.

Two coroutines share the work. `_compose` reads the model, cuts sentences and has them
synthesised, always one ahead; `_play` sends their packets at the pace the device plays them.
Cancelling `perform` ends both, and with them the model's and the speaker's streams.

An answer is never left hanging: whatever fails in it, it is closed with a sentence of ours.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from math import inf
from typing import Any, Final, TypeVar

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from xiaozhi import languages, moods
from xiaozhi.answers import Aside, Part, Pause
from xiaozhi.channel import Channel
from xiaozhi.dialogue import cut
from xiaozhi.errors import ServiceError
from xiaozhi.events import Plays, Speaks
from xiaozhi.link import Link
from xiaozhi.messages import Llm, Tts
from xiaozhi.pacer import Pacer
from xiaozhi.phrases import Key, phrase
from xiaozhi.sentences import Splitter
from xiaozhi.services.deadline import Deadlines, late, timed
from xiaozhi.speakable import Cleaner
from xiaozhi.tooling import Clip
from xiaozhi.voice import Voice

T = TypeVar("T")

AHEAD = 100
"""Packets of one sentence that may wait to be sent: some seconds, so that a slow voice is bridged
and a quick one does not take the encoder from others whose first packet is waited for."""

SETTLE = 0.12
"""Seconds a device's sound hardware is behind the pacer's model of it."""

PATIENCE: Final[Sequence[tuple[float, Key]]] = ((4.0, "thinking"), (8.0, "still_thinking"))
"""Seconds without an answer, and what the user is told then."""

CLIP: Final = Deadlines(first=20.0, gap=20.0, whole=inf)
"""How long the source of a clip may say nothing: a turn that never ends keeps its connection."""

LONGEST = 3000
"""Characters of an answer that are spoken: some minutes. Then it is closed."""


@attrs.define(eq=False)
class Track:
    """One sentence on its way to the device."""

    text: str
    aside: bool = False
    """Whether it is a phrase of ours about the answer, or music after it, and no part of it."""
    clip: Clip | None = None
    """What is played; None if `text` is spoken."""
    packets: Channel[bytes] = attrs.field(factory=lambda: Channel(AHEAD))
    made: int = 0
    complete: bool = False
    """Whether `made` is all there will be."""
    failed: bool = False
    """Whether a part of it could not be spoken."""
    sent: int = 0
    shown: bool = False

    def heard(self, frame: float) -> str:
        """Give the words the device can have played, with frames of `frame` seconds.

        A sentence nobody could speak was at least read, if it was shown.
        """
        total = self.made if self.complete else max(self.made, self._usual_length() / frame)
        return cut(self.text, self.sent / total if total else float(self.shown))

    def end(self, frame: float) -> None:
        """Tell whom it concerns how much was played, once nothing more will be."""
        clip, self.clip = self.clip, None
        if clip is not None:
            clip.over(self.sent * frame, self.complete and self.sent >= self.made)

    def _usual_length(self) -> float:
        """Guess how many seconds it takes to say it."""
        return len(self.text) / (4.5 if "zh" in languages.spoken(self.text) else 15.0)


class Reply:
    """Speak one answer to one device."""

    log = Logger()

    def __init__(
        self,
        turn: int,
        link: Link,
        voice: Voice,
        frame: float,
        language: str,
        clock: Any,
    ) -> None:
        """Answer turn `turn` in `language`; frames last `frame` seconds."""
        self._turn = turn
        self._link = link
        self._voice = voice
        self._frame = frame
        self._language = language
        self._clock = clock
        self._tracks: list[Track] = []
        self._cleaner = Cleaner()
        self._closing: Key | None = None
        """What is still to be said about an answer that failed."""
        self._felt = False
        self._patience = list(PATIENCE)
        """How long the user may still wait for the first sentence, and what is said then.

        Nothing while tools are at work: who has them work says so.
        """
        self.sounded: float | None = None
        """When the first sound left."""

    def heard(self) -> tuple[str, bool]:
        """Give what the user can have heard of the answer so far, and whether it is all of it."""
        answer = [track for track in self._tracks if not track.aside]
        texts = [track.heard(self._frame) for track in answer]
        whole = all(track.complete and track.sent >= track.made for track in answer)
        return " ".join(filter(None, texts)), whole and self._closing is None

    async def perform(
        self,
        parts: AsyncGenerator[Part, None],
        post: Callable[[Speaks | Plays], None],
        free: Callable[[], Deferred[None]] = lambda: succeed(None),
    ) -> None:
        """Speak what `parts` yields, until the device has played it.

        `post` is told of the beginning, and of the music's; before it begins the device is
        waited for to be `free`.
        """
        tracks: Channel[Track] = Channel(1)
        composing = Deferred.fromCoroutine(self._compose(parts, tracks, post, free))
        composing.addErrback(lambda failure: tracks.close(failure.value))
        try:
            await self._play(tracks, post)
        finally:
            tracks.close()
            composing.cancel()
            for track in self._tracks:
                track.end(self._frame)

    async def _compose(
        self,
        parts: AsyncGenerator[Part, None],
        tracks: Channel[Track],
        post: Callable[[Speaks | Plays], None],
        free: Callable[[], Deferred[None]],
    ) -> None:
        async def say(line: str | Aside | Clip) -> None:
            if not self._tracks:
                await free()
                post(Speaks(self._turn))
                await deferLater(self._clock, 0)  # so that `tts start` goes before all else
            await self._say(line, tracks)

        async with aclosing(self._lines(parts)) as lines:
            while (line := await self._next(lines, say)) is not None:
                if isinstance(line, Pause):
                    self._patience = list(PATIENCE[1:]) if line is Pause.THINKING else []
                else:
                    await say(line)
        if self._closing is None and self._tracks and self._tracks[-1].failed:
            sounded = any(track.made for track in self._tracks)
            self._closing = "broken_off" if sounded else "voiceless"
        if self._closing is not None:
            await say(Aside(self._closing))
        tracks.close()

    async def _say(self, line: str | Aside | Clip, tracks: Channel[Track]) -> None:
        """Have a line spoken or played, after those before it."""
        match line:
            case Aside(key):
                track = Track(phrase(key, self._language), aside=True)
            case Clip(title):
                track = Track(title, aside=True, clip=line)
            case _:
                track = Track(line)
        self._tracks.append(track)
        self._feel(self._cleaner.moods)
        if not await tracks.put(track):
            return  # nobody listens any more
        try:
            if self._mute() and not track.aside:
                track.failed = True
            else:
                await self._synthesise(track)
            track.complete = True
        finally:
            track.packets.close()  # whatever went wrong: who plays it waits for the end

    async def _next(
        self, lines: AsyncGenerator[Part, None], say: Callable[[Aside], Coroutine[Any, Any, None]]
    ) -> Part | None:
        """Wait for the next line; while the first takes long, say so."""

        async def step() -> Part | None:
            return await anext(lines, None)

        if not self._patience or any(not track.aside for track in self._tracks):
            return await step()
        failures: list[Failure] = []
        line = Deferred.fromCoroutine(step())
        line.addErrback(failures.append)  # raised below, and not where it arrives
        try:
            while self._patience and await late(line, self._clock, self._patience[0][0]):
                _, key = self._patience.pop(0)
                await say(Aside(key))
            text = await line
            for failure in failures:
                failure.raiseException()
            return text
        finally:
            # The stream can only be closed once its step is over.
            line.cancel()
            await line

    async def _lines(self, parts: AsyncGenerator[Part, None]) -> AsyncGenerator[Part, None]:
        """Cut what the model yields into sentences to speak, and note what goes wrong."""
        cleaner, splitter = self._cleaner, Splitter()
        length = 0
        try:
            async with aclosing(parts):
                async for part in parts:
                    if not isinstance(part, str):  # what was said before is whole
                        for sentence in splitter.feed(cleaner.flush()) + splitter.flush():
                            length += len(sentence)
                            yield sentence
                        yield part
                        continue
                    for sentence in splitter.feed(cleaner.feed(part)):
                        length += len(sentence)
                        yield sentence
                    self._feel(cleaner.moods)
                    if length > LONGEST:
                        self._closing = "too_long"
                        return
        except ServiceError as error:
            self.log.info("turn {turn}: {error}", turn=self._turn, error=error)
            self._closing = "mindless"
        for sentence in splitter.feed(cleaner.flush()) + splitter.flush():
            length += 1
            yield sentence
        self._feel(cleaner.moods)
        if self._closing is not None and length:
            self._closing = "broken_off"

    async def _synthesise(self, track: Track) -> None:
        """Have a sentence spoken; it is shown all the same where no voice can."""
        clip = track.clip
        try:
            if clip:
                made = timed(self._voice.play(clip), self._clock, "tool", CLIP)
            else:
                made = self._voice.speak(track.text, self._language)
            async with aclosing(made) as packets:
                async for packet in packets:
                    await track.packets.put(packet)
                    track.made += 1
        except ServiceError as error:
            self.log.info("turn {turn}: {error}", turn=self._turn, error=error)
            track.failed = True

    def _mute(self) -> bool:
        """Say whether no voice could say the last two sentences, so that no third is tried."""
        before = self._tracks[-3:-1]
        return len(before) == 2 and all(track.failed and not track.made for track in before)

    async def _play(self, tracks: Channel[Track], post: Callable[[Speaks | Plays], None]) -> None:
        pacer = Pacer(self._frame)
        async with aclosing(aiter(tracks)) as waiting:
            async for track in waiting:
                if not pacer.ends_at:
                    # The device needs a moment between `tts start` and the first packet.
                    pacer.hold(self._clock.seconds() + self._frame)
                if track.clip is not None:
                    # Not now: it may end this answer, which can be cancelled only while it waits.
                    self._clock.callLater(0, post, Plays(self._turn))
                await self._play_track(track, pacer)
        await self._sleep_until(pacer.ends_at + SETTLE if pacer.ends_at else 0.0)

    async def _play_track(self, track: Track, pacer: Pacer) -> None:
        async with aclosing(aiter(track.packets)) as packets:
            async for packet in packets:
                await self._sleep_until(pacer.next_at())
                self._show(track)
                if self._link.sound(packet, round(self._frame * 1000)):
                    track.sent += 1
                    self.sounded = self.sounded or self._clock.seconds()
                pacer.sent(self._clock.seconds())
        self._show(track)
        self._link.send(Tts("sentence_end", track.text))

    def _show(self, track: Track) -> None:
        """Show the sentence, when its sound begins, or without sound if there is none."""
        if not track.shown:
            track.shown = self._link.send(Tts("sentence_start", track.text))

    def _feel(self, found: Sequence[str]) -> None:
        """Make the face of the first mood `found`, once; the device must be speaking by then."""
        if found and self._tracks and not self._felt:
            self._felt = True
            self._link.send(Llm(found[0], moods.emoji_of(found[0])))

    async def _sleep_until(self, when: float) -> None:
        delay = when - self._clock.seconds()
        if delay > 0:
            await deferLater(self._clock, delay)
