"""Activation: through the real pages, with a real store and a real gate."""

from __future__ import annotations

import math
from typing import Any
from unittest.mock import Mock

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.http import asked
from tests.services.serving import BADGE, NOON, OFF, TOKENS, ServerCase
from xiaozhi.errors import ServiceError
from xiaozhi.services.activation import PATIENCE, Enrolment, Papers
from xiaozhi.services.auth.settings import Auth, Jwt
from xiaozhi.services.sparing import EACH
from xiaozhi.services.store import DeviceRecord, Seen
from xiaozhi.services.store.records import TICK
from xiaozhi.settings import Activation

DAY = 86400


class BootTests(ServerCase):
    """What a device is handed when it asks for its configuration."""

    async def test_noted(self) -> None:
        """A device is noted with what it tells, whether or not it must be activated."""
        seen, noted = self.store.seen, []

        def note(*args: Any) -> Deferred[DeviceRecord]:
            noted.append(seen(*args))
            return noted[-1]

        self.patch(self.store, "seen", note)
        body = {"board": {"type": "badge"}, "language": "en-US", "application": {"version": "1.9"}}
        for auth in (OFF, TOKENS):
            self.serve(auth)
            await self.store.forget(BADGE)
            for told, expected in (
                (b'{"ssid":"a"b"}', ("bread-compact-wifi", "2.0.1", "zh")),
                (body, ("badge", "1.9", "en")),
            ):
                await self.post("/supie/ota", told)
                await noted[-1]  # with auth off, nobody waits for that
                device = await self.store.device(BADGE)
                assert device is not None
                self.assertEqual((device.board, device.firmware, device.language), expected)
                self.assertEqual((device.client_id, device.address), ("c1", "192.168.1.9"))

    async def test_strangers(self) -> None:
        """With auth off, who is too far away to connect is not noted; with tokens, anybody is."""
        for auth, address, noted in (
            (OFF, "8.8.8.8", 0),
            (OFF, "unknown", 0),
            (OFF, "::ffff:10.0.0.1", 1),
            (Auth(open_to=("8.8.8.0/24",)), "8.8.8.8", 1),
            (TOKENS, "8.8.8.8", 1),
        ):
            store: Any = Mock(seen=Mock(return_value=Deferred()))
            made = Enrolment(store, Mock(), auth, Activation(), 9, Clock(), lambda: NOON)
            made.check_in(Seen(id="a", address=address))
            self.assertEqual(store.seen.call_count, noted, (auth.mode, address))

    async def test_from_code_to_token(self) -> None:
        """A device shows the same code until somebody enters it; then it has a token for good."""
        first = await self.boot()
        self.assertEqual(first["websocket"]["token"], "")
        shown = first["activation"]
        self.assertEqual(set(shown), {"code", "message", "challenge", "timeout_ms"})
        self.assertRegex(shown["code"], r"\A[0-9]{6}\Z")
        self.now += 3600
        self.assertEqual((await self.boot())["activation"], shown)
        await self.store.activate(shown["code"], self.now)
        tokens = []
        for months in (0, 1, 40):
            self.now = NOON + 3600 + months * 30 * 86400
            told = await self.boot()
            self.assertNotIn("activation", told)
            tokens.append(told["websocket"]["token"])
            for token in tokens:
                self.assertTrue(await self.admitted(token))
        self.assertFalse(await self.admitted(tokens[0], "another"))

    async def test_logged(self) -> None:
        """A device that waits is told of once for each code, and the code is not."""
        shown = []
        with capturedLogs() as events:
            for later in (0, 1, 2, DAY):
                self.now = NOON + later
                shown.append((await self.boot())["activation"]["code"])
        lines = [formatEvent(e) for e in events if e["log_namespace"].endswith("Enrolment")]
        waits = f"{BADGE} (bread-compact-wifi) at 192.168.1.9 waits to be activated"
        self.assertEqual(lines, [f"{waits}, and shows a new code"] * 2)
        self.assertFalse(any(code in repr(events) for code in shown))

    async def test_many(self) -> None:
        """Names that are made up do not flood the log."""
        with capturedLogs() as events:
            for number in range(EACH + 3):
                await self.boot(Device_Id=f"made-up-{number}")
            self.enrolment.stopService()
        lines = [formatEvent(e) for e in events if e["log_namespace"].endswith("Enrolment")]
        self.assertEqual(len(lines), EACH + 1)
        self.assertEqual(lines[-1], "3 more devices at 192.168.1.9 wait, too")

    async def test_message(self) -> None:
        """The message says where the code is to be entered, in the user's language."""
        for language, start in (("zh-CN", "请在服务器上"), ("en", "On the"), ("de", "On the")):
            shown = (await self.boot(Accept_Language=language))["activation"]
            self.assertTrue(shown["message"].startswith(start))
            self.assertIn(f"xiaozhi activate {shown['code']}", shown["message"])
        self.serve(TOKENS, message="example.org: {code}")
        shown = (await self.boot())["activation"]
        self.assertEqual(shown["message"], f"example.org: {shown['code']}")

    async def test_who_gets_what(self) -> None:
        """The settings decide who must be activated; only the activated have tokens."""
        jwt = Auth(mode="jwt", jwt=Jwt(secret="s" * 32))
        exempt = Auth(mode="token", key="k" * 32, allowed_devices=(BADGE,))
        for auth, required, activated, waits, token in (
            (TOKENS, None, False, True, False),
            (TOKENS, None, True, False, True),
            (TOKENS, False, False, False, False),
            (TOKENS, False, True, False, True),
            (OFF, None, False, False, False),
            (OFF, None, True, False, False),
            (OFF, True, False, True, False),
            (OFF, True, True, False, False),
            (jwt, None, False, False, False),
            (exempt, None, False, False, False),
        ):
            with self.subTest(mode=auth.mode, required=required, activated=activated):
                self.serve(auth, required=required)
                await self.store.forget(BADGE)
                await self.store.seen(Seen(id=BADGE), NOON)
                if activated:
                    await self.store.activate(BADGE, NOON)
                told = await self.boot()
                self.assertEqual("activation" in told, waits)
                self.assertEqual(bool(told["websocket"]["token"]), token)
                progress = await self.post("/xiaozhi/ota/activate")
                self.assertEqual(progress.status, 202 if waits else 200)

    async def test_blocked(self) -> None:
        """A blocked device gets neither a code nor a token; its old one is no good, and at once."""
        await self.boot()
        await self.store.block(BADGE, True, NOON)
        self.assertNotIn("activation", await self.boot())
        await self.store.block(BADGE, False, NOON)
        await self.store.activate(BADGE, NOON)
        token = (await self.boot())["websocket"]["token"]
        for blocked in (False, True, False):
            await self.store.block(BADGE, blocked, NOON)
            self.assertEqual(await self.admitted(token), not blocked)
            self.assertEqual((await self.boot())["websocket"]["token"], "" if blocked else token)

    async def test_made_good(self) -> None:
        """What is handed out at the moment of activation, or of revocation, is good."""
        await self.boot()
        await self.store.activate(BADGE, self.now + 2)  # by a clock that is ahead
        old = (await self.boot())["websocket"]["token"]
        self.assertTrue(await self.admitted(old))
        await self.store.revoke_tokens_of(BADGE, self.now)
        new = (await self.boot())["websocket"]["token"]
        self.assertEqual([await self.admitted(old), await self.admitted(new)], [False, True])

    async def test_nobody(self) -> None:
        """Who names no device is told where the server is, and leaves nothing behind."""
        reply = await asked(self.site, "POST", "/xiaozhi/ota/")
        self.assertNotIn("activation", reply.json())
        self.assertEqual(await self.store.count(), 0)

    async def test_full(self) -> None:
        """Where there are too many devices, a new one waits if it needs a token."""
        await self.store.seen(Seen(id="other"), NOON)
        for auth, status in ((TOKENS, 503), (OFF, 200)):
            self.serve(auth, most=1)
            self.assertEqual((await self.post("/xiaozhi/ota/")).status, status)
        self.assertEqual(await self.store.count(), 1)


