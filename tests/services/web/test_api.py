"""What operators see and do, and what nobody else does."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.logger import capturedLogs, formatEvent
from twisted.python.failure import Failure

from tests.fakes import FakeHands
from tests.http import Reply, asked, send
from tests.pictures import JPEG
from tests.services.serving import BADGE, NOON, OFF, ServerCase
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.logs.masking import is_secret
from xiaozhi.services.store import Entry, Seen, SessionMemory, Store, audience
from xiaozhi.services.web.operators import ADDRESSES, TRIES, WINDOW, Operators
from xiaozhi.services.web.proxies import Proxies

EVERYTHING = (
    ("GET", "/api/devices"),
    ("GET", f"/api/devices/{BADGE}"),
    ("PATCH", f"/api/devices/{BADGE}"),
    ("DELETE", f"/api/devices/{BADGE}"),
    ("GET", f"/api/devices/{BADGE}/memories"),
    ("GET", f"/api/devices/{BADGE}/memory"),
    ("DELETE", f"/api/devices/{BADGE}/memory"),
    ("POST", f"/api/devices/{BADGE}/token"),
    ("DELETE", f"/api/devices/{BADGE}/token"),
    ("GET", f"/api/devices/{BADGE}/tools"),
    ("POST", f"/api/devices/{BADGE}/tools"),
    ("POST", "/api/activate"),
    ("GET", "/api/tokens"),
    ("POST", "/api/tokens"),
    ("DELETE", "/api/tokens/12345678"),
    ("GET", "/api/mcp"),
)
"""All there is to ask."""


class ApiCase(ServerCase):
    """A test with an operator, Anna."""

    def setUp(self) -> Any:
        ready: Deferred[Any] = super().setUp()
        return ready.addCallback(lambda _: Deferred.fromCoroutine(self.hire()))

    async def hire(self) -> None:
        """Give Anna a token."""
        self.issued = await self.store.issue_token("operator", "anna", "laptop", NOON)

    async def call(
        self, method: str, path: str, body: Any = None, token: str | None = None, **headers: str
    ) -> Reply:
        """Ask as Anna, or with another `token`; a body of bytes is sent as it is."""
        shown = self.issued.secret if token is None else token
        heads = {"Authorization": f"Bearer {shown}"} if shown else {}
        data = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        reply = await asked(self.site, method, path, heads | headers, data)
        told = reply.json()
        self.assertEqual(set(told), {"success", "data" if reply.status == 200 else "error"})
        self.assertEqual(told["success"], reply.status == 200)
        self.assertEqual(int(reply.headers["content-length"]), len(reply.body))
        self.assertNotIn("access-control-allow-origin", reply.headers)
        return reply

    async def does(self, method: str, path: str, body: Any = None) -> Any:
        """Ask as Anna for what is granted."""
        reply = await self.call(method, path, body)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()["data"]

    async def fails(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Ask as Anna for what is not."""
        reply = await self.call(method, path, body)
        return reply.status, reply.json().get("error", "")

    def refused(self, reason: str) -> float:
        return self.counters.value("operators_refused", reason=reason)


