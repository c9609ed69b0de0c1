"""The bounded queue between two coroutines."""

from __future__ import annotations

from contextlib import aclosing

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.channel import Channel


class ChannelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.channel: Channel[int] = Channel(2)
        self.got: list[int] = []

    async def read(self) -> None:
        async for item in self.channel:
            self.got.append(item)

    async def write(self, *items: int) -> None:
        for item in items:
            await self.channel.put(item)

    def reading(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self.read())

    def writing(self, *items: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self.write(*items))

    def test_take(self) -> None:
        """What waits can be taken at once, which makes room; the next is waited for as ever."""
        writing = self.writing(1, 2, 3)
        self.assertNoResult(writing)
        self.assertEqual((self.channel.take(), len(self.channel)), ([1, 2], 1))
        self.successResultOf(writing)
        self.assertEqual((self.channel.take(), self.channel.take()), ([3], []))
        self.reading()
        self.successResultOf(self.writing(4))
        self.assertEqual(self.got, [4])

    def test_put_tells(self) -> None:
        """Who puts is told when the channel is closed, also while it waits."""
        self.assertTrue(self.successResultOf(Deferred.fromCoroutine(self.channel.put(1))))
        self.channel.take()
        self.successResultOf(self.writing(1, 2))
        putting = Deferred.fromCoroutine(self.channel.put(3))
        self.channel.close()
        self.assertFalse(self.successResultOf(putting))
        self.assertEqual(len(self.channel), 2)

    def test_order(self) -> None:
        """Items come out in the order they went in, then the end."""
        self.successResultOf(self.writing(1, 2))
        self.channel.close()
        self.successResultOf(self.reading())
        self.assertEqual(self.got, [1, 2])

    def test_reader_waits(self) -> None:
        """A reader waits for items, and for the end."""
        reading = self.reading()
        self.successResultOf(self.writing(1))
        self.assertEqual(self.got, [1])
        self.successResultOf(self.writing(2, 3, 4))
        self.assertEqual(self.got, [1, 2, 3, 4])
        self.assertNoResult(reading)
        self.channel.close()
        self.successResultOf(reading)

    def test_writer_waits(self) -> None:
        """A writer waits while the channel is full."""
        writing = self.writing(1, 2, 3, 4)
        self.assertNoResult(writing)
        self.assertEqual(len(self.channel), 2)
        reading = self.reading()
        self.successResultOf(writing)
        self.channel.close()
        self.successResultOf(reading)
        self.assertEqual(self.got, [1, 2, 3, 4])

    def test_error(self) -> None:
        """An error comes after the items that were put before it."""
        self.successResultOf(self.writing(1))
        self.channel.close(KeyError("broken"))
        self.failureResultOf(self.reading(), KeyError)
        self.assertEqual(self.got, [1])

    def test_error_wakes_the_reader(self) -> None:
        """A reader that waits is told of the error."""
        reading = self.reading()
        self.channel.close(KeyError("broken"))
        self.failureResultOf(reading, KeyError)

    def test_first_close_counts(self) -> None:
        """A second close changes nothing."""
        self.channel.close()
        self.channel.close(KeyError("late"))
        self.successResultOf(self.reading())

    def test_close_wakes_the_writer(self) -> None:
        """A writer that waits is let go when the channel is closed; its item is dropped."""
        writing = self.writing(1, 2, 3)
        self.channel.close()
        self.successResultOf(writing)
        self.successResultOf(self.reading())
        self.assertEqual(self.got, [1, 2])

    def test_put_into_closed(self) -> None:
        """What is put into a closed channel is dropped."""
        self.channel.close()
        self.successResultOf(self.writing(1, 2, 3))
        self.assertEqual(len(self.channel), 0)

    def test_cancelled_reader(self) -> None:
        """A reader that waits can be cancelled; another reads on, and nothing is lost."""
        reading = self.reading()
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.successResultOf(self.writing(1))
        self.channel.close()
        self.successResultOf(self.reading())
        self.assertEqual(self.got, [1])

    def test_cancelled_writer(self) -> None:
        """A writer that waits can be cancelled; its item is not in the channel."""
        writing = self.writing(1, 2, 3)
        writing.cancel()
        self.failureResultOf(writing, CancelledError)
        self.channel.close()
        self.successResultOf(self.reading())
        self.assertEqual(self.got, [1, 2])

    def test_cancelling_one_does_not_wake_the_other(self) -> None:
        """Those who wait at the same time are cancelled one by one."""
        first, second = self.reading(), self.reading()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.channel.close()
        self.successResultOf(second)

    def test_closed_reader(self) -> None:
        """A reader may leave in the middle; what it has not read is still there."""

        async def leave() -> None:
            async with aclosing(aiter(self.channel)) as items:
                self.got.append(await anext(items))

        self.successResultOf(self.writing(1, 2))
        self.successResultOf(Deferred.fromCoroutine(leave()))
        self.assertEqual((self.got, len(self.channel)), ([1], 1))

    def test_many(self) -> None:
        """Thousands of items pass without the stack growing."""
        writing = self.writing(*range(5000))
        reading = self.reading()
        self.successResultOf(writing)
        self.channel.close()
        self.successResultOf(reading)
        self.assertEqual(self.got, list(range(5000)))

    @given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
    def test_any_order_of_steps(self, steps: list[bool], limit: int) -> None:
        """However they take turns, all comes through in order, and within the limit."""
        channel: Channel[int] = Channel(limit)
        got: list[int] = []
        gates: dict[bool, list[Deferred[None]]] = {True: [], False: []}

        async def gate(side: bool) -> None:
            gates[side].append(Deferred())
            await gates[side][-1]

        async def write() -> None:
            for item in range(20):
                await gate(True)
                await channel.put(item)
                self.assertLessEqual(len(channel), limit)
            channel.close()

        async def read() -> None:
            async for item in channel:
                got.append(item)
                await gate(False)

        writing, reading = (Deferred.fromCoroutine(work()) for work in (write, read))
        for side in [*steps, *[True, False] * 60]:
            if gates[side]:
                gates[side].pop().callback(None)
        self.successResultOf(writing)
        self.successResultOf(reading)
        self.assertEqual(got, list(range(20)))

    def test_writer_of_the_reader(self) -> None:
        """Who reads may write at once: a chain of channels passes all on."""
        other: Channel[int] = Channel(1)

        async def pass_on() -> None:
            async for item in self.channel:
                await other.put(item * 10)
            other.close()

        async def read() -> None:
            async for item in other:
                await succeed(None)
                self.got.append(item)

        passing, reading = Deferred.fromCoroutine(pass_on()), Deferred.fromCoroutine(read())
        self.successResultOf(self.writing(*range(9)))
        self.channel.close()
        self.successResultOf(passing)
        self.successResultOf(reading)
        self.assertEqual(self.got, [10 * n for n in range(9)])
