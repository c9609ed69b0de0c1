"""Tokens another server is asked about."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from tests.introspection_server import IntrospectionServer, Question
from tests.services.auth.callers import DEVICE, NOW, FakeRegister, caller, gate, label
from xiaozhi.services.auth import Gate
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict
from xiaozhi.services.auth.devicetokens import DeviceTokens
from xiaozhi.services.auth.oauth2 import KEPT, Introspection
from xiaozhi.services.auth.settings import OAuth2
from xiaozhi.services.pool import Workers


class IntrospectionTest(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.server = IntrospectionServer("xiaozhi", "s:cret & more")
        self.server.tokens["good"] = {}
        self.addCleanup(lambda: Deferred.fromCoroutine(self.server.stop()))
        self.clock = Clock()
        self.now = NOW

    def gate(self, **settings: Any) -> Gate:
        usual = {
            "introspection_url": self.server.url,
            "client_id": "xiaozhi",
            "client_secret": "s:cret & more",
        }
        pool = Workers(reactor, "auth", 1)
        pool.startService()
        way = Introspection(OAuth2(**(usual | settings)), pool, self.clock, lambda: self.now)
        made = gate(self.clock, way, now=lambda: self.now)
        self.addCleanup(pool.stopService)
        self.addCleanup(made.stopService)
        return made

    async def decide(self, gate: Gate, asking: Caller) -> Verdict:
        return await gate.admit(asking)

    async def test_active(self) -> None:
        """A token the other server calls active lets in; the question is as RFC 7662 has it."""
        verdict = await self.decide(self.gate(), caller("good"))
        assert isinstance(verdict, Admitted)
        self.assertRegex(verdict.how, "^the OAuth2 token [0-9a-f]{10}$")
        self.assertEqual(self.server.asked, [Question("good", "access_token", "application/json")])

    async def test_not_active(self) -> None:
        """Any other is refused, and asked about again: it may be active soon."""
        made = self.gate()
        self.assertEqual(label(await self.decide(made, caller("soon"))), "bad_token")
        self.server.tokens["soon"] = {}
        self.assertIsInstance(await self.decide(made, caller("soon")), Admitted)

    async def test_kept(self) -> None:
        """A good answer is kept for a minute, and not longer."""
        made = self.gate()
        await self.decide(made, caller("good"))
        self.server.tokens.clear()
        self.now += KEPT - 1
        self.assertIsInstance(await self.decide(made, caller("good")), Admitted)
        self.assertEqual(len(self.server.asked), 1)
        self.now += 2
        self.assertEqual(label(await self.decide(made, caller("good"))), "bad_token")

    async def test_stopped_meanwhile(self) -> None:
        """Who is still being judged when the settings change is refused, as by a failure."""
        made = self.gate()
        made.startService()
        self.server.silent = True
        deciding = made.admit(caller("good"))
        await self.server.heard
        await made.stopService()
        self.assertEqual(label(await deciding), "failure")

    async def test_kept_until_its_end(self) -> None:
        """It is not kept beyond the token's own end."""
        self.server.tokens["good"] = {"exp": NOW + 5}
        made = self.gate()
        await self.decide(made, caller("good"))
        self.server.tokens.clear()
        self.now += 4
        self.assertIsInstance(await self.decide(made, caller("good")), Admitted)
        self.now += 2
        self.assertEqual(label(await self.decide(made, caller("good"))), "bad_token")

    async def test_claims(self) -> None:
        """What the answer says of the token counts: its end, its audience, its subject."""
        settings = {"audience": "xiaozhi", "sub_prefix": "device:"}
        right = {"aud": ["xiaozhi"], "sub": f"device:{DEVICE}"}
        for token, claims, expected in (
            ("a", right, ""),
            ("b", right | {"exp": NOW - 31}, "expired"),
            ("c", right | {"aud": "other"}, "bad_token"),
            ("d", right | {"sub": "device:other"}, "device"),
            ("e", {}, "bad_token"),
        ):
            self.server.tokens[token] = claims
            verdict = await self.decide(self.gate(**settings), caller(token))
            self.assertEqual(label(verdict), expected, claims)

    async def test_kept_for_the_device(self) -> None:
        """A kept answer does not let another device in by the same token."""
        self.server.tokens["good"] = {"sub": DEVICE}
        made = self.gate(sub_prefix="")
        self.assertIsInstance(await self.decide(made, caller("good")), Admitted)
        self.assertEqual(label(await self.decide(made, caller("good", "other"))), "device")

    async def test_failures(self) -> None:
        """Whatever goes wrong there, nobody is let in."""
        made = self.gate()
        for status, body, why in (
            (500, b"", "HTTP 500"),
            (302, b"", "HTTP 302"),
            (200, b"<html>", "sent no JSON"),
            (200, b"[" * 5000, "sent no JSON"),
            (200, b'["active"]', "sent no introspection"),
            (200, b" " * 70000, "the answer is too long"),
        ):
            self.server.instead = status, body
            verdict = await self.decide(made, caller("good"))
            assert isinstance(verdict, Refused)
            self.assertEqual(verdict.label, "failure")
            self.assertIn("introspection failed: ", verdict.why)
            self.assertIn(why, verdict.why)
        for odd in (b'{"active":"true"}', b'{"active":1}', b'{"active":null}', b"{}"):
            self.server.instead = 200, odd
            self.assertEqual(label(await self.decide(made, caller("good"))), "bad_token")

    async def test_wrong_client(self) -> None:
        """So it is if it does not believe who we are; our secret is not in the reason."""
        verdict = await self.decide(self.gate(client_secret="wrong-one"), caller("good"))
        assert isinstance(verdict, Refused)
        self.assertIn("HTTP 401", verdict.why)
        self.assertNotIn("wrong-one", verdict.why)
        no_client = self.gate(client_id="", client_secret="")
        self.assertEqual(label(await self.decide(no_client, caller("good"))), "failure")

    async def test_not_there(self) -> None:
        """So it is if there is no server."""
        made = self.gate()
        await self.server.stop()
        self.assertEqual(label(await self.decide(made, caller("good"))), "failure")

    async def test_silent(self) -> None:
        """After three seconds without an answer it is refused, and the question withdrawn."""
        self.server.silent = True
        deciding = self.gate().admit(caller("good"))
        await self.server.heard
        self.clock.advance(2.9)
        self.assertNoResult(deciding)
        self.clock.advance(0.2)
        verdict = await deciding
        assert isinstance(verdict, Refused)
        self.assertIn("introspection failed: no answer within 3 s", verdict.why)

    async def test_flood(self) -> None:
        """A flood of tokens is not handed on: so many questions at once, and no more."""
        self.server.silent = True
        made = self.gate()
        deciding = [made.admit(caller(f"token-{number}")) for number in range(100)]
        busy = [one for one in deciding if one.called]
        self.assertEqual(len(busy), 100 - 32)
        for one in deciding:
            one.addErrback(lambda _: None)
            one.cancel()
        await DeferredList(deciding)
        self.server.silent = False
        self.assertIsInstance(await self.decide(made, caller("good")), Admitted)

    async def test_not_told(self) -> None:
        """A token this server has minted is nobody else's business."""
        minted = DeviceTokens(b"k" * 32, FakeRegister()).mint(DEVICE, NOW)
        made = self.gate()
        for token in (minted, "", None):
            self.assertTrue(label(await self.decide(made, caller(token))))
        self.assertEqual(self.server.asked, [])