class ProgressTests(ServerCase):
    """What a device asks while it shows its code."""

    async def test_every_version(self) -> None:
        """Pending is 202 and done is 200, whatever version asks in whatever wrapping."""
        challenge = (await self.boot())["activation"]["challenge"]
        second = {
            "algorithm": "hmac-sha256",
            "serial_number": "SN1",
            "challenge": challenge,
            "hmac": "0" * 64,
        }
        bodies: tuple[Any, ...] = (
            {},
            second,
            {"Payload": second},
            {"Payload": {}},
            b"",
            b"no json",
        )
        for status in (202, 200):
            for path in ("/xiaozhi/ota/activate", "/supie/ota/activate/"):
                for body in bodies:
                    self.assertEqual((await self.post(path, body)).status, status)
            await self.store.activate(BADGE, NOON)

    async def test_of_another_challenge(self) -> None:
        """A device that asks about an activation of the day before must fetch the new one."""
        await self.boot()
        for body in ({"challenge": "x"}, {"Payload": {"challenge": "é"}}):
            reply = await self.post("/xiaozhi/ota/activate", body)
            self.assertEqual((reply.status, reply.json()["success"]), (400, False))

    async def test_strangers(self) -> None:
        """Who is unknown, or names no device, is told so."""
        self.assertEqual((await self.post("/xiaozhi/ota/activate")).status, 404)
        reply = await asked(self.site, "POST", "/xiaozhi/ota/activate")
        self.assertEqual((reply.status, reply.json()["error"]), (400, "Device-Id is missing"))
        self.assertEqual((await asked(self.site, "GET", "/xiaozhi/ota/nothing")).status, 404)

    async def test_other_origins(self) -> None:
        """Pages of other origins may ask."""
        reply = await self.post("/xiaozhi/ota/activate")
        self.assertEqual(reply.headers["access-control-allow-origin"], "*")
        reply = await asked(self.site, "OPTIONS", "/xiaozhi/ota/activate")
        self.assertEqual(reply.status, 204)


