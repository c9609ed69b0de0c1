"""The configuration: what a device asks, and what it takes."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.device import ota
from xiaozhi.device.errors import Crashed, Refused

PROFILE = ota.Profile(ota_url="http://x/ota/", device_id="aa:bb:cc:dd:ee:ff", client_id="c")
WEBSOCKET = {"url": "ws://h:1/x", "token": "t", "version": 3}


def read(**told: Any) -> ota.Offer:
    """Read a reply with a good websocket and more."""
    return ota.read(json.dumps({"websocket": WEBSOCKET, **told}).encode())


class RequestTest(SynchronousTestCase):
    """The request."""

    def test_headers(self) -> None:
        """The headers name the device, the board and the language."""
        expected = {
            "Activation-Version": "1",
            "Device-Id": "aa:bb:cc:dd:ee:ff",
            "Client-Id": "c",
            "User-Agent": "xiaozhi-sim/2.4.2",
            "Accept-Language": "zh-CN",
            "Content-Type": "application/json",
        }
        self.assertEqual(ota.headers(PROFILE), expected)

    def test_a_serial_number(self) -> None:
        """A device with a serial number sends it, and is of the second activation version."""
        headers = ota.headers(ota.Profile(ota_url="x", serial="SN1"))
        self.assertEqual((headers["Serial-Number"], headers["Activation-Version"]), ("SN1", "2"))

    def test_body(self) -> None:
        """The body has every member the firmware sends."""
        body = json.loads(ota.body(PROFILE))
        expected = (
            "version language flash_size minimum_free_heap_size mac_address uuid chip_model_name "
            "chip_info application partition_table ota display board"
        )
        self.assertEqual(set(body), set(expected.split()))
        self.assertEqual((body["mac_address"], body["uuid"]), ("aa:bb:cc:dd:ee:ff", "c"))
        self.assertIsInstance(body["minimum_free_heap_size"], str)

    def test_no_such_device(self) -> None:
        """A device must have an address to ask and a possible frame."""
        self.assertRaises(ValueError, ota.Profile)
        self.assertRaises(ValueError, ota.Profile, ota_url="x", frame_ms=30)


class ReplyTest(SynchronousTestCase):
    """The reply."""

    def test_a_good_one(self) -> None:
        """It tells where the WebSocket is."""
        self.assertEqual(read(), ota.Offer("ws://h:1/x", "t", 3))

    def test_activation(self) -> None:
        """A code or a challenge asks for an activation."""
        told = read(activation={"code": "123456", "message": "hello", "timeout_ms": 1})
        self.assertEqual(told.activation, ota.Activation("123456", "hello", ""))
        self.assertIsNone(read(activation={"message": "hello"}).activation)

    def test_of_no_use(self) -> None:
        """A device cannot talk without a websocket, or with mqtt, which it would prefer."""
        for body in (b"", b"[]", b"{}", b'{"websocket": 1}', b'{"websocket":{},"mqtt":{}}'):
            with self.subTest(body=body):
                self.assertRaises(Refused, ota.read, body)

    def test_what_a_device_cannot_bear(self) -> None:
        """Bad versions, long names, long strings and long replies end in a reboot or worse."""
        self.assertRaises(Crashed, read, firmware={"version": "v1.2", "url": ""})
        self.assertRaises(Crashed, read, websocket={"a_name_too_long_": 1})
        self.assertRaises(Crashed, read, websocket={"token": "x" * 4001})
        self.assertRaises(Crashed, read, more="x" * 8192)
        self.assertEqual(read(firmware={"version": "1.2.0", "url": ""}).version, 3)


class AddressTest(SynchronousTestCase):
    """URLs, as the firmware takes them apart."""

    def test_good_ones(self) -> None:
        """Host, port and path; the port is that of the scheme where none is told."""
        for url, expected in {
            "ws://h/x?a=b": ota.Address("h", 80, "/x?a=b", False),
            "ws://1.2.3.4:8000/x/": ota.Address("1.2.3.4", 8000, "/x/", False),
            "wss://h": ota.Address("h", 443, "/", True),
            "https://h:1": ota.Address("h", 1, "/", True),
        }.items():
            with self.subTest(url=url):
                self.assertEqual(ota.address(url), expected)

    def test_a_colon_in_the_query(self) -> None:
        """The first colon comes before the port, even in the query: no number, no device."""
        self.assertRaises(Crashed, ota.address, "ws://h/x?mac=aa:bb")
        self.assertEqual(ota.address("ws://h:1/x?mac=aa:bb").path, "/x?mac=aa:bb")

    def test_no_url(self) -> None:
        """What is no URL leads nowhere."""
        self.assertRaises(Refused, ota.address, "")


class HandshakeTest(SynchronousTestCase):
    """The headers of the WebSocket."""

    def test_the_version(self) -> None:
        """The device's own version, else what was offered, else 1."""
        own = ota.Profile(ota_url="x", version=2)
        for profile, offered, expected in (
            (own, 3, 2),
            (PROFILE, 3, 3),
            (PROFILE, 0, 1),
            (PROFILE, 9, 1),
        ):
            version, headers = ota.handshake(profile, ota.Offer(version=offered))
            self.assertEqual((version, headers["Protocol-Version"]), (expected, str(expected)))

    def test_the_token(self) -> None:
        """A token is a bearer's unless it says otherwise; without one there is no header."""
        for token, expected in (("t", "Bearer t"), ("Basic t", "Basic t"), ("", None)):
            _, headers = ota.handshake(PROFILE, ota.Offer(token=token))
            self.assertEqual(headers.get("Authorization"), expected)
