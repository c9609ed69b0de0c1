"""What devices and people are told over HTTP."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.server import Site

from tests.http import ask, send
from tests.services.open_house import nobody
from xiaozhi.services.devices import LIMIT, Devices
from xiaozhi.services.web.address import Address, public
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.proxies import Origin, Proxies
from xiaozhi.services.web.site import site

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=timezone(timedelta(hours=8)))
DEVICE = {"Device-Id": "AA:BB:CC:DD:EE:FF", "Client-Id": "c1", "Content-Type": "application/json"}
BODY = json.dumps({"version": 2, "language": "zh-CN", "application": {"version": "2.4.2"}}).encode()


class OtaTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.devices = Devices()
        self.site = self.make()

    def make(self, address: Address | None = None, *proxies: str) -> Site:
        offer = Offer(address, 1, lambda: NOW, Proxies(proxies))
        return site(WebSocketServerFactory(), offer, self.devices, nobody())

    def test_firmware(self) -> None:
        """The firmware learns its server, the time, and that there is no update."""
        for path in ("/xiaozhi/ota", "/xiaozhi/ota/"):
            reply = ask(self.site, "POST", path, DEVICE, BODY)
            self.assertEqual(reply.status, 200)
            self.assertEqual(reply.headers["content-type"], "application/json; charset=utf-8")
            self.assertEqual(int(reply.headers["content-length"]), len(reply.body))
            self.assertLess(len(reply.body), 6000)
            self.assertEqual(
                reply.json(),
                {
                    "server_time": {
                        "timestamp": int(NOW.timestamp() * 1000),
                        "timezone_offset": 480,
                    },
                    "firmware": {"version": "2.4.2", "url": ""},
                    "websocket": {
                        "url": "ws://192.168.1.5:8000/xiaozhi/v1/",
                        "token": "",
                        "version": 1,
                    },
                },
            )

    def test_other_methods(self) -> None:
        """A method that is not possible is refused with those that are, whatever the path is."""
        protocol, transport = send(self.site, "BREW", "/xiaozhi/ota/", None, b"", 8000)
        protocol.dataReceived(b"PUT /xiaozhi/ota/activate?\x85 HTTP/1.1\r\nHost: a\r\n\r\n")
        protocol.connectionLost(None)
        self.assertEqual(transport.value().count(b"HTTP/1.1 405 "), 2)
        self.assertIn(b"Allow: HEAD, OPTIONS, POST", transport.value())

    def test_head(self) -> None:
        """Where there is no page to get, HEAD does not fail either."""
        for path, status in (("/xiaozhi/ota/activate", 405), ("/xiaozhi", 404), ("/supie", 404)):
            with self.subTest(path=path):
                protocol, transport = send(self.site, "HEAD", path, None, b"", 8000)
                protocol.connectionLost(None)
                self.assertTrue(transport.value().startswith(b"HTTP/1.1 %d " % status))

    def test_badge(self) -> None:
        """A badge is sent to its own path."""
        reply = ask(self.site, "POST", "/supie/ota/", DEVICE, BODY)
        self.assertEqual(reply.json()["websocket"]["url"], "ws://192.168.1.5:8000/supie/v1/")

    def url(self, host: str, port: int = 8000, address: Address | None = None) -> str:
        served = self.make(address)
        reply = ask(served, "POST", "/xiaozhi/ota/", DEVICE | {"Host": host}, BODY, port)
        return str(reply.json()["websocket"]["url"])

    def test_address_as_seen(self) -> None:
        """The address is the one the device used; the port is always spelled out."""
        self.assertEqual(self.url("box.local:9000"), "ws://box.local:9000/xiaozhi/v1/")
        self.assertEqual(self.url("box.local", 8123), "ws://box.local:8123/xiaozhi/v1/")
        self.assertEqual(self.url("[fd00::1]:8000"), "ws://[fd00::1]:8000/xiaozhi/v1/")

    def test_strange_host(self) -> None:
        """A Host that is no host name is not sent back."""
        for host in ('a"b', "a b", "a/b", "", "x:999999", "<script>"):
            url = self.url(host)
            self.assertIn(url, ("ws://192.168.1.5:8000/xiaozhi/v1/", "ws://x:8000/xiaozhi/v1/"))

    def test_public_url(self) -> None:
        """A configured public address is what devices are told, `wss` if it is https."""
        for given, told in (
            ("https://voice.example.org", "wss://voice.example.org:443/xiaozhi/v1/"),
            ("http://voice.example.org:81", "ws://voice.example.org:81/xiaozhi/v1/"),
            ("ws://[fd00::1]", "ws://[fd00::1]:80/xiaozhi/v1/"),
        ):
            self.assertEqual(self.url("10.0.0.1", address=public(given)), told)
        self.assertIsNone(public(""))

    def test_behind_a_proxy(self) -> None:
        """Behind a TLS proxy that is configured it is `wss`, with the port spelled out."""
        headers = DEVICE | {"Host": "voice.example.org", "X-Forwarded-Proto": "https"}
        for proxies, more, url in (
            (["192.168.1.9"], {}, "wss://voice.example.org:443/xiaozhi/v1/"),
            (["192.168.1.0/24"], {"X-Forwarded-Port": "8443"}, "wss://voice.example.org:8443"),
            (["192.168.1.9"], {"Host": "voice.example.org:444"}, "wss://voice.example.org:444/"),
            ([], {}, "ws://voice.example.org:8000/xiaozhi/v1/"),
            (["192.168.1.8"], {}, "ws://voice.example.org:8000/xiaozhi/v1/"),
        ):
            reply = ask(self.make(None, *proxies), "POST", "/xiaozhi/ota/", headers | more, BODY)
            self.assertIn(url, reply.json()["websocket"]["url"])
        configured = self.make(public("https://other.example.org"), "192.168.1.9")
        reply = ask(configured, "POST", "/xiaozhi/ota/", headers, BODY)
        self.assertEqual(
            reply.json()["websocket"]["url"], "wss://other.example.org:443/xiaozhi/v1/"
        )

    def test_headers_twice(self) -> None:
        """A proxy that adds a header to the client's own is the one that is believed."""
        asked: list[str] = []

        class Heard(Proxies):
            def origin(self, peer: str, headers: Mapping[str, str]) -> Origin:
                origin = super().origin(peer, headers)
                asked.append(f"{origin.peer} {origin.scheme}")
                return origin

        offer = Offer(None, 1, lambda: NOW, Heard(["192.168.1.9"]))
        served = site(WebSocketServerFactory(), offer, self.devices, nobody())
        forged = "10.0.0.1\r\nX-Forwarded-For: 8.8.8.8"
        schemes = "https\r\nX-Forwarded-Proto: http"
        headers = {"X-Forwarded-For": forged, "X-Forwarded-Proto": schemes}
        ask(served, "POST", "/xiaozhi/ota/", DEVICE | headers, BODY)
        self.assertEqual(set(asked), {"8.8.8.8 http"})

    def test_access_log(self) -> None:
        """The log of requests has no tokens."""
        log = io.StringIO()
        self.site._logFile = log
        ask(self.site, "GET", "/xiaozhi/ota/?device-id=a&authorization=Bearer%20s3cret", DEVICE)
        self.assertIn("GET /xiaozhi/ota/?device-id=a&authorization=*** HTTP/1.1", log.getvalue())

    def test_broken_body(self) -> None:
        """An SSID with a quote makes the body invalid: the headers tell enough."""
        headers = DEVICE | {"User-Agent": "bread-compact-wifi/1.9.0"}
        for body in (b'{"ssid":"a"b"}', b"\xff", b"[]", b"[" * 5000, b'{"board":5}', b""):
            reply = ask(self.site, "POST", "/xiaozhi/ota/", headers, body)
            self.assertEqual(reply.json()["firmware"], {"version": "1.9.0", "url": ""})

    def test_endless_body(self) -> None:
        """A body that is too long is not kept; whoever sends it is sent away."""
        reply = ask(self.site, "POST", "/xiaozhi/ota/", DEVICE, b" " * 65537)
        self.assertEqual((reply.status, reply.headers["connection"]), (413, "close"))
        self.assertFalse(reply.json()["success"])
        chunked = DEVICE | {"Transfer-Encoding": "chunked"}
        chunks = b"10000\r\n%s\r\n" % (b" " * 65536)
        reply = ask(self.site, "POST", "/xiaozhi/ota/", chunked, chunks * 2 + b"0\r\n\r\n")
        self.assertEqual(reply.status, 413)
        self.assertEqual(ask(self.site, "POST", "/xiaozhi/ota/", DEVICE, b" " * 65536).status, 200)

    def test_unparsable_version(self) -> None:
        """A version that the firmware cannot parse is not echoed: it would reboot for ever."""
        for version in ("v1.2", "latest", "", 5, "1..2", "9" * 40):
            body = json.dumps({"application": {"version": version}}).encode()
            self.assertNotIn(
                "firmware", ask(self.site, "POST", "/xiaozhi/ota/", DEVICE, body).json()
            )

    def test_no_mqtt(self) -> None:
        """There is no `mqtt` key: it would win over the WebSocket."""
        self.assertNotIn(b"mqtt", ask(self.site, "POST", "/xiaozhi/ota/", DEVICE, BODY).body)

    def test_get(self) -> None:
        """A device may ask with GET; people read the address in plain text."""
        self.assertIn("websocket", ask(self.site, "GET", "/xiaozhi/ota/", DEVICE).json())
        query = "/xiaozhi/ota/?device-id=aa%3Abb"
        self.assertIn("websocket", ask(self.site, "GET", query).json())
        reply = ask(self.site, "GET", "/xiaozhi/ota/")
        self.assertIn(b"ws://192.168.1.5:8000/xiaozhi/v1/", reply.body)

    def test_cors(self) -> None:
        """Pages of other origins may ask, after a preflight."""
        preflight = ask(self.site, "OPTIONS", "/xiaozhi/ota/", {"Origin": "http://x"})
        self.assertEqual(preflight.status, 204)
        self.assertIn("Device-Id", preflight.headers["access-control-allow-headers"])
        for reply in (preflight, ask(self.site, "POST", "/supie/ota", DEVICE, BODY)):
            self.assertEqual(reply.headers["access-control-allow-origin"], "*")

    def test_language(self) -> None:
        """The device's own setting is its user's language, else what its request accepts."""
        ask(self.site, "POST", "/xiaozhi/ota/", DEVICE | {"Accept-Language": "de"}, BODY)
        self.assertEqual(self.devices.language("aa:bb:cc:dd:ee:ff"), "zh")
        ask(self.site, "POST", "/xiaozhi/ota/", DEVICE | {"Accept-Language": "de;q=0.5, en"}, b"")
        self.assertEqual(self.devices.language("aa:bb:cc:dd:ee:ff"), "en")
        ask(self.site, "POST", "/xiaozhi/ota/", DEVICE, b"{}")
        self.assertEqual(self.devices.language("aa:bb:cc:dd:ee:ff"), "")

    def test_nobody_is_remembered(self) -> None:
        """Who does not name itself leaves nothing behind."""
        ask(self.site, "POST", "/xiaozhi/ota/", {"Accept-Language": "de"}, BODY)
        self.assertEqual(len(self.devices._told), 0)


class Pages(SynchronousTestCase):
    def test_plain_request_on_the_socket(self) -> None:
        """A plain GET where the WebSocket is says that the server runs."""
        served = site(WebSocketServerFactory(), Offer(None, 1, lambda: NOW), Devices(), nobody())
        for path in ("/xiaozhi/v1/", "/supie/v1/", "/supie/v1"):
            reply = ask(served, "GET", path)
            self.assertEqual((reply.status, reply.body), (200, b"Server is running"))

    def test_front_door(self) -> None:
        """The root tells what this is; other paths are not found."""
        served = site(WebSocketServerFactory(), Offer(None, 1, lambda: NOW), Devices(), nobody())
        self.assertIn(b"/xiaozhi/ota/", ask(served, "GET", "/").body)
        self.assertEqual(ask(served, "GET", "/etc/passwd").status, 404)


class Memory(SynchronousTestCase):
    def test_bounded(self) -> None:
        """Devices not seen for longest make room."""
        devices = Devices()
        for number in range(LIMIT + 5):
            devices.learn(f"d{number}", "zh")
        self.assertEqual(devices.language("d4"), "")
        self.assertEqual(devices.language("d5"), "zh")