class TroubleTests(SynchronousTestCase):
    """A store that fails, or does not answer."""

    def setUp(self) -> None:
        self.clock = Clock()

    def enrolment(self, noted: Deferred[Any], auth: Auth, required: bool | None) -> Enrolment:
        store: Any = Mock(seen=lambda *_: noted)
        settings = Activation(required=required)
        return Enrolment(
            store, lambda device, now: f"{now}", auth, settings, 9, self.clock, lambda: NOON
        )

    def check_in(self, noted: Any, auth: Auth, required: bool | None = None) -> Deferred[Papers]:
        return self.enrolment(noted, auth, required).check_in(Seen(id=BADGE, address="10.0.0.1"))

    def test_fails(self) -> None:
        """Where a token is needed that is said; otherwise the device may talk."""
        broken = ServiceError("store", "the disk is full")
        self.failureResultOf(self.check_in(fail(broken), TOKENS), ServiceError)
        for required in (None, True):
            waiting = self.check_in(fail(broken), OFF, required)
            self.assertEqual(self.successResultOf(waiting), Papers())

    def test_silent(self) -> None:
        """It is waited for less than two seconds, and only if something depends on it."""
        self.assertEqual(self.successResultOf(self.check_in(Deferred(), OFF)), Papers())
        needed = self.check_in(Deferred(), TOKENS)
        asked_for = self.check_in(Deferred(), OFF, True)
        self.clock.advance(PATIENCE - 0.01)
        for waiting in (needed, asked_for):
            self.assertNoResult(waiting)
        self.clock.advance(0.01)
        self.assertEqual(self.failureResultOf(needed).value.why, "no answer within 1.8 s")
        self.assertEqual(self.successResultOf(asked_for), Papers())
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertLess(PATIENCE, 2)

    def test_clocks(self) -> None:
        """A token is issued after all that is void, even if this clock is behind."""
        device = DeviceRecord(id=BADGE, first_seen=1, last_seen=2)
        make = self.enrolment(succeed(device), TOKENS, None).token
        self.assertEqual(make(device), "")
        for activated, void, issued in (
            (NOON - 5, None, NOON),
            (NOON, None, NOON + TICK),
            (NOON - 5, NOON + 3, NOON + 3 + TICK),
        ):
            known = DeviceRecord(
                id=BADGE, first_seen=1, last_seen=2, activated_at=activated, tokens_void_at=void
            )
            self.assertTrue(math.isclose(float(make(known)), issued, abs_tol=1e-6))
            self.assertGreater(float(make(known)), known.not_before)
