"""Who is on a list, and who is a neighbour."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.services.auth.callers import caller, judge, label
from xiaozhi.services.auth.caller import Admitted
from xiaozhi.services.auth.lists import AllowedDevices, Neighbours, StaticTokens
from xiaozhi.services.auth.settings import StaticToken
from xiaozhi.services.networks import neighbourhood, parse


class StaticTokensTest(SynchronousTestCase):
    def test_tokens(self) -> None:
        """A token of the file lets in; what is not exactly it is nobody's."""
        way = StaticTokens([StaticToken(token="first-token", name="kitchen")])
        self.assertEqual(judge(way, caller("first-token")), Admitted("the token kitchen"))
        for other in ("", None, "first-toke", "first-token ", "FIRST-TOKEN", "first-token-"):
            self.assertIsNone(judge(way, caller(other)), other)

    def test_no_tokens(self) -> None:
        """Without tokens, to show none is not to show the right one."""
        self.assertIsNone(judge(StaticTokens([]), caller("")))

    def test_devices(self) -> None:
        """A token may be for certain devices, however their ids are written."""
        way = StaticTokens([StaticToken(token="first-token", devices=('"AA:BB"',))])
        self.assertIsInstance(judge(way, caller("first-token", "aa:bb")), Admitted)
        self.assertEqual(label(judge(way, caller("first-token", "aa:bc"))), "device")


class AllowedDevicesTest(SynchronousTestCase):
    def test_ids(self) -> None:
        """A device on the list needs no token; ids are compared as they are normalised."""
        way = AllowedDevices([" AA:BB ", "'cc:dd'"])
        for device in ("aa:bb", "cc:dd"):
            self.assertEqual(judge(way, caller(device=device)), Admitted("auth.allowed_devices"))
        self.assertIsNone(judge(way, caller(device="aa:b")))
        self.assertIsNone(judge(way, caller(device="")))


class NeighboursTest(SynchronousTestCase):
    def test_near(self) -> None:
        """Loopback, private and link-local peers are served, mapped into IPv6 or not."""
        for peer in (
            *("127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"),
            *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.255.1", "::ffff:192.168.1.9"),
            *("169.254.7.7", "fe80::1", "fe80::1%eth0", "febf::1", "fc00::1", "fdff::1"),
        ):
            self.assertIsInstance(judge(Neighbours(), caller(peer=peer)), Admitted, peer)

    def test_far(self) -> None:
        """Others are not, and what is no address least of all."""
        for peer in (
            *("8.8.8.8", "::ffff:8.8.8.8", "2001:db8::1", "172.15.255.255", "172.32.0.0"),
            *("100.64.0.1", "0.0.0.0", "::", "224.0.0.1", "192.0.2.1", "198.18.0.1", "11.0.0.0"),
            *("fec0::1", "fbff::1", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1"),
            *("unknown", "127.0.0.1:80", "127.1", "010.0.0.1", "localhost", "127.0.0.1 "),
        ):
            self.assertEqual(label(judge(Neighbours(), caller(peer=peer))), "address", peer)

    def test_open_to(self) -> None:
        """The configuration may name more networks."""
        way = Neighbours(["100.64.0.0/10", "2001:db8::/32"])
        for peer in ("100.127.255.255", "::ffff:100.64.0.1", "2001:db8::1", "127.0.0.1"):
            self.assertIsInstance(judge(way, caller(peer=peer)), Admitted, peer)
        self.assertEqual(label(judge(way, caller(peer="100.128.0.0"))), "address")

    def test_claimed(self) -> None:
        """A proxy nobody has configured lets nobody in who is far, and is no help either."""
        for claimed in (("8.8.8.8",), ("who?",), ("10.0.0.7", "8.8.8.8"), ("8.8.8.8", "10.0.0.7")):
            refused = judge(Neighbours(), caller(peer="127.0.0.1", claimed=claimed))
            self.assertEqual(label(refused), "address", claimed)
        near = caller(peer="127.0.0.1", claimed=("10.0.0.7", "::1"))
        self.assertIsInstance(judge(Neighbours(), near), Admitted)
        far = caller(claimed=("127.0.0.1",))
        self.assertEqual(label(judge(Neighbours(), far)), "address")


class Neighbourhood(SynchronousTestCase):
    def test_peers(self) -> None:
        """An IPv4 address is one peer, and so is a /64, which a single host may have."""
        for address, peer in (("8.8.8.8", "8.8.8.8"), ("2001:db8:0:1:2::3", "2001:db8:0:1::/64")):
            parsed = parse(address)
            assert parsed is not None
            self.assertEqual(neighbourhood(parsed), peer)
