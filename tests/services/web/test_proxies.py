"""Who really asks, behind proxies."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.web.address import Address, forwarded
from xiaozhi.services.web.proxies import UNKNOWN, Origin, Proxies

PROXIES = Proxies(["127.0.0.1", "10.0.0.0/24", "fd00::/64"])


class Peers(SynchronousTestCase):
    def peer(self, peer: str = "127.0.0.1", **headers: str) -> str:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return PROXIES.origin(peer, named).peer

    def test_no_proxy(self) -> None:
        """Nobody else is believed, whatever it says; only noted is whom it says it speaks for."""
        for headers in (
            {"x-forwarded-for": "8.8.8.8:40000"},
            {"x-real-ip": "8.8.8.8"},
            {"forwarded": "for=8.8.8.8;proto=https;host=x"},
        ):
            origin = PROXIES.origin("192.168.1.9", headers)
            self.assertEqual(origin, Origin("192.168.1.9", claimed=("8.8.8.8",)))
        both = {"x-forwarded-for": "10.0.0.1, x", "x-real-ip": "8.8.8.8", "forwarded": "by=1.1.1.1"}
        claimed = PROXIES.origin("192.168.1.9", both).claimed
        self.assertEqual(claimed, ("10.0.0.1", "x", "8.8.8.8", UNKNOWN))

    def test_written_once(self) -> None:
        """An address that is mapped into IPv6 is the IPv4 it is, and so is a proxy's."""
        self.assertEqual(self.peer("::ffff:8.8.8.8"), "8.8.8.8")
        self.assertEqual(self.peer("::ffff:127.0.0.1", x_forwarded_for="::ffff:8.8.8.8"), "8.8.8.8")

    def test_rightmost(self) -> None:
        """Read from the right, the first that is no proxy of ours asks: the rest is hearsay."""
        for chain, client in (
            ("8.8.8.8", "8.8.8.8"),
            ("127.0.0.1, 8.8.8.8", "8.8.8.8"),
            ("1.1.1.1, 8.8.8.8, 10.0.0.7", "8.8.8.8"),
            ("8.8.8.8,10.0.0.7,10.0.0.8", "8.8.8.8"),
            ("8.8.8.8, 10.0.1.7", "10.0.1.7"),
            ("10.0.0.7, 10.0.0.8", "127.0.0.1"),
            ("", "127.0.0.1"),
            ("nonsense, 8.8.8.8", "8.8.8.8"),
            ("8.8.8.8, nonsense", UNKNOWN),
            ("8.8.8.8, unknown, 10.0.0.7", UNKNOWN),
            ("8.8.8.8:40000", "8.8.8.8"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1, fd00::9", "2001:db8::1"),
        ):
            self.assertEqual(self.peer(x_forwarded_for=chain), client, chain)

    def test_other_headers(self) -> None:
        """X-Real-IP and Forwarded say the same in their ways."""
        self.assertEqual(self.peer(x_real_ip="8.8.8.8"), "8.8.8.8")
        for text, client in (
            ("for=8.8.8.8", "8.8.8.8"),
            ('For="[2001:db8::1]:4711"', "2001:db8::1"),
            ('for=1.1.1.1, for="8.8.8.8:80";proto=http;by=10.0.0.1', "8.8.8.8"),
            ("for=8.8.8.8, for=10.0.0.7", "8.8.8.8"),
            ("for=_hidden", UNKNOWN),
            ("proto=https", UNKNOWN),
            ('for="8.8.8.8', UNKNOWN),
            ("for=8.8.8.8;;", UNKNOWN),
        ):
            self.assertEqual(self.peer(forwarded=text), client, text)

    def test_disagreement(self) -> None:
        """A header the proxy only passes on may be the client's: two that differ tell nothing."""
        same = self.peer(x_forwarded_for="8.8.8.8", x_real_ip="8.8.8.8", forwarded="for=8.8.8.8")
        self.assertEqual(same, "8.8.8.8")
        self.assertEqual(self.peer(x_forwarded_for="8.8.8.8", forwarded="for=10.9.9.9"), UNKNOWN)
        self.assertEqual(self.peer(x_forwarded_for="8.8.8.8", x_real_ip="127.0.0.1"), "8.8.8.8")

    @given(some.text(max_size=60), some.sampled_from(["x-forwarded-for", "x-real-ip", "forwarded"]))
    def test_anything(self, text: str, name: str) -> None:
        """Whatever is said, there is an answer; and a stranger's is never another's address."""
        self.assertTrue(PROXIES.origin("127.0.0.1", {name: text}).peer)
        self.assertEqual(PROXIES.origin("8.8.8.8", {name: text}).peer, "8.8.8.8")


class Asked(SynchronousTestCase):
    def address(self, host: str = "voice.example.org", **headers: str) -> Address | None:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return forwarded(PROXIES.origin("127.0.0.1", named), host)

    def test_address(self) -> None:
        """What was asked at is told with its port, spelled out as devices need it."""
        usual = Address("voice.example.org", 443, True)
        self.assertEqual(self.address(x_forwarded_proto="https"), usual)
        self.assertEqual(self.address(forwarded="for=8.8.8.8;proto=HTTPS"), usual)
        self.assertEqual(
            self.address("10.0.0.7:8000", forwarded='proto=https;host="voice.example.org:443"'),
            usual,
        )
        self.assertEqual(
            self.address("x:8000", x_forwarded_proto="https", x_forwarded_host="a.example"),
            Address("a.example", 443, True),
        )
        self.assertEqual(
            self.address(x_forwarded_proto="https", x_forwarded_port="8443"),
            Address("voice.example.org", 8443, True),
        )
        self.assertEqual(
            self.address("v.example:9443", x_forwarded_proto="wss", x_forwarded_port="443"),
            Address("v.example", 9443, True),
        )
        self.assertEqual(
            self.address(x_forwarded_proto="http"), Address("voice.example.org", 80, False)
        )

    def test_nothing_told(self) -> None:
        """A proxy that does not say how it was asked, or says nonsense, changes nothing."""
        for headers in ({}, {"x_forwarded_proto": "gopher"}, {"x_forwarded_for": "8.8.8.8"}):
            self.assertIsNone(self.address(**headers))
        self.assertIsNone(self.address(x_forwarded_proto="https", x_forwarded_host='a"b'))
        stranger = PROXIES.origin("8.8.8.8", {"x-forwarded-proto": "https"})
        self.assertIsNone(forwarded(stranger, "voice.example.org"))
        odd = self.address(x_forwarded_proto="https", x_forwarded_port="٣")
        self.assertEqual(odd, Address("voice.example.org", 443, True))