class DoorTests(ApiCase):
    """Who gets in."""

    async def test_nothing_without_a_token(self) -> None:
        """Nobody learns anything, nor what there is, without an operator's valid token."""
        await self.boot()
        device = await self.store.issue_token("device", BADGE, "", NOON)
        revoked = await self.store.issue_token("operator", "ben", "", NOON)
        await self.store.revoke_token(revoked.id, NOON)
        wrong = ("", "x", device.secret, revoked.secret, self.issued.id)
        for method, path in (*EVERYTHING, ("GET", "/api/nothing"), ("OPTIONS", "/api/devices")):
            self.clock.advance(WINDOW)
            for token in wrong:
                reply = await self.call(method, path, {"code": "123456"}, token)
                self.assertEqual((reply.status, reply.headers["www-authenticate"]), (401, "Bearer"))
        self.assertEqual(self.refused("no_token"), len(EVERYTHING) + 2)
        self.assertEqual(self.refused("bad_token"), 4 * (len(EVERYTHING) + 2))
        device_record = await self.store.device(BADGE)
        assert device_record is not None
        self.assertIsNone(device_record.activated_at)

    async def test_everything_with_one(self) -> None:
        """With one, everything is there (or is not, which is said)."""
        for method, path in EVERYTHING:
            self.assertNotIn((await self.call(method, path)).status, (401, 405, 500), path)
        self.assertEqual(await self.fails("GET", "/api"), (404, "there is nothing here"))
        self.assertEqual((await self.call("GET", "/api/devices/")).status, 200)

    async def test_other_methods(self) -> None:
        """A method that is not possible is refused with those that are."""
        reply = await self.call("PUT", "/api/tokens")
        self.assertEqual((reply.status, reply.headers["allow"]), (405, "GET, POST"))

    async def test_wrong_ones_over_and_over(self) -> None:
        """After ten wrong tokens an address waits a minute; nothing is looked up for it."""
        for _ in range(TRIES):
            self.assertEqual((await self.call("GET", "/api/devices", token="x")).status, 401)
        for token in ("x", self.issued.secret):
            reply = await self.call("GET", "/api/devices", token=token)
            self.assertEqual((reply.status, reply.headers["retry-after"]), (429, "60"))
        self.assertEqual(self.refused("tries"), 2)
        self.clock.advance(WINDOW)
        for token, status in ((self.issued.secret, 200), ("x", 401), (self.issued.secret, 200)):
            self.assertEqual((await self.call("GET", "/api/devices", token=token)).status, status)

    async def test_many_addresses(self) -> None:
        """Addresses are counted by themselves, and not without end."""
        operators = Operators(self.store, Proxies, self.counters, self.clock)
        for number in range(ADDRESSES + 5):
            operators._note(f"address {number}")
        self.assertEqual(len(operators._wrong), ADDRESSES)

    async def test_the_store_fails(self) -> None:
        """While the store fails nobody gets in, and that is no fault of the token's."""
        await self.store.stopService()
        self.assertEqual(
            await self.fails("GET", "/api/devices"), (503, "store: the server is stopping")
        )

    async def test_hangs_up(self) -> None:
        """Who hangs up ends what was begun; nothing is logged, and nothing more is written."""
        core: Any = reactor
        begun: Deferred[None] = Deferred()
        ended: list[object] = []

        def hang(*page: object) -> Deferred[Any]:
            core.callLater(0, begun.callback, None)
            return Deferred(ended.append)

        self.patch(Store, "devices", hang)
        headers = {"Authorization": f"Bearer {self.issued.secret}"}
        protocol, transport = send(self.site, "GET", "/api/devices", headers, b"", 8000)
        await begun
        with capturedLogs() as events:
            protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((len(ended), transport.value()), (1, b""))
        self.assertEqual([event for event in events if "log_failure" in event], [])

    async def test_our_fault(self) -> None:
        """A fault of ours is logged, and tells nothing."""
        self.patch(Store, "devices", lambda *page: 1 / 0)
        self.assertEqual(await self.fails("GET", "/api/devices"), (500, "internal error"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class BodyTests(ApiCase):
    """Bodies that make no sense."""

    async def test_named(self) -> None:
        """What is wrong is said with the name of the field."""
        await self.boot()
        device = f"/api/devices/{BADGE}"
        for method, path, body, named in (
            ("PATCH", device, {"blocked": "yes"}, "blocked: "),
            ("PATCH", device, {"name": 5}, "name: "),
            ("PATCH", device, {"name": "x" * 201}, "name: "),
            ("PATCH", device, {"colour": "red"}, "`colour`"),
            ("PATCH", device, b"[]", "object"),
            ("PATCH", device, b"{", "truncated"),
            ("PATCH", device, b"\xff", ""),
            ("PATCH", device, b'{"name":' * 5000, "deeper"),
            ("PATCH", device, b"[" * 5000, "deeper"),
            ("POST", f"{device}/tools", {}, "`tool`"),
            ("POST", f"{device}/tools", {"tool": ""}, "tool: "),
            ("POST", f"{device}/tools", {"tool": "x", "arguments": [1]}, "arguments: "),
            ("POST", "/api/activate", {}, "code: "),
            ("POST", "/api/activate", {"code": "12345"}, "code: "),
            ("POST", "/api/activate", {"code": "123456", "device": "x"}, "code: "),
            ("POST", "/api/tokens", {"subject": "a\nb"}, "subject: "),
            ("POST", f"{device}/token", {"label": 1}, "label: "),
            ("GET", "/api/devices?limit=1001", None, "limit: "),
            ("GET", f"{device}/memories?limit=0", None, "limit: "),
            ("GET", f"{device}/memories?limit=x", None, "limit: "),
            ("DELETE", f"{device}/token?fingerprint=xyz", None, "fingerprint: "),
        ):
            with self.subTest(path=path, body=body):
                status, error = await self.fails(method, path, body)
                self.assertEqual(status, 400)
                self.assertIn(named, error)

    async def test_long(self) -> None:
        """A body over 64 KB is refused."""
        reply = await self.call("POST", "/api/tokens", b" " * 65537)
        self.assertEqual(reply.status, 413)


class DeviceTests(ApiCase):
    """Devices."""

    async def test_from_code_to_bin(self) -> None:
        """A device is activated by its code, shown, named, blocked, and forgotten."""
        code = (await self.boot())["activation"]["code"]
        wrong = f"{(int(code) + 1) % 10**6:06}"
        self.assertEqual(
            await self.fails("POST", "/api/activate", {"code": wrong}),
            (404, "no device shows this code"),
        )
        device = await self.does("POST", "/api/activate", {"code": f" {code[:3]} {code[3:]}"})
        self.assertEqual((device["id"], device["activated_at"]), (BADGE, NOON))
        self.assertEqual(await self.does("GET", "/api/devices"), [device])
        path = f"/api/devices/{BADGE.upper().replace(':', '%3A')}"
        named = await self.does("PATCH", path, {"name": "小明的徽章"})
        self.assertEqual(named, device | {"name": "小明的徽章"})
        self.assertEqual(await self.does("GET", path), named | {"memories": 0})
        for blocked in (True, False):
            self.assertEqual(
                await self.does("PATCH", path, {"blocked": blocked}), named | {"blocked": blocked}
            )
            self.assertEqual(self.kicked, [BADGE])
        self.assertIsNone(await self.does("DELETE", path))
        self.assertEqual(self.kicked, [BADGE, BADGE])
        self.assertEqual((await self.fails("GET", path))[0], 404)

    async def test_by_id(self) -> None:
        """An operator may name the device instead of its code."""
        await self.boot()
        device = await self.does("POST", "/api/activate", {"device": BADGE.upper()})
        self.assertEqual(device["activated_at"], NOON)
        self.assertEqual(
            await self.fails("POST", "/api/activate", {"device": "x"}),
            (404, "there is no such device"),
        )

    async def test_pages(self) -> None:
        """Devices are listed a page at a time; a page goes on after the last of the one before."""
        for number in range(3):
            await self.store.seen(Seen(id=f"b:{number}"), NOON)
        for which, expected in (
            ("", ["b:0", "b:1", "b:2"]),
            ("?limit=2", ["b:0", "b:1"]),
            ("?limit=2&after=B%3A1", ["b:2"]),
            ("?after=b:2", []),
        ):
            page = await self.does("GET", f"/api/devices{which}")
            self.assertEqual([device["id"] for device in page], expected, which)

    async def test_unknown(self) -> None:
        """Of a device that is unknown nothing can be done."""
        for method, path in EVERYTHING:
            if path.startswith("/api/devices/") and not path.endswith("tools"):
                body = {"blocked": True} if method == "PATCH" else None
                self.assertEqual((await self.fails(method, path, body))[0], 404)
        self.assertEqual(self.kicked, [])

    async def test_memories(self) -> None:
        """What was said in its last sessions is shown, the newest first."""
        await self.boot()
        for number in range(3):
            entries = (Entry("user", f"question {number}"), Entry("assistant", "answer"))
            await self.store.remember(
                SessionMemory(
                    session_id=f"s{number}",
                    device_id=BADGE,
                    began=NOON,
                    ended=NOON + number,
                    entries=entries,
                )
            )
        for query, sessions in (("", ["s2", "s1"]), ("?limit=100", ["s2", "s1", "s0"])):
            found = await self.does("GET", f"/api/devices/{BADGE}/memories{query}")
            self.assertEqual([memory["session_id"] for memory in found], sessions)
        self.assertEqual((await self.does("GET", f"/api/devices/{BADGE}"))["memories"], 3)
        self.assertEqual(
            found[0]["entries"], [["user", "question 2", 0.0], ["assistant", "answer", 0.0]]
        )

    async def test_memory(self) -> None:
        """What is known of its user is shown and erased: of some minutes, about a thing, or all."""
        path = f"/api/devices/{BADGE}/memory"
        await self.boot()
        await self.learnt("I like tea", "I live in Bonn", "I like dogs", "My name is Tom")
        found = await self.does("GET", path)
        self.assertEqual(found["facts"][0]["text"], "The user likes tea.")
        self.assertEqual((len(found["facts"]), len(found["digests"])), (4, 4))
        for wanted, left in (
            ("?minutes=1", ["Bonn", "dogs", "Tom"]),
            ("?about=the%20dog", ["Bonn", "Tom"]),
            ("", []),
        ):
            erased = (await self.does("DELETE", path + wanted))["erased"]
            self.assertEqual(erased, 4 if not wanted else 2)
            facts = (await self.does("GET", path))["facts"]
            self.assertEqual([fact["text"].split()[-1].rstrip(".") for fact in facts], left)
        self.assertEqual(
            self.interrupted, [(BADGE, 60, ""), (BADGE, None, "the dog"), (BADGE, None, "")]
        )
        for wanted in ("?minutes=0", "?minutes=x", "?about=", "?about=%20"):
            self.assertEqual((await self.fails("DELETE", path + wanted))[0], 400, wanted)
        self.assertEqual(len(self.interrupted), 3)

    async def test_tools(self) -> None:
        """The tools of a device that is connected are listed and called, operators' too."""
        path = f"/api/devices/{BADGE.upper()}/tools"
        call = {"tool": "self.reboot"}
        for method, body in (("GET", None), ("POST", call)):
            self.assertEqual(
                await self.fails(method, path, body), (409, "the device is not connected")
            )
        hands = self.hands[BADGE] = FakeHands()
        only, photo = await self.does("GET", path)
        schema = {"type": "object", "properties": {}}
        self.assertEqual(
            only,
            {
                "name": "self.reboot",
                "description": "Starts anew.",
                "schema": schema,
                "user_only": True,
            },
        )
        self.assertFalse(photo["user_only"])
        self.assertEqual(await self.does("POST", path, call), {"text": "true", "pictures": []})
        told = await self.does("POST", path, {"tool": "take_photo", "arguments": {"question": "?"}})
        picture = {"mime": "image/jpeg", "data": b64encode(JPEG).decode()}
        self.assertEqual(told, {"text": "a cat", "pictures": [picture]})
        self.assertEqual(hands.called, [("self.reboot", {}), ("take_photo", {"question": "?"})])
        for tool in ("broken", "failing"):
            self.assertEqual(
                await self.fails("POST", path, {"tool": tool}), (502, "MCP工具调用失败: no")
            )

    async def test_logged(self) -> None:
        """The log says who did what, and has no secrets."""
        code = (await self.boot())["activation"]["code"]
        with capturedLogs() as events:
            await self.does("POST", "/api/activate", {"code": code})
        (event,) = events
        self.assertEqual(formatEvent(event), f"anna (token {self.issued.id}) activated {BADGE}")
        self.assertFalse(any(map(is_secret, event)), "what is under such a key would be masked")


class TokenTests(ApiCase):
    """Tokens."""

    async def test_of_operators(self) -> None:
        """A token is told once, works, is listed without its secret, and is revoked."""
        made = await self.does("POST", "/api/tokens", {"subject": "ben", "label": "phone"})
        self.assertEqual((await self.call("GET", "/api/tokens", token=made["secret"])).status, 200)
        listed = await self.does("GET", "/api/tokens")
        self.assertEqual({token["subject"] for token in listed}, {"anna", "ben"})
        self.assertNotIn(made["secret"], json.dumps(listed))
        await self.does("DELETE", f"/api/tokens/{made['id']}")
        self.assertEqual((await self.call("GET", "/api/tokens", token=made["secret"])).status, 401)
        for name in (made["id"], "unknown", "%00"):
            self.assertEqual((await self.fails("DELETE", f"/api/tokens/{name}"))[0], 404)
        self.assertEqual(self.kicked, [])

    async def test_of_mcp_servers(self) -> None:
        """One lets MCP servers in to serve some devices, or all; when it is void they must go."""
        made = await self.does("POST", "/api/tokens", {"mcp": [BADGE.upper(), "b"], "label": "x"})
        self.assertEqual(made["endpoint"], f"/mcp/?token={made['secret']}")
        every = await self.does("POST", "/api/tokens", {"mcp": []})
        found = await self.store.find_token("mcp", made["secret"])
        assert found is not None
        self.assertEqual((found.subject, found.label), (f"{BADGE},b", "x"))
        self.assertEqual(audience(found.subject), {BADGE, "b"})
        found = await self.store.find_token("mcp", every["secret"])
        assert found is not None
        self.assertIsNone(audience(found.subject))
        await self.does("DELETE", f"/api/tokens/{made['id']}")
        self.assertEqual(self.servers.kept, {self.issued.id, every["id"]})
        for wrong in (["a,b"], ["*"], [""], "all"):
            self.assertEqual((await self.fails("POST", "/api/tokens", {"mcp": wrong}))[0], 400)
        self.assertEqual((await self.does("GET", "/api/mcp"))[0]["name"], "demo")

    async def test_of_devices(self) -> None:
        """A device gets the token OTA would hand it or, with a label, one that is listed."""
        path = f"/api/devices/{BADGE}/token"
        await self.boot()
        self.assertEqual(await self.fails("POST", path), (409, "the device is not activated"))
        await self.store.activate(BADGE, NOON)
        minted, kept = await self.does("POST", path), await self.does("POST", path, {"label": "x"})
        listed = await self.does("GET", "/api/tokens")
        self.assertIn((kept["id"], BADGE), [(token["id"], token["subject"]) for token in listed])
        secrets = [minted["secret"], kept["secret"]]
        self.assertEqual([await self.admitted(secret) for secret in secrets], [True, True])
        await self.does("DELETE", f"/api/tokens/{kept['id']}")
        self.assertEqual([await self.admitted(secret) for secret in secrets], [True, False])
        self.assertEqual(self.kicked, [BADGE])
        await self.store.block(BADGE, True, NOON)
        self.assertEqual(await self.fails("POST", path), (409, "the device is blocked"))
        await self.store.block(BADGE, False, NOON)
        self.serve(OFF)
        self.assertIn("auth.mode", (await self.fails("POST", path))[1])

    async def test_revoked(self) -> None:
        """One token of a device is revoked by its name in the log, or all at once."""
        path = f"/api/devices/{BADGE}/token"
        await self.boot()
        await self.store.activate(BADGE, NOON)
        tokens = []
        for _ in range(3):
            self.now += 1
            tokens.append((await self.boot())["websocket"]["token"])
        tokens.append((await self.does("POST", path, {"label": "x"}))["secret"])
        for query, good in (
            ("", [True, True, True, True]),
            (f"?fingerprint={fingerprint(tokens[1])}", [True, False, True, True]),
            ("?", [False, False, False, False]),
        ):
            if query:
                await self.does("DELETE", path + query)
            self.assertEqual([await self.admitted(token) for token in tokens], good)
        self.assertEqual(self.kicked, [BADGE, BADGE])
        self.assertTrue(await self.admitted((await self.boot())["websocket"]["token"]))
