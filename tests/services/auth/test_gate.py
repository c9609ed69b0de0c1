"""The gate: which ways there are, in what order, and what becomes of those who are refused."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import jwt
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from tests.services.auth.callers import DEVICE, NOW, FakeRegister, Token, caller, gate, label
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.identity import Identity
from xiaozhi.services.auth import Gate, make_gate
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.auth.devicetokens import KEY_FILE, DeviceTokens, Register
from xiaozhi.services.auth.refusals import Book
from xiaozhi.services.auth.settings import Auth, Jwt, OAuth2, StaticToken
from xiaozhi.services.counters import Counters
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.sparing import ALL, EACH, WINDOW
from xiaozhi.services.store.records import DeviceRecord, Standing
from xiaozhi.services.web.proxies import Proxies

SECRET = "a secret of at least 32 bytes, as RFC 7518 wants it"
STATIC = StaticToken(token="static-token")


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.counters = Counters()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def make(
        self, register: Register | None = None, book: Book | None = None, **settings: Any
    ) -> Gate:
        workshop = Workshop(self.clock, Workers(self.clock, "auth"), self.folder, "en")
        made = make_gate(
            Auth(**settings),
            Proxies(["192.0.2.1"]),
            self.counters,
            workshop,
            lambda: NOW,
            register,
            book,
        )
        made.startService()
        return made

    def decide(self, gate: Gate, asking: Caller) -> Verdict:
        return self.successResultOf(gate.admit(asking))

    def refused(self, reason: str) -> float:
        return self.counters.value("connections_refused", reason=reason)


class Modes(Case):
    def test_which_ways(self) -> None:
        """Each mode opens its ways, and no other."""
        minted = DeviceTokens(b"k" * 32, FakeRegister()).mint(DEVICE, NOW)
        callers = {
            "neighbour": caller(peer="127.0.0.1"),
            "listed": caller(device="listed"),
            "static": caller("static-token"),
            "minted": caller(minted),
            "stored": caller("stored-token"),
            "jwt": caller(jwt.encode({}, SECRET, "HS256")),
        }
        lists: dict[str, Any] = {"allowed_devices": ("Listed",)}
        tokens = {"tokens": (STATIC,), "key": "k" * 32}
        signed = {"jwt": Jwt(secret=SECRET)}
        for settings, admitted in (
            ({"mode": "off"}, {"neighbour"}),
            ({"mode": "token", **tokens}, {"static", "minted", "stored"}),
            ({"mode": "token", **lists}, {"listed", "stored"}),
            ({"mode": "jwt", **signed}, {"jwt"}),
            ({"mode": "jwt", **signed, **lists}, {"jwt", "listed"}),
            ({"mode": "mixed", **tokens}, {"static", "minted", "stored"}),
            ({"mode": "mixed", **tokens, **lists, **signed}, set(callers) - {"neighbour"}),
        ):
            made = self.make(FakeRegister(tokens={"stored-token": Token("t1", DEVICE)}), **settings)
            found = {
                name
                for name, asking in callers.items()
                if isinstance(self.decide(made, asking), Admitted)
            }
            self.assertEqual(found, admitted, settings)

    def test_mint(self) -> None:
        """Where devices have tokens of their own, they are minted; elsewhere there are none."""
        made = self.make(mode="token")
        self.assertIsInstance(self.decide(made, caller(made.mint(DEVICE, NOW))), Admitted)
        self.assertTrue((self.folder / KEY_FILE).exists())
        again = self.make(mode="token")  # the next start
        self.assertIsInstance(self.decide(again, caller(made.mint(DEVICE, NOW))), Admitted)
        for settings in ({"mode": "off"}, {"mode": "jwt", "jwt": Jwt(secret=SECRET)}):
            self.assertEqual(self.make(**settings).mint(DEVICE, NOW), "")

    def test_no_key(self) -> None:
        """A key that is of no use keeps the server from starting."""
        (self.folder / KEY_FILE).mkdir()
        self.assertRaises(Unavailable, self.make, mode="token")
        self.assertRaises(Unavailable, self.make, mode="jwt", jwt=Jwt(public_key="/no/such/file"))

    def test_caller(self) -> None:
        """The address is the one a configured proxy tells; the token is read from the request."""
        made = self.make()
        identity = Identity(DEVICE, DEVICE, "header")
        headers = {"authorization": "Bearer abc", "x-forwarded-for": "1.1.1.1, 203.0.113.9"}
        self.assertEqual(made.caller(identity, "192.0.2.1", {}, headers), caller("abc"))
        other = made.caller(identity, "127.0.0.1", {}, headers)
        self.assertEqual((other.peer, other.claimed), ("127.0.0.1", ("1.1.1.1", "203.0.113.9")))
        self.assertEqual(label(self.decide(made, other)), "address")
        self.assertNotIn("abc", repr(other))


class Refusing(Case):
    def test_reasons(self) -> None:
        """Each refusal has its reason, for the log and for the counter."""
        register = FakeRegister()
        made = self.make(
            register, mode="mixed", tokens=(STATIC,), jwt=Jwt(secret=SECRET, sub_prefix="")
        )
        minted = made.mint("other", NOW)
        for asking, why, reason in (
            (caller(), "it shows no token", "no_token"),
            (caller(None), "what it shows is no bearer token", "bad_token"),
            (caller("unheard-of"), "nobody knows its token", "bad_token"),
            (caller("a.b.c"), "the JWT is refused: DecodeError", "bad_token"),
            (caller(minted), "a device token that is forged, or another device's", "bad_token"),
            (
                caller(jwt.encode({"exp": 5, "sub": DEVICE}, SECRET)),
                "the token has expired",
                "expired",
            ),
            (
                caller(jwt.encode({"sub": "x"}, SECRET)),
                "the token's subject is not this device",
                "device",
            ),
        ):
            before = self.refused(reason)
            self.assertEqual(self.decide(made, asking), Refused(why, reason))  # type: ignore[arg-type]
            self.assertEqual(self.refused(reason), before + 1)

    def test_a_way_fails(self) -> None:
        """A way that fails admits nobody; the others still do."""
        register = FakeRegister(broken=True)
        made = self.make(register, mode="token", tokens=(STATIC,))
        self.assertIsInstance(self.decide(made, caller("static-token")), Admitted)
        verdict = self.decide(made, caller(made.mint(DEVICE, NOW)))
        assert isinstance(verdict, Refused)
        self.assertIn("store failed: the disk is full", verdict.why)
        self.assertEqual(verdict.label, "failure")

    def test_deadline(self) -> None:
        """What is not decided in five seconds is refused."""
        register = FakeRegister(slow=[])
        made = self.make(register, mode="token")
        deciding = made.admit(caller(made.mint(DEVICE, NOW)))
        self.clock.advance(4.9)
        self.assertNoResult(deciding)
        self.clock.advance(0.2)
        verdict = self.successResultOf(deciding)
        self.assertEqual(verdict, Refused("not decided within 5 s", "failure"))
        self.assertEqual(self.refused("failure"), 1)

    def test_cancelled(self) -> None:
        """Who is gone before it is decided is forgotten: nothing waits, nothing is counted."""
        cancelled: list[object] = []
        waiting: Deferred[Any] = Deferred(cancelled.append)

        class Slow:
            def judge(self, caller: Caller, now: float) -> Deferred[Verdict | None]:
                return waiting

        deciding = gate(self.clock, Slow(), counters=self.counters).admit(caller("x"))
        deciding.cancel()
        self.failureResultOf(deciding, CancelledError)
        self.assertEqual(cancelled, [waiting])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.refused("failure"), 0)

    def test_our_fault(self) -> None:
        """A fault of ours admits nobody either."""

        class Broken:
            def judge(self, caller: Caller, now: float) -> Verdict:
                raise ZeroDivisionError

        self.failureResultOf(gate(self.clock, Broken()).admit(caller()), ZeroDivisionError)


class FakeBook:
    """Knows of a device whether it is blocked; fails if that is None."""

    def __init__(self) -> None:
        self.blocked: bool | None = False
        self.asked = 0

    def device(self, device_id: str) -> Deferred[DeviceRecord | None]:
        self.asked += 1
        if self.blocked is None:
            return fail(ServiceError("store", "gone"))
        return succeed(DeviceRecord(id=device_id, blocked=self.blocked, first_seen=0, last_seen=0))


class Log(Case):
    def setUp(self) -> None:
        super().setUp()
        capturing = capturedLogs()
        self.events: Any = capturing.__enter__()
        self.addCleanup(capturing.__exit__, None, None, None)
        self.gate = self.make(mode="token")

    @property
    def lines(self) -> list[str]:
        return [formatEvent(event) for event in self.events]

    def test_one_line(self) -> None:
        """A refusal is one line: who, from where, why; and nothing of the token."""
        self.decide(self.gate, caller("s3cret-s3cret"))
        self.assertEqual(self.lines, [f"refused {DEVICE} from 203.0.113.9: nobody knows its token"])

    def test_blocked(self) -> None:
        """A blocked device has no token to show, or one that is void: the log tells why."""
        book = FakeBook()
        register = FakeRegister(standings={DEVICE: Standing(not_before=math.inf)})
        made = self.make(register, book, mode="token")
        shown = made.mint(DEVICE, NOW)
        for token, why in (
            ("", "it shows no token"),
            (shown, f"the device token {fingerprint(shown)} is revoked"),
        ):
            for book.blocked, told in (
                (True, f"the device is blocked ({why})"),
                (False, why),
                (None, why),
            ):
                self.decide(made, caller(token))
                self.assertEqual(self.lines[-1], f"refused {DEVICE} from 203.0.113.9: {told}")
        asked = book.asked
        for _ in range(1000):
            self.decide(made, caller("unheard-of"))
            self.decide(made, caller(""))
        self.assertLess(book.asked - asked, EACH, "a flood keeps the store busy")

    def test_flood(self) -> None:
        """A flood fills no disk: so many lines a minute for each address, then their sum."""
        for _ in range(1000):
            self.decide(self.gate, caller("x"))
        self.decide(self.gate, caller("x", peer="203.0.113.10"))
        self.assertEqual(len(self.lines), EACH + 1)
        self.clock.advance(WINDOW)
        self.assertEqual(self.lines[EACH + 1 :], [f"refused {1000 - EACH} more from 203.0.113.9"])
        self.decide(self.gate, caller("x"))
        self.assertEqual(len(self.lines), EACH + 3)
        self.assertEqual(self.refused("bad_token"), 1002)

    def test_many_addresses(self) -> None:
        """Many addresses fill none either, nor the memory; a /64 of IPv6 is one address."""
        for number in range(5000):
            peer = f"203.0.{number // 250}.{number % 250}"
            self.decide(self.gate, caller("x", peer=peer))
        self.assertEqual(len(self.lines), ALL)
        self.gate.stopService()
        sums = self.lines[ALL:]
        self.assertLess(len(sums), 30)
        self.assertEqual(sum(int(line.split()[1]) for line in sums), 5000 - ALL)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        del self.events[:]
        for number in range(1000):
            self.decide(self.gate, caller("x", peer=f"2001:db8::{number:x}"))
        self.assertEqual(len(self.lines), EACH)
        self.clock.advance(WINDOW)
        self.assertEqual(self.lines[EACH:], [f"refused {1000 - EACH} more from 2001:db8::/64"])


class Settings(SynchronousTestCase):
    def test_contradictions(self) -> None:
        """What does not go together is refused: what was meant is not guessed."""
        signed = Jwt(secret=SECRET)
        asked = OAuth2(introspection_url="https://id.example.org/introspect")
        for settings, why in (
            ({"mode": "jwt"}, "needs jwt.secret / jwt.public_key"),
            ({"mode": "oauth2"}, "needs oauth2.introspection_url"),
            ({"tokens": (STATIC,)}, "mode is off, which makes no use of tokens"),
            ({"allowed_devices": ("a",)}, "no use of allowed_devices"),
            ({"jwt": signed, "oauth2": asked}, "no use of jwt, oauth2"),
            ({"mode": "token", "jwt": signed}, "no use of jwt"),
            ({"mode": "jwt", "jwt": signed, "tokens": (STATIC,)}, "no use of tokens"),
            ({"mode": "jwt", "jwt": signed, "key": "k" * 32}, "no use of key"),
            ({"mode": "oauth2", "oauth2": asked, "jwt": signed}, "no use of jwt"),
            ({"mode": "token", "open_to": ("10.0.0.0/8",)}, "no use of open_to"),
            ({"mode": "token", "key": "short"}, "at least 32 characters"),
        ):
            error = self.assertRaises(ValueError, Auth, **settings)
            self.assertIn(why, str(error))

    def test_jwt(self) -> None:
        """A key has its algorithms, and only one of the two keys is given."""
        for settings, why in (
            ({"secret": SECRET, "public_key": "x"}, "exclude each other"),
            ({"audience": "a"}, "needs a secret or a public_key"),
            ({"secret": "short"}, "at least 32 bytes"),
            ({"secret": "x" * 63, "algorithms": ("HS512",)}, "at least 64 bytes"),
            ({"secret": SECRET, "algorithms": ("HS256", "RS256")}, "RS256, which a secret"),
            ({"public_key": "x", "algorithms": ("HS256",)}, "HS256, which a public_key"),
            ({"secret": "-----BEGIN PUBLIC KEY-----" + "x" * 32}, "belongs under public_key"),
        ):
            error = self.assertRaises(ValueError, Jwt, **settings)
            self.assertIn(why, str(error))

    def test_others(self) -> None:
        """A secret without its owner, or a token for nobody, is refused."""
        url = "https://id.example.org"
        self.assertRaises(ValueError, OAuth2, client_id="x")
        self.assertRaises(ValueError, OAuth2, introspection_url=url, client_secret="x")
        self.assertRaises(ValueError, StaticToken, token="long-enough", devices=('""',))

    def test_secrets_are_not_shown(self) -> None:
        """No secret is in the text of the settings, whoever prints them."""
        settings = Auth(mode="mixed", tokens=(STATIC,), key="k" * 32, jwt=Jwt(secret=SECRET))
        for shown in (repr(settings), repr(settings.tokens), repr(settings.jwt)):
            for secret in (STATIC.token, "k" * 32, SECRET):
                self.assertNotIn(secret, shown)
