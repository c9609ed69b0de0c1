"""One answer: pieces of text become sentences, speech, packets, sent when they are due.

Two coroutines share the work. `_compose` reads the model, cuts sentences and has them
synthesised, always one ahead; `_play` sends their packets at the pace the device plays them.
Cancelling `perform` ends both, and with them the model's and the speaker's streams.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from xiaozhi import languages, moods
from xiaozhi.channel import Channel
from xiaozhi.dialogue import cut
from xiaozhi.errors import ServiceError
from xiaozhi.events import Speaks
from xiaozhi.link import Link
from xiaozhi.pacer import Pacer
from xiaozhi.phrases import phrase
from xiaozhi.sentences import Splitter
from xiaozhi.speakable import Cleaner
from xiaozhi.voice import Voice
from xiaozhi.wire import Llm, Tts

log = Logger()

AHEAD = 250
"""Packets of one sentence that may wait to be sent."""

SETTLE = 0.12
"""Seconds a device's sound hardware is behind the pacer's model of it."""


@attrs.define(eq=False)
class Track:
    """One sentence on its way to the device."""

    text: str
    packets: Channel[bytes] = attrs.field(factory=lambda: Channel(AHEAD))
    made: int = 0
    complete: bool = False
    """Whether `made` is all there will be."""
    sent: int = 0
    shown: bool = False

    def heard(self, frame: float) -> str:
        """Give the words the device can have played, with frames of `frame` seconds.

        A sentence nobody could speak was at least read, if it was shown.
        """
        total = self.made if self.complete else max(self.made, self._usual_length() / frame)
        return cut(self.text, self.sent / total if total else float(self.shown))

    def _usual_length(self) -> float:
        """Guess how many seconds it takes to say it."""
        return len(self.text) / (4.5 if "zh" in languages.spoken(self.text) else 15.0)


class Reply:
    """Speak one answer to one device."""

    def __init__(
        self, turn: int, link: Link, voice: Voice, frame: float, language: str, clock: Any
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
        self._broken = False
        self._felt = False

    def heard(self) -> tuple[str, bool]:
        """Give what the user can have heard of the answer so far, and whether it is all of it."""
        texts = [track.heard(self._frame) for track in self._tracks]
        whole = all(track.complete and track.sent >= track.made for track in self._tracks)
        return " ".join(filter(None, texts)), whole and not self._broken

    async def perform(
        self, pieces: AsyncGenerator[str, None], post: Callable[[Speaks], None]
    ) -> None:
        """Speak what `pieces` yields, until the device has played it; `post` the beginning."""
        tracks: Channel[Track] = Channel(1)
        composing = Deferred.fromCoroutine(self._compose(pieces, tracks, post))
        composing.addErrback(lambda failure: tracks.close(failure.value))
        try:
            await self._play(tracks)
        finally:
            composing.cancel()

    async def _compose(
        self,
        pieces: AsyncGenerator[str, None],
        tracks: Channel[Track],
        post: Callable[[Speaks], None],
    ) -> None:
        async with aclosing(self._sentences(pieces)) as sentences:
            async for sentence in sentences:
                track = Track(sentence)
                if not self._tracks:
                    post(Speaks(self._turn))
                    await deferLater(self._clock, 0)  # so that `tts start` goes before all else
                self._tracks.append(track)
                self._feel(self._cleaner.moods)
                await tracks.put(track)
                await self._synthesise(track)
        tracks.close()

    async def _sentences(self, pieces: AsyncGenerator[str, None]) -> AsyncGenerator[str, None]:
        """Cut what the model yields into sentences to speak; end it decently if it fails."""
        cleaner, splitter = self._cleaner, Splitter()
        began = False
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    for sentence in splitter.feed(cleaner.feed(piece)):
                        began = True
                        yield sentence
                    self._feel(cleaner.moods)
        except ServiceError as error:
            log.warn("turn {turn}: {error}", turn=self._turn, error=error)
            self._broken = True
        for sentence in splitter.feed(cleaner.flush()) + splitter.flush():
            began = True
            yield sentence
        self._feel(cleaner.moods)
        if self._broken:
            yield phrase("broken_off" if began else "mindless", self._language)

    async def _synthesise(self, track: Track) -> None:
        try:
            async with aclosing(self._voice.speak(track.text, self._language)) as packets:
                async for packet in packets:
                    await track.packets.put(packet)
                    track.made += 1
        except ServiceError as error:
            # The rest of this sentence is lost; the device shows its text all the same.
            log.warn("turn {turn}: {error}", turn=self._turn, error=error)
        track.complete = True
        track.packets.close()

    async def _play(self, tracks: Channel[Track]) -> None:
        pacer = Pacer(self._frame)
        async with aclosing(aiter(tracks)) as waiting:
            async for track in waiting:
                if not pacer.ends_at:
                    # The device needs a moment between `tts start` and the first packet.
                    pacer.hold(self._clock.seconds() + self._frame)
                await self._play_track(track, pacer)
        await self._sleep_until(pacer.ends_at + SETTLE if pacer.ends_at else 0.0)

    async def _play_track(self, track: Track, pacer: Pacer) -> None:
        async with aclosing(aiter(track.packets)) as packets:
            async for packet in packets:
                await self._sleep_until(pacer.next_at())
                self._show(track)
                track.sent += self._link.sound(packet, round(self._frame * 1000))
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
