"""Signed tokens of others."""

from __future__ import annotations

import base64
import hmac
import json
import tempfile
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import example, given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from tests.services.auth.callers import DEVICE, NOW, caller, judge, label
from xiaozhi.errors import Unavailable
from xiaozhi.services.auth.caller import Admitted, Refused
from xiaozhi.services.auth.jwt import JsonWebTokens, with_key
from xiaozhi.services.auth.settings import Algorithm, Auth, Jwt

SECRET = "a secret of at least 32 bytes, as RFC 7518 wants it"
PRIVATE = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE = ec.generate_private_key(ec.SECP256R1())
EDWARDS = ed25519.Ed25519PrivateKey.generate()


def pem(private: Any) -> str:
    key: bytes = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return key.decode()


def part(text: bytes) -> str:
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


class Secret(SynchronousTestCase):
    """With a secret."""

    def token(self, **claims: Any) -> str:
        return jwt.encode(claims, SECRET, "HS256")

    def label(self, settings: dict[str, Any], device: str = DEVICE, **claims: Any) -> str:
        way = JsonWebTokens(Jwt(secret=SECRET, **settings))
        return label(judge(way, caller(self.token(**claims), device)))

    def test_admitted(self) -> None:
        """A token signed with the secret lets in; it is named in the log, not told."""
        token = self.token()
        verdict = judge(JsonWebTokens(Jwt(secret=SECRET)), caller(token))
        assert isinstance(verdict, Admitted)
        self.assertRegex(verdict.how, "^the JWT [0-9a-f]{10}$")

    def test_times(self) -> None:
        """`exp` and `nbf` are kept, with half a minute for clocks that differ."""
        for claims, expected in (
            ({"exp": NOW + 1}, ""),
            ({"exp": NOW - 29}, ""),
            ({"exp": NOW - 31}, "expired"),
            ({"nbf": NOW + 29}, ""),
            ({"nbf": NOW + 31}, "expired"),
            ({"exp": "tomorrow"}, "expired"),
            ({"exp": float("nan")}, "expired"),
            ({"exp": True}, "expired"),
            ({"nbf": None}, "expired"),
            ({"iat": NOW + 9999}, ""),
        ):
            self.assertEqual(self.label({}, **claims), expected, claims)

    def test_audience_and_issuer(self) -> None:
        """Audience and issuer must be those that are configured."""
        settings = {"audience": "xiaozhi", "issuer": "https://id.example.org"}
        right: dict[str, Any] = {"aud": ["xiaozhi", "other"], "iss": "https://id.example.org"}
        self.assertEqual(self.label(settings, **right), "")
        wrongs: list[dict[str, Any]] = [{"aud": "other"}, {"iss": "https://x"}, {"aud": None}]
        for wrong in wrongs:
            self.assertEqual(self.label(settings, **(right | wrong)), "bad_token", wrong)
        self.assertEqual(self.label(settings), "bad_token")
        self.assertEqual(self.label({}, aud="somebody else"), "bad_token")

    def test_subject(self) -> None:
        """With a prefix, the subject must be it and the device's id, as it is normalised."""
        for prefix, subject, expected in (
            ("device:", f"device:{DEVICE}", ""),
            ("device:", f"device:{DEVICE.upper()}", ""),
            ("device:", DEVICE, "device"),
            ("device:", "device:aa", "device"),
            ("device:", f"user:{DEVICE}", "device"),
            ("", DEVICE, ""),
            ("", "other", "device"),
            (None, "anybody", ""),
        ):
            self.assertEqual(self.label({"sub_prefix": prefix}, sub=subject), expected, subject)
        self.assertEqual(self.label({"sub_prefix": ""}), "device")

    def test_algorithms(self) -> None:
        """The configuration fixes the algorithm, never the token; `none` is none."""
        way = JsonWebTokens(Jwt(secret=SECRET))
        long = SECRET * 2
        for token in (
            jwt.encode({}, "", "none"),
            jwt.encode({}, long, "HS512"),
            jwt.encode({}, PRIVATE, "RS256"),
            jwt.encode({}, SECRET[::-1], "HS256"),
            part(b'{"alg":"None"}') + "." + part(b"{}") + ".",
        ):
            self.assertEqual(label(judge(way, caller(token))), "bad_token", token)
        both = JsonWebTokens(Jwt(secret=long, algorithms=("HS512", "HS256")))
        self.assertIsInstance(judge(both, caller(jwt.encode({}, long, "HS512"))), Admitted)

    @given(some.text("abcdefABCDEF0123456789.-_=", max_size=60))
    @example("." + part(b"{}") + ".")
    @example(part(b"[" * 2000) + ".e30.x")
    @example(part(b'{"alg":"HS256"}') + "." + part(b"[" * 2000) + ".x")
    @example(part(b'{"alg":' + b"9" * 2500 + b"}") + ".e30.x")
    @example(part(b'{"alg":["HS256"]}') + ".e30.x")
    @example(part(b'{"alg":{}}') + ".e30.x")
    @example(part(b'{"alg":"HS256","kid":5}') + ".e30.x")
    @example(part(b'{"alg":"HS256","b64":false,"crit":["b64"]}') + ".e30.x")
    @example(part(b"\xff\xfe") + ".e30.x")
    def test_anything(self, token: str) -> None:
        """Whatever comes is refused, or is no JWT; nothing is raised."""
        verdict = judge(JsonWebTokens(Jwt(secret=SECRET)), caller(token))
        if token.count(".") == 2:
            self.assertIsInstance(verdict, Refused)
        else:
            self.assertIsNone(verdict)

    @given(
        some.recursive(
            some.none() | some.booleans() | some.floats() | some.integers() | some.text(),
            lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
        ),
        some.sampled_from(["exp", "nbf", "aud", "iss", "sub", "iat", "jti"]),
    )
    def test_any_claims(self, value: Any, name: str) -> None:
        """Signed nonsense is decided, too."""
        settings = Jwt(secret=SECRET, audience="a", issuer="i", sub_prefix="")
        claims = {"aud": "a", "iss": "i", "sub": DEVICE} | {name: value}
        token = jwt.api_jws.encode(json.dumps(claims).encode(), SECRET, "HS256")
        self.assertIsInstance(judge(JsonWebTokens(settings), caller(token)), Admitted | Refused)


