"""What one peer may ask of the server."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.limits import Bucket, Crowd, host_of


class Buckets(SynchronousTestCase):
    def test_burst(self) -> None:
        """As many as fit pass at once, then as many as trickle in."""
        bucket = Bucket(2.0, 5.0)
        self.assertEqual([bucket.take(100.0) for _ in range(7)], [True] * 5 + [False] * 2)
        self.assertEqual([bucket.take(101.0) for _ in range(3)], [True, True, False])
        self.assertEqual(sum(bucket.take(900.0) for _ in range(9)), 5)

    def test_several(self) -> None:
        """What is as much as several takes as many, or nothing."""
        bucket = Bucket(2.0, 5.0)
        self.assertEqual([bucket.take(0.0, 3), bucket.take(0.0, 3), bucket.take(0.0, 2)], [
            True, False, True,
        ])  # fmt: skip

    def test_sound(self) -> None:
        """Sound of the shortest frames passes for ever, after a wake word's burst, too."""
        bucket = Bucket(200.0, 1000.0)
        self.assertTrue(all(bucket.take(0.0) for _ in range(33)))
        self.assertTrue(all(bucket.take(number * 0.02) for number in range(30_000)))


class Crowds(SynchronousTestCase):
    @settings(deadline=None)
    @given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
    def test_bounds(self, moves: list[tuple[bool, str]]) -> None:
        """Whoever comes and goes, nobody has more than their share, and nothing is left over."""
        crowd = Crowd(5, 3)
        inside: list[str] = []
        for comes, address in moves:
            if comes:
                refusal = crowd.enter(address)
                full, many = len(inside) >= 5, inside.count(address) >= 3
                self.assertEqual(refusal, "full" if full else "address" if many else None)
                if refusal is None:
                    inside.append(address)
            elif address in inside:
                inside.remove(address)
                crowd.leave(address)
        self.assertEqual((crowd.total, crowd.addresses), (len(inside), len(set(inside))))

    def test_closed(self) -> None:
        """When the server stops, nobody is let in any more."""
        crowd = Crowd(3, 3)
        crowd.closed = True
        self.assertEqual((crowd.enter("127.0.0.1"), crowd.total), ("closed", 0))

    def test_loopback(self) -> None:
        """Loopback counts only in all."""
        crowd = Crowd(3, 1)
        self.assertEqual([crowd.enter("127.0.0.1") for _ in range(4)], [None] * 3 + ["full"])

    def test_addresses(self) -> None:
        """A peer's address is read out of its name."""
        for peer, address in (
            ("tcp4:192.0.2.1:40000", "192.0.2.1"),
            ("tcp6:2001:db8::1:40000", "2001:db8::1"),
            ("tcp6:[2001:DB8::1]:40000", "2001:db8::1"),
            ("tcp6:::ffff:192.0.2.1:40000", "192.0.2.1"),
            ("tcp6:fe80::1%eth0:40000", "fe80::1"),
            ("192.0.2.7", "192.0.2.7"),
            ("unix:/run/socket", "unix:/run/socket"),
            ("", ""),
        ):
            self.assertEqual(host_of(peer), address)
