"""The tokens of devices, and the key they are sealed with."""

from __future__ import annotations

import base64
import hmac
import math
import os
import stat
import tempfile
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.services.auth.callers import DEVICE, NOW, FakeRegister, Token, caller, judge, label
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.auth.caller import Admitted
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.auth.devicetokens import (
    KEY_FILE,
    SKEW,
    DeviceTokens,
    StoredTokens,
    server_key,
)
from xiaozhi.services.store import Standing

KEY = bytes(range(32))
DAY = 86400.0


class DeviceTokensTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.register = FakeRegister()
        self.tokens = DeviceTokens(KEY, self.register)
        self.token = self.tokens.mint(DEVICE, NOW)

    def test_minted(self) -> None:
        """A token lets its device in, years later too, and is short enough for any device."""
        self.assertRegex(self.token, r"^xd1_[0-9a-f]{11}_[\w-]{43}$")
        for years in (0, 1, 20):
            verdict = judge(self.tokens, caller(self.token), NOW + years * 365 * DAY)
            self.assertEqual(verdict, Admitted(f"the device token {fingerprint(self.token)}"))

    def test_the_seal(self) -> None:
        """The seal is an HMAC-SHA256 that anybody with the key can compute."""
        _, issued, seal = self.token.split("_", 2)
        text = b"xiaozhi device token 1\n" + issued.encode() + b"\n" + DEVICE.encode()
        expected = hmac.new(KEY, text, "sha256").digest()
        self.assertEqual(base64.urlsafe_b64decode(seal + "="), expected)
        self.assertEqual(int(issued, 16), NOW * 1000)

    def test_forged(self) -> None:
        """Not one character may differ, nor the device, nor the key; the store is not asked."""
        verdicts = [
            judge(self.tokens, caller(self.token, "aa:bb:cc:dd:ee:00")),
            judge(DeviceTokens(KEY[::-1], self.register), caller(self.token)),
        ]
        for place in range(4, len(self.token)):
            for sign in ("0", "1", "A", "w"):
                changed = self.token[:place] + sign + self.token[place + 1 :]
                if changed != self.token:
                    verdicts.append(judge(self.tokens, caller(changed)))
        self.assertFalse([verdict for verdict in verdicts if isinstance(verdict, Admitted)])
        self.assertEqual(self.register.asked, 0)

    def test_other_forms(self) -> None:
        """What has another form is none of these."""
        for other in ("", None, "x", self.token + "0", " " + self.token, "xd1__", "a.b.c"):
            self.assertIsNone(judge(self.tokens, caller(other)))

    def test_days(self) -> None:
        """They expire only if they are told to."""
        tokens = DeviceTokens(KEY, self.register, days=90)
        self.assertIsInstance(judge(tokens, caller(self.token), NOW + 89 * DAY), Admitted)
        self.assertEqual(label(judge(tokens, caller(self.token), NOW + 91 * DAY)), "expired")

    def test_from_the_future(self) -> None:
        """One of a clock that was wrong by years could never be revoked: it is no good."""
        early = self.tokens.mint(DEVICE, NOW + SKEW - 1)
        self.assertIsInstance(judge(self.tokens, caller(early)), Admitted)
        late = self.tokens.mint(DEVICE, NOW + SKEW + 1)
        self.assertEqual(label(judge(self.tokens, caller(late))), "bad_token")

    def test_revoked_all(self) -> None:
        """All tokens of a device until now can be revoked; the next one is good, and others'."""
        later = NOW + 10
        self.register.standings[DEVICE] = Standing(not_before=later)
        self.assertEqual(label(judge(self.tokens, caller(self.token), later)), "revoked")
        at_once = self.tokens.mint(DEVICE, later)
        self.assertEqual(label(judge(self.tokens, caller(at_once), later)), "revoked")
        new = self.tokens.mint(DEVICE, later + 0.001)
        self.assertIsInstance(judge(self.tokens, caller(new), later + 1), Admitted)
        other = self.tokens.mint("other", NOW)
        self.assertIsInstance(judge(self.tokens, caller(other, "other"), later), Admitted)

    def test_forgotten(self) -> None:
        """A device that was forgotten does not come back with an old token, nor a new one."""
        self.register.standings[DEVICE] = Standing(not_before=math.inf)
        self.assertEqual(label(judge(self.tokens, caller(self.token))), "revoked")

    def test_revoked_one(self) -> None:
        """One token can be revoked by the name it has in the log."""
        self.register.standings[DEVICE] = Standing(revoked=frozenset([fingerprint(self.token)]))
        self.assertEqual(label(judge(self.tokens, caller(self.token))), "revoked")
        other = self.tokens.mint(DEVICE, NOW + 1)
        self.assertIsInstance(judge(self.tokens, caller(other)), Admitted)

    def test_no_store(self) -> None:
        """Where the store cannot say whether a token is revoked, it lets nobody in."""
        self.register.broken = True
        asked = self.tokens.judge(caller(self.token), NOW)
        assert isinstance(asked, Deferred)
        self.failureResultOf(asked, ServiceError)


class StoredTokensTest(SynchronousTestCase):
    def test_stored(self) -> None:
        """A token an operator made lets in the device it was made for."""
        register = FakeRegister(tokens={"s3cret-s3cret": Token("t1", DEVICE)})
        way = StoredTokens(register)
        self.assertEqual(judge(way, caller("s3cret-s3cret")), Admitted("the token t1"))
        self.assertEqual(label(judge(way, caller("s3cret-s3cret", "other"))), "device")
        self.assertIsNone(judge(way, caller("s3cret-s3cres")))

    def test_not_asked(self) -> None:
        """The store is not asked for nothing, nor for what cannot be there."""
        register = FakeRegister()
        for token in ("", None, DeviceTokens(KEY, register).mint(DEVICE, NOW)):
            self.assertIsNone(judge(StoredTokens(register), caller(token)))
        self.assertEqual(register.asked, 0)


class ServerKey(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / KEY_FILE

    def test_made_once(self) -> None:
        """The key is made at the first start, for nobody else to read, and stays."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        key = server_key(self.folder)
        self.assertEqual(len(key), 32)
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertEqual(server_key(self.folder), key)
        self.assertEqual([path.name for path in self.folder.iterdir()], [KEY_FILE])

    def test_another_came_first(self) -> None:
        """Of two servers that start at once, both use the key of the first."""
        with tempfile.TemporaryDirectory() as other:
            first = server_key(Path(other))
            os_link = os.link

            def late(draft: Path, path: Path) -> None:
                os_link(Path(other) / KEY_FILE, path)
                os_link(draft, path)

            self.patch(os, "link", late)
            self.assertEqual(server_key(self.folder), first)

    def test_readable_by_others(self) -> None:
        """A key that others can read is refused, with what to do."""
        server_key(self.folder)
        self.path.chmod(0o640)
        error = self.assertRaises(Unavailable, server_key, self.folder)
        self.assertIn("chmod 600", str(error))

    def test_no_key(self) -> None:
        """A file that is no key is not used, and not lost."""
        for content in ("", "abc", "0" * 63 + "g", "0" * 65):
            self.path.write_text(content)
            self.path.chmod(0o600)
            self.assertRaises(Unavailable, server_key, self.folder)
            self.assertEqual(self.path.read_text(), content)

    def test_read_only(self) -> None:
        """Where no key can be kept, there is no start."""
        self.assertRaises(OSError, server_key, self.folder / "missing")
