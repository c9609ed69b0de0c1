"""Live sessions: a device that says anything in any order, on a clock of its own.

What must hold: nothing fails; each `tts start` is followed by one `tts stop`, or by the end of
the connection; and nothing is left to be done once the device is gone.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from tests.fakes import FakeMinds, FakeRecognition, FakeSpeech, Table, packets, silence, tone
from tests.fuzz.dice import HELLO, Dice, garbled, message
from tests.fuzz.watching import Defect, quiet_log
from tests.websocket import FakeStore, Peer, factory, set_clock
from xiaozhi.errors import ServiceError
from xiaozhi.services.asr import Transcript
from xiaozhi.services.tts import Sound
from xiaozhi.tooling import Outcome
from xiaozhi.wire import encode_binary

VOICE: Final = packets(tone(0.6))
SILENCE: Final = packets(silence(0.6))
_SPOKEN: Final = Sound(16000, tone(0.3))
_STEPS: Final = (0.01, 0.06, 0.3, 0.7, 1.5, 2.0, 6.0, 31.0, 100.0)
"""Seconds that pass at once."""
_LONG: Final = 200.0
"""Seconds in which an answer whose engines do not hang is over."""
_MOST: Final = 100_000
"""Delayed calls within one step: with more than these, time stands still."""


class Recognition(FakeRecognition):
    """Hears the same for ever, or fails, or hangs (None)."""

    def __init__(self, says: str | ServiceError | None) -> None:
        super().__init__()
        self.says = says

    async def text(self) -> Transcript:
        self.texts = [Deferred() if self.says is None else self.says]
        return await super().text()


class Speech(FakeSpeech):
    """Speaks at once what was made before."""

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[Sound, None]:
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, ServiceError):
            raise failure
        if self.wait is not None:
            await self.wait
        yield _SPOKEN
        if failure == "half":
            raise ServiceError("tts", "broke off")


def one(data: bytes) -> None:
    """Let a device connect, talk, and go; raise Defect where that is not as it must be."""
    dice = Dice(data)
    with quiet_log(), _talk(dice) as talk:
        talk.greet()
        while dice.left and talk.peer.transport.connected:
            talk.step()
        talk.end()


class _Talk:
    """One connection, and what it was told."""

    def __init__(self, dice: Dice, table: Table, store: FakeStore, hangs: bool) -> None:
        self.dice = dice
        self.clock: Clock = table.clock
        self.hangs = hangs
        self.version = dice.pick((1, 1, 2, 3))
        self.factory = factory(table, store=store)
        self.peer = Peer(self.factory)
        self.calls: list[Deferred[Any]] = []
        """Of the device's tools."""
        self._speaking = False

    def greet(self) -> None:
        """Ask for the upgrade and say hello, as a rule."""
        self.peer.handshake("/xiaozhi/v1/?device-id=AA%3A01", Protocol_Version=str(self.version))
        if not self.dice.rarely(8):
            self.peer.send(HELLO | {"version": self.version})

    def step(self) -> None:
        """Do one thing, and look at what came of it."""
        dice, peer = self.dice, self.peer
        match dice.below(16):
            case 0 | 1 | 2 | 3:
                peer.send_text(message(dice))
            case 4 | 5 | 6:
                for packet in VOICE[: 1 + dice.below(len(VOICE))]:
                    peer.send(encode_binary(packet, self.version))
                    self.wait(0.06)
            case 7 | 8:
                for packet in SILENCE[: 1 + dice.below(len(SILENCE))] * (1 + dice.below(3)):
                    peer.send(encode_binary(packet, self.version))
                    self.wait(0.06)
            case 9 | 10:
                frame = encode_binary(dice.pick(VOICE), self.version)
                peer.send(garbled(frame, dice) if dice.below(2) else dice.some(dice.below(40)))
            case 11:
                dice.pick((peer.ping, peer.pong, peer.pong, self.call, self.call))()
            case 12 if peer.transport.producer is not None:
                producer: Any = peer.transport.producer
                dice.pick((producer.pauseProducing, producer.resumeProducing))()
            case 13 if dice.rarely(4):
                dice.pick((peer.close, peer.vanish))()
            case _:
                self.wait(dice.pick(_STEPS))
        self.look()

    def call(self) -> None:
        """Let an operator call a tool of the device, who may go away before it is done."""
        name = self.dice.pick(("self.x", "self.camera.take_photo"))
        tools = self.factory.presence.tools("aa:01")
        if tools is None:
            return
        called = Deferred.fromCoroutine(tools.call(name, {"question": "?"}))
        self.calls.append(called.addErrback(lambda why: why.trap(ServiceError, CancelledError)))
        if self.dice.rarely(4):
            called.cancel()

    def wait(self, seconds: float) -> None:
        """Let time pass from one delayed call to the next."""
        until = self.clock.seconds() + seconds
        for _ in range(_MOST):
            due = min((call.getTime() for call in self.clock.getDelayedCalls()), default=until)
            self.clock.advance(max(0.0, min(due, until) - self.clock.seconds()))
            if due >= until:
                return
            self.peer.pong()
        raise Defect(f"{_MOST} delayed calls within {seconds} s")

    def look(self) -> None:
        """Read what the device was told; speech begins and ends in turn."""
        for frame in self.peer.frames():
            if not isinstance(frame, dict) or frame.get("type") != "tts":
                continue
            if frame["state"] == "start":
                if self._speaking:
                    raise Defect("`tts start` within speech")
                self._speaking = True
            elif frame["state"] == "stop":
                self._speaking = False
            elif not self._speaking:
                raise Defect(f"`tts {frame['state']}` without `tts start`")

    def end(self) -> None:
        """Wait for the end of the answer, and go; then nothing may be left."""
        if self.peer.transport.connected:
            if self.peer.transport.producer is not None:
                self.peer.transport.producer.resumeProducing()
            self.wait(_LONG)
            self.look()
            if self._speaking and self.peer.transport.connected and not self.hangs:
                raise Defect("`tts start` without `tts stop`")
            self.peer.vanish()
        self.wait(3.0)
        if any(not isinstance(call.result, Outcome | type) for call in self.calls if call.called):
            raise Defect(f"calls failed: {self.calls}")
        if any(not call.called for call in self.calls):
            raise Defect("a call has no end")
        if left := self.clock.getDelayedCalls():
            raise Defect(f"left to be done: {left}")
        if self.factory.sessions or list(self.factory.presence):
            raise Defect("a session was not forgotten")


@contextmanager
def _talk(dice: Dice) -> Iterator[_Talk]:
    """Lay the table, with engines that work, fail, or hang."""
    never: Deferred[Any] = Deferred()
    recognition = Recognition(
        dice.pick(("hello", "hello", "", "你好", ServiceError("asr", "gone"), None))
    )
    pieces = dice.pick(
        (
            ("I am fine. ", "And you?"),
            ("好的。", "😊 **再见**", "!"),
            ("I am", ServiceError("llm", "gone")),
            (ServiceError("llm", "gone"),),
            ("Wait. ", never),
            (),
        )
    )
    speech = Speech()
    speech.failures = dice.pick(([], [], [ServiceError("tts", "gone")], ["half"], [None, "half"]))
    if dice.rarely(8):
        speech.wait = never
    hangs = recognition.says is None or never in (*pieces, speech.wait)
    table = Table(recognition, FakeMinds(*pieces), speech)
    store = FakeStore()
    store.dead = dice.rarely(16)
    before = set_clock(table.clock)
    talk = _Talk(dice, table, store, hangs)
    try:
        yield talk
    finally:
        talk.peer.vanish()
        table.session.close()
        set_clock(before)