class PublicKey(SynchronousTestCase):
    """With a public key."""

    def test_kinds(self) -> None:
        """The algorithm follows from the kind of the key, or is one of those it is for."""
        cases: list[tuple[Any, Algorithm, tuple[Algorithm, ...]]] = [
            (PRIVATE, "RS256", ()),
            (PRIVATE, "PS384", ("RS256", "PS384")),
            (CURVE, "ES256", ()),
            (EDWARDS, "EdDSA", ("EdDSA",)),
        ]
        for private, usual, algorithms in cases:
            way = JsonWebTokens(Jwt(public_key=pem(private), algorithms=algorithms))
            token = jwt.encode({}, private, usual)
            self.assertIsInstance(judge(way, caller(token)), Admitted, usual)

    def test_the_key_is_no_secret(self) -> None:
        """A token "signed" with the public key as if it were a secret is refused."""
        head = part(b'{"alg":"HS256","typ":"JWT"}') + "." + part(b"{}")
        seal = hmac.new(pem(PRIVATE).encode(), head.encode(), "sha256").digest()
        way = JsonWebTokens(Jwt(public_key=pem(PRIVATE)))
        self.assertEqual(label(judge(way, caller(f"{head}.{part(seal)}"))), "bad_token")

    def test_file(self) -> None:
        """The key may be in a file."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "key.pem"
            path.write_text(pem(CURVE))
            settings = Auth(mode="jwt", jwt=Jwt(public_key=str(path)))
            way = JsonWebTokens(with_key(settings).jwt)
        self.assertRaises(Unavailable, with_key, settings)
        self.assertIsInstance(judge(way, caller(jwt.encode({}, CURVE, "ES256"))), Admitted)

    def test_wrong_keys(self) -> None:
        """What is no such key, or not for the algorithm, is said at the start."""
        weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
        odd = ec.generate_private_key(ec.SECP256K1())
        cases: list[tuple[str, tuple[Algorithm, ...], str]] = [
            (pem(PRIVATE), ("ES256",), "has ES256, but the key is for RS256"),
            (pem(CURVE), ("ES384",), "has ES384, but the key is for ES256"),
            (pem(EDWARDS), ("RS256",), "but the key is for EdDSA"),
            (pem(weak), (), "of a kind, or of a size"),
            (pem(odd), (), "of a kind, or of a size"),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", (), "not a public key"),
            ("no/key.pem", (), "not a public key"),
        ]
        for key, algorithms, why in cases:
            settings = Jwt(public_key=key, algorithms=algorithms)
            error = self.assertRaises(Unavailable, JsonWebTokens, settings)
            self.assertIn(why, str(error))
