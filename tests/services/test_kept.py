"""What was found out, kept for a while."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.kept import Kept, Known


class KeptTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.kept: Kept[str] = Kept(self.clock, 10.0, usable=100.0, bound=2)
        self.finding: list[Deferred[str]] = []

    async def find(self) -> str:
        self.finding.append(Deferred())
        return await self.finding[-1]

    def get(self, key: str = "a") -> Deferred[Known[str]]:
        return Deferred.fromCoroutine(self.kept.get(key, self.find))

    def have(self, value: str, key: str = "a") -> None:
        """Have the value of a key found out."""
        got = self.get(key)
        self.finding[-1].callback(value)
        self.assertEqual(self.successResultOf(got), Known(value))

    def test_kept(self) -> None:
        """A value is given again while it is fresh, with its age; then it is found out anew."""
        self.have("x")
        self.clock.advance(9)
        self.assertEqual(self.successResultOf(self.get()), Known("x", 9.0))
        self.clock.advance(1)
        self.assertNoResult(self.get())
        self.finding[-1].callback("y")
        self.assertEqual(self.successResultOf(self.get()), Known("y"))

    def test_once(self) -> None:
        """All who want it at a time wait for one; who gives up leaves it to the others."""
        first, second, third = (self.get() for _ in range(3))
        self.assertEqual(len(self.finding), 1)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.finding[0].callback("x")
        self.assertEqual(self.successResultOf(second), Known("x"))
        self.assertEqual(self.successResultOf(third), Known("x"))

    def test_everybody_gives_up(self) -> None:
        """What nobody waits for any more is found out all the same."""
        got = self.get()
        got.cancel()
        self.failureResultOf(got, CancelledError)
        self.finding[0].callback("x")
        self.assertEqual(self.successResultOf(self.get()), Known("x"))

    def test_failure(self) -> None:
        """A failure is told to all who wait, and is not kept."""
        waiting = [self.get() for _ in range(2)]
        self.finding[0].errback(ServiceError("tool", "no"))
        for got in waiting:
            self.failureResultOf(got, ServiceError)
        self.assertNoResult(self.get())

    def test_stale(self) -> None:
        """While the source fails an older value is given, and said to be; up to a point."""
        self.have("x")
        for advance, answer in ((50, Known("x", 50.0, stale=True)), (50, None)):
            self.clock.advance(advance)
            got = self.get()
            self.finding[-1].errback(ServiceError("tool", "no"))
            if answer:
                self.assertEqual(self.successResultOf(got), answer)
            else:
                self.failureResultOf(got, ServiceError)

    def test_our_mistakes(self) -> None:
        """A mistake of ours is not covered up by an older value."""
        self.have("x")
        self.clock.advance(50)
        got = self.get()
        self.finding[-1].errback(ZeroDivisionError())
        self.failureResultOf(got, ZeroDivisionError)

    def test_bound(self) -> None:
        """Of too many values the oldest is dropped."""
        for key in ("a", "b", "a"):
            self.clock.advance(10)
            self.have(key, key)
        self.have("c", "c")
        self.assertEqual(self.successResultOf(self.get("a")), Known("a"))
        self.assertNoResult(self.get("b"))

    def test_drop(self) -> None:
        """What is dropped is found out anew, also where an older search is under way."""
        self.have("x")
        self.kept.drop()
        before = self.get()
        self.kept.drop()
        after = self.get()
        self.finding[-2].callback("old")
        self.assertEqual(self.successResultOf(before), Known("old"))
        self.assertNoResult(after)
        self.finding[-1].callback("new")
        self.assertEqual(self.successResultOf(after), Known("new"))
        self.assertEqual(self.successResultOf(self.get()), Known("new"))

    def test_stop(self) -> None:
        """Stopping gives up what is being found out, and who waits is told, as is who comes."""
        for got in (self.get(), self.get("b")):
            self.kept.stop()
            self.assertIn("try again", self.failureResultOf(got, ServiceError).value.why)
        self.failureResultOf(self.get(), ServiceError)
        self.assertEqual(len(self.finding), 2)
