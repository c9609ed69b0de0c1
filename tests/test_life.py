"""A session's life, whatever happens on it: what begins ends, and nothing is left behind."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeMinds, FakeRecognition, Table, packets, silence, tone
from xiaozhi import messages
from xiaozhi.errors import ServiceError
from xiaozhi.events import Due, Farewell, Lapsed
from xiaozhi.services.llm import Message, Piece
from xiaozhi.tooling import Call, Clip, Outcome, Scene, Tool

SPEECH: Final = packets(tone(0.6))
SILENCE: Final = packets(silence(0.9))
PIECES: Final = (
    "Hello there. ",
    "你好。",
    "*",
    "wait",
    "slow",
    "play",
    "leave",
    "no such tool",
    "fail",
)
"""What a model may do next: say something, call a tool, wait for a while, or fail."""
STEPS: Final = (
    "auto manual realtime stop abort wake type speak speak speak hush instant second seconds"
    " due again farewell lapse go go forget all"
).split()


class Waits:
    """What waits for the test to go on."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        self._waiting.append(Deferred(self._waiting.remove))
        return self._waiting[-1]

    @property
    def none(self) -> bool:
        return not self._waiting

    def go(self) -> None:
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)


class Mind(FakeMinds):
    """Does one thing after the other; three make an answer."""

    def __init__(self, todo: Sequence[str], waits: Waits) -> None:
        super().__init__()
        self._todo = deque(todo)
        self._waits = waits

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Sequence[Tool] = ()
    ) -> AsyncGenerator[Piece, None]:
        self.asked.append(messages)
        try:
            for _ in range(3):
                self._todo.rotate(-1)
                match self._todo[-1]:
                    case "wait":
                        await self._waits.wait()
                    case "fail":
                        raise ServiceError("llm", "it fails")
                    case "slow" | "play" | "leave" | "no such tool" as name:
                        yield Call("c1", name, {})
                    case text:
                        yield text
        finally:
            self.closed += 1


class Tools:
    """One that takes its time, one that plays music, and one that ends the talk."""

    def __init__(self, waits: Waits) -> None:
        async def slow(arguments: dict[str, Any], scene: Scene) -> Outcome:
            await waits.wait()
            return Outcome("done")

        async def sound() -> AsyncGenerator[bytes, None]:
            yield tone(0.5)
            await waits.wait()
            yield tone(0.5)

        async def play(arguments: dict[str, Any], scene: Scene) -> Outcome:
            scene.play(Clip("a song", 16000, sound))
            return Outcome("plays", "Playing.", final=True)

        async def leave(arguments: dict[str, Any], scene: Scene) -> Outcome:
            scene.part()
            return Outcome("ends", "Bye.", final=True)

        self._tools = tuple(Tool(made.__name__, "Does.", made) for made in (slow, play, leave))

    def tools(self, device: str) -> Sequence[Tool]:
        return self._tools


class Life:
    """A table at which anything may happen."""

    def __init__(self, heard: Sequence[str], todo: Sequence[str]) -> None:
        self.waits = Waits()
        self.minds = Mind(todo, self.waits)
        heard = [*heard] * 100
        self.table = Table(FakeRecognition(*heard), self.minds, sources=[Tools(self.waits)])
        self.given = 0
        self.told: list[tuple[int, bool]] = []
        session, receive, post = (
            self.table.session,
            self.table.session.receive,
            self.table.session.post,
        )
        self._steps: dict[str, Callable[[], None]] = {
            "auto": lambda: receive(messages.ListenStart("auto")),
            "manual": lambda: receive(messages.ListenStart("manual")),
            "realtime": lambda: receive(messages.ListenStart("realtime")),
            "stop": lambda: receive(messages.ListenStop()),
            "abort": lambda: receive(messages.Abort()),
            "wake": lambda: receive(messages.Detect("hey jarvis")),
            "type": lambda: receive(messages.Detect("tell me")),
            "speak": lambda: self._hear(SPEECH + SILENCE),
            "hush": lambda: self._hear(SPEECH),
            "instant": lambda: self.table.pass_time(0.05),
            "second": lambda: self.table.pass_time(1),
            "seconds": lambda: self.table.pass_time(5),
            "due": lambda: self._due(again=False),
            "again": lambda: self._due(again=True),
            "farewell": lambda: post(Farewell()),
            "lapse": lambda: post(Lapsed()),
            "go": self.waits.go,
            "forget": lambda: session.forget(5.0),
            "all": lambda: session.forget(None),
        }

    def do(self, step: str) -> None:
        self._steps[step]()

    def _hear(self, sound: Sequence[bytes]) -> None:
        for packet in sound:
            self.table.session.receive(messages.Sound(packet))
            self.table.clock.advance(0.06)

    def _due(self, again: bool) -> None:
        number = self.given = self.given + 1
        told = self.told.append
        post = self.table.session.post
        post(Due("Time is up.", "en", "Timer", again, lambda spoken: told((number, spoken))))

    @property
    def left(self) -> bool:
        return any(event.what == "close 1000" for event in self.table.link.events)

    def speech(self) -> list[str]:
        """Tell what of speech was sent: start, sound and stop, in order."""
        sent = []
        for _, what in self.table.link.events:
            if isinstance(what, bytes):
                sent.append("sound")
            elif what.startswith("{") and (message := json.loads(what))["type"] == "tts":
                sent.append(message["state"])
        return sent


class LifeTests(SynchronousTestCase):
    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(
        st.lists(st.sampled_from(STEPS), min_size=4, max_size=30),
        st.lists(st.sampled_from(("hello", "goodbye", "", "你好")), min_size=1),
        st.lists(st.sampled_from(PIECES), min_size=1),
        st.booleans(),
    )
    @example(["type", "instant"], ["hello"], ["slow"], False)
    def test_anything(
        self, steps: Sequence[str], heard: Sequence[str], todo: Sequence[str], patient: bool
    ) -> None:
        """Every start has its stop, and sound comes between; who is patient is answered."""
        life = Life(heard, todo)
        for step in steps:
            life.do(step)
            if life.left:
                break
        for _ in range(40 if patient else 0):
            life.waits.go()
            life.table.pass_time(0.5 if life.waits.none else 0.01)
        speaking = False
        for sent in life.speech():
            self.assertNotEqual((speaking, sent), (True, "start"))
            if sent not in ("start", "stop"):
                self.assertTrue(speaking, sent)
            speaking = sent == "start" or (speaking and sent != "stop")
        if patient and not life.left:
            self.assertFalse(speaking)
            self.assertIn(life.table.session.state, ("idle", "listening", "hearing"))
        life.table.session.close()
        self.assertEqual(life.table.clock.getDelayedCalls(), [])
        self.assertTrue(life.waits.none)
        self.assertEqual(life.minds.closed, len(life.minds.asked))
        self.assertEqual(len(life.told), len({number for number, _ in life.told}))
        spoken = [number for number, spoken in life.told if spoken]
        self.assertEqual(spoken, sorted(spoken))
        self.assertEqual(self.flushLoggedErrors(), [])
