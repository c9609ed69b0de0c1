"""Tokens of devices: made by this server, true without looking anything up, and revocable.

A token is `xd1_<when>_<seal>`: the time of issue (ms, UTC, hexadecimal) and an HMAC-SHA256 over
that time and the device's id, with the server's key. A device gets its token at boot and may
then run for months, so tokens have no end unless `auth.device_token_days` sets one.
"""

from __future__ import annotations

import base64
import errno
import hmac
import os
import re
import secrets
from hashlib import sha256
from pathlib import Path
from typing import Final, Protocol

from twisted.internet.defer import Deferred, succeed

from xiaozhi.errors import Unavailable
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.store.records import Standing, TokenKind, TokenRecord

KEY_FILE: Final = "device-tokens.key"
SKEW: Final = 300.0
"""Seconds a token may come from the future: clocks are set back a little, not by years."""

_FORM = re.compile(r"xd1_([0-9a-f]{1,12})_([A-Za-z0-9_-]{43})")
_DAY = 86400.0


class Register(Protocol):
    """What is asked of the store. Both fail with ServiceError."""

    def standing(self, device_id: str) -> Deferred[Standing]:
        """Tell what is held against a device's tokens.

        All of them are void (`not_before` is infinite) for a device that is unknown or not
        activated: one that was forgotten must not come back with an old token.
        """

    def find_token(self, kind: TokenKind, secret: str) -> Deferred[TokenRecord | None]:
        """Find a token an operator had made; None if it is unknown or revoked."""


class NoRegister:
    """Stands in where there is no store: nothing is revoked, and there are no other tokens."""

    def standing(self, device_id: str) -> Deferred[Standing]:
        """Hold nothing against anybody."""
        return succeed(Standing())

    def find_token(self, kind: TokenKind, secret: str) -> Deferred[TokenRecord | None]:
        """Know no token."""
        return succeed(None)


class DeviceTokens:
    """Mints tokens, and knows them again."""

    def __init__(self, key: bytes, register: Register, days: int | None = None) -> None:
        """Seal with `key`; tokens are good for so many `days`, or for ever."""
        self._key = key
        self._register = register
        self._life = None if days is None else days * _DAY

    def mint(self, device_id: str, now: float) -> str:
        """Make the token of a device."""
        issued = f"{round(now * 1000):x}"
        return f"xd1_{issued}_{self._seal(device_id, issued)}"

    def judge(self, caller: Caller, now: float) -> Verdict | Deferred[Verdict | None] | None:
        """Check the seal first, so that only true tokens are looked up."""
        match = _FORM.fullmatch(caller.token or "")
        if match is None:
            return None
        written, seal = match.groups()
        device = caller.identity.device
        # Texts are compared, not what they decode to: one token must have one spelling.
        if not hmac.compare_digest(self._seal(device, written).encode(), seal.encode()):
            return Refused("a device token that is forged, or another device's", "bad_token")
        issued = int(written, 16) / 1000
        if issued > now + SKEW:
            return Refused("a device token from the future", "bad_token")
        if self._life is not None and now > issued + self._life:
            return Refused("a device token that has expired", "expired")
        name = fingerprint(match.group())

        def look(standing: Standing) -> Verdict:
            if issued <= standing.not_before or name in standing.revoked:
                return Refused(f"the device token {name} is revoked", "revoked")
            return Admitted(f"the device token {name}")

        return self._register.standing(device).addCallback(look)

    def _seal(self, device_id: str, issued: str) -> str:
        text = f"xiaozhi device token 1\n{issued}\n{device_id}".encode()
        seal = hmac.digest(self._key, text, sha256)
        return base64.urlsafe_b64encode(seal).rstrip(b"=").decode()


class StoredTokens:
    """Tokens of devices that an operator had made one by one; the store has their hashes."""

    def __init__(self, register: Register) -> None:
        """Look them up in the `register`."""
        self._register = register

    def judge(self, caller: Caller, now: float) -> Deferred[Verdict | None] | None:
        """Look the token up, if it can be one."""
        if not caller.token or is_minted(caller.token):
            return None

        def look(found: TokenRecord | None) -> Verdict | None:
            if found is None:
                return None
            if not hmac.compare_digest(found.subject.encode(), caller.identity.device.encode()):
                return Refused(f"the token {found.id} is another device's", "device")
            return Admitted(f"the token {found.id}")

        return self._register.find_token("device", caller.token).addCallback(look)


def is_minted(token: str) -> bool:
    """Say whether a token has the form of those this server mints."""
    return token.startswith("xd1_")


def server_key(folder: Path) -> bytes:
    """Read the key from its file in `folder`, or make both; nobody else may read it.

    Raises Unavailable if others may, or if what is there is no key, and OSError.
    """
    path = folder / KEY_FILE
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    draft = path.with_name(f".{KEY_FILE}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(descriptor)
            owner = folder.stat()  # the server may give up root later
            if owner.st_uid != os.geteuid():
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
        os.link(draft, path)  # the whole key, or none; and never over one that came meanwhile
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    finally:
        draft.unlink()
    return _read(path)


def _read(path: Path) -> bytes:
    with path.open(encoding="ascii", errors="replace") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            raise Unavailable(
                f"{path} can be read by others: chmod 600 {path}",
                f"{path} 可以被其他用户读取：chmod 600 {path}",
            )
        text = file.read(1024).strip()
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise Unavailable(
            f"{path} is not a key; without it, a new one is made, and devices get new tokens "
            "when they restart",
            f"{path} 不是密钥；删除后会重新生成，设备重启后会得到新的令牌",
        )
    return bytes.fromhex(text)
