"""Twenty thousand inputs nobody thought of, the same ones each time; `make fuzz` tries more."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import decoding, talks
from tests.fuzz.driver import PARTS, run
from xiaozhi import events as e
from xiaozhi import messages, wire
from xiaozhi.services.web.activate import Activate
from xiaozhi.session import Session
from xiaozhi.timers import Timers
from xiaozhi.toolcalls import Sieve
from xiaozhi.turn import Turn

INPUTS = 20_000
SEED = 1


class Seeded(SynchronousTestCase):
    def sound(self, name: str) -> None:
        count = round(INPUTS * PARTS[name].share)
        tried, found = run(name, count, SEED)
        self.assertEqual((tried, list(map(str, found))), (count, []))

    def test_decoding(self) -> None:
        """Whatever a frame has in it, it is understood, or refused by name."""
        self.sound("decoding")

    def test_calling(self) -> None:
        """Whatever a model writes, what is to be spoken is no call, and arguments fit."""
        self.sound("calling")

    def test_pages(self) -> None:
        """No request is answered with a 500."""
        self.sound("pages")

    def test_talks(self) -> None:
        """Whatever a device says, in any order, its session stays in order, and ends."""
        self.sound("talks")


class Shrinking(SynchronousTestCase):
    """Fewer inputs, but those Hypothesis makes; it finds the smallest that fails."""

    @settings(max_examples=200, deadline=None, database=None, derandomize=True)
    @given(st.binary(max_size=60))
    def test_decoding(self, data: bytes) -> None:
        """Frames, as in `Seeded`."""
        decoding.one(data)

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(st.binary(max_size=120))
    def test_talks(self, data: bytes) -> None:
        """Sessions, as in `Seeded`."""
        talks.one(data)


class Seeing(SynchronousTestCase):
    """Each target sees a defect of its kind: what finds nothing proves something."""

    def finds(self, name: str, words: str) -> None:
        _, found = run(name, 3000, SEED, most=1)
        self.assertIn(words, str(found))

    def test_decoding(self) -> None:
        """A reader that raises something else is found, by the shortest input that reaches it."""
        self.patch(wire, "_string", lambda value: value.strip())
        self.finds("decoding", "AttributeError")

    def test_calling(self) -> None:
        """So is a sieve that depends on how an answer was cut."""
        feed = Sieve.feed
        self.patch(Sieve, "feed", lambda sieve, piece: feed(sieve, piece.replace("<tool_call", "")))
        self.finds("calling", "another thing is sifted")

    def test_page(self) -> None:
        """So is a page that fails."""
        self.patch(Activate, "render_HEAD", lambda page, request: 1 / 0)
        self.finds("pages", "ZeroDivisionError")
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_fault(self) -> None:
        """So is a fault in a session, which only the log knows of."""
        self.patch(Session, "_waited", lambda session, number: 1 / 0)
        self.finds("talks", "ZeroDivisionError")
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))

    def test_unfinished(self) -> None:
        """So is speech that does not end."""
        receive, stop = Turn.receive, e.Send(messages.TTS_STOP)

        def forgetful(turn: Turn, event: e.Event) -> list[e.Command]:
            return [command for command in receive(turn, event) if command != stop]

        self.patch(Turn, "receive", forgetful)
        self.finds("talks", "`tts start` with")

    def test_left_behind(self) -> None:
        """So is a timer that outlives its session."""
        self.patch(Timers, "stop", lambda timers: None)
        self.finds("talks", "left to be done")
