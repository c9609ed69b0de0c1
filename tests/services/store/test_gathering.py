"""Changes that are made together."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.store.gathering import AT_ONCE, WAITING, Gathering


class GatheringTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.asked: list[tuple[list[int], Deferred[list[int | ServiceError]]]] = []
        self.gathering: Gathering[int, int] = Gathering(self.make)

    def make(self, changes: Sequence[int]) -> Deferred[list[int | ServiceError]]:
        self.asked.append((list(changes), Deferred()))
        return self.asked[-1][1]

    def test_together(self) -> None:
        """The first is made at once; those that come meanwhile are made together."""
        made = [self.gathering.add(number) for number in range(AT_ONCE + 3)]
        self.assertEqual(self.asked[0][0], [0])
        self.asked[0][1].callback([10])
        self.assertEqual(self.successResultOf(made[0]), 10)
        self.assertEqual(self.asked[1][0], list(range(1, AT_ONCE + 1)))
        self.assertNoResult(made[1])
        self.asked[1][1].callback(list(range(AT_ONCE)))
        self.assertEqual(self.successResultOf(made[AT_ONCE]), AT_ONCE - 1)
        self.assertEqual(self.asked[2][0], [AT_ONCE + 1, AT_ONCE + 2])

    def test_failures(self) -> None:
        """What one fails with is its own; where all fail, each is told, and the next are tried."""
        made = [self.gathering.add(number) for number in range(3)]
        self.asked[0][1].errback(ServiceError("store", "the disk is full"))
        self.assertEqual(self.failureResultOf(made[0], ServiceError).value.why, "the disk is full")
        self.asked[1][1].callback([ServiceError("store", "no"), 7])
        self.assertEqual(self.failureResultOf(made[1], ServiceError).value.why, "no")
        self.assertEqual(self.successResultOf(made[2]), 7)

    def test_given_up(self) -> None:
        """Who gives up does not disturb the others."""
        made = [self.gathering.add(number) for number in range(3)]
        self.asked[0][1].callback([0])
        made[1].cancel()
        self.failureResultOf(made[1])
        self.asked[1][1].callback([1, 2])
        self.assertEqual(self.successResultOf(made[2]), 2)

    def test_bounded(self) -> None:
        """Not any number can wait."""
        made = [self.gathering.add(number) for number in range(WAITING + 2)]
        self.failureResultOf(made.pop(), ServiceError)
        self.assertNoResult(made[-1])
