"""Who a device says it is."""

from __future__ import annotations

from hypothesis import given, strategies
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.identity import Identity, identify, normal


class Ids(SynchronousTestCase):
    def test_order(self) -> None:
        """The query comes before the headers, the client id before a made-up one."""
        headers = {"device-id": "H", "client-id": "CH"}
        self.assertEqual(
            identify({"device-id": ["Q"], "client_id": ["CQ"]}, headers),
            Identity("q", "cq", "query"),
        )
        self.assertTrue(identify({"device-id": ["Q"]}, headers).known)
        self.assertEqual(identify({"device_id": ["Q"]}, {}), Identity("q", "q", "query"))
        self.assertEqual(identify({}, headers), Identity("h", "ch", "header"))
        for name in ("device_id", "x-device-id", "x-device_id"):
            self.assertEqual(identify({}, {name: "H"}), Identity("h", "h", "header"))
        self.assertEqual(identify({}, {"client-id": "C"}), Identity("c", "c", "client"))

    def test_made_up(self) -> None:
        """Who says nothing gets an id of its own, and nothing is kept for it."""
        one, other = identify({}, {"device-id": ' "" '}), identify({"device-id": []}, {})
        self.assertRegex(one.device, "^auto-[0-9a-f]{8}$")
        self.assertNotEqual(one.device, other.device)
        self.assertEqual(one.source, "made up")
        self.assertFalse(one.known)
        self.assertFalse(identify({"device-id": [one.device.upper()]}, {}).known)

    def test_normal(self) -> None:
        """Blanks, quotes, case and control characters do not make another device."""
        for text in ("AA:BB", ' "aa:bb" ', "'aA:Bb'", "aa:bb\r\n", "aa\\:bb"):
            self.assertEqual(normal(text), "aa:bb")
        self.assertEqual(len(normal("x" * 1000)), 128)

    @given(strategies.text())
    def test_once(self, given: str) -> None:
        """What is normal stays so, whatever it was."""
        once = normal(given)
        self.assertEqual(normal(once), once)
