"""Signed tokens (JWT, RFC 7519) of whoever has the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from xiaozhi.errors import Unavailable
from xiaozhi.services.auth.caller import Admitted, Caller, Refused, Verdict
from xiaozhi.services.auth.claims import Wanted
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.auth.settings import Auth, Jwt

if TYPE_CHECKING:
    from jwt.types import Options


class JsonWebTokens:
    """Let in who shows a token that is signed with the key and says the right things."""

    def __init__(self, settings: Jwt) -> None:
        """Take the key itself (see `with_key`).

        Raises Unavailable if it is none, or none for the algorithms.
        """
        import jwt

        self._jwt = jwt
        self._key: Any = settings.secret
        self._algorithms: Sequence[str] = settings.algorithms or ("HS256",)
        if settings.public_key:
            self._key, self._algorithms = _public(settings)
        self._audience = settings.audience or None
        self._issuer = settings.issuer or None
        self._wanted = Wanted(sub_prefix=settings.sub_prefix)

    def judge(self, caller: Caller, now: float) -> Verdict | None:
        """Check the signature and what is signed."""
        if not caller.token or caller.token.count(".") != 2:
            return None
        # The times are looked at below: they are told, not read from a clock.
        options: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
        try:
            claims = self._jwt.decode(
                caller.token,
                self._key,
                algorithms=self._algorithms,
                audience=self._audience,
                issuer=self._issuer,
                options=options,
            )
        except self._jwt.PyJWTError as error:
            return Refused(f"the JWT is refused: {type(error).__name__}", "bad_token")
        fault = self._wanted.fault(claims, caller.identity.device, now)
        return fault or Admitted(f"the JWT {fingerprint(caller.token)}")


def with_key(settings: Auth) -> Auth:
    """Put the public key in the place of the name of its file; raises Unavailable.

    So what was read can be compared, and is not read twice.
    """
    name = settings.jwt.public_key
    if not name or "-----BEGIN" in name:
        return settings
    try:
        with open(name, "rb") as file:
            text = file.read(1 << 16).decode("ascii", "replace")
    except OSError as error:
        raise Unavailable(
            f"auth.jwt.public_key cannot be read: {error.strerror}",
            f"无法读取 auth.jwt.public_key：{error.strerror}",
        ) from error
    jwt = msgspec.structs.replace(settings.jwt, public_key=text)
    return msgspec.structs.replace(settings, jwt=jwt)


def _public(settings: Jwt) -> tuple[Any, Sequence[str]]:
    """Read the public key; tell it and the algorithms it is used with."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(settings.public_key.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Unavailable(
            "auth.jwt.public_key is not a public key in PEM",
            "auth.jwt.public_key 不是 PEM 格式的公钥",
        ) from error
    curves = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
    usable: tuple[str, ...] = ()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048:
        usable = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in curves:
        usable = (curves[key.curve.name],)
    elif isinstance(key, ed25519.Ed25519PublicKey | ed448.Ed448PublicKey):
        usable = ("EdDSA",)
    if not usable:
        raise Unavailable(
            "auth.jwt.public_key is of a kind, or of a size, that is not used",
            "auth.jwt.public_key 的种类或长度不受支持",
        )
    wrong = [name for name in settings.algorithms if name not in usable]
    if wrong:
        raise Unavailable(
            f"auth.jwt.algorithms has {', '.join(wrong)}, but the key is for {', '.join(usable)}",
            f"auth.jwt.algorithms 中有 {', '.join(wrong)}，但该密钥适用于 {', '.join(usable)}",
        )
    return key, settings.algorithms or usable[:1]
