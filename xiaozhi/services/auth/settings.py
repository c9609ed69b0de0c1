"""The settings of who may connect."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from msgspec import Meta

from xiaozhi.identity import normal
from xiaozhi.mistakes import Mistake
from xiaozhi.section import Section
from xiaozhi.services.auth.credential import LONGEST
from xiaozhi.services.networks import check_networks

Mode = Literal["off", "token", "jwt", "oauth2", "mixed"]
Algorithm = Literal[
    "HS256",
    "HS384",
    "HS512",
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
]
"""How a JWT may be signed. `none` is not among them."""

_SHORTEST_KEY = {"HS256": 32, "HS384": 48, "HS512": 64}
"""Bytes, as RFC 7518 3.2 asks."""


def check_ids(devices: tuple[str, ...]) -> None:
    """Raise ValueError unless each is the id of a device."""
    if not all(map(normal, devices)):
        raise Mistake("no_ids")


def check_http(url: str) -> None:
    """Raise ValueError unless `url` is "" or an address of HTTP."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if url and not (usable and url.isascii() and url.isprintable() and " " not in url):
        raise Mistake("no_http")


class _Secret(Section, frozen=True):
    """Settings among which there are secrets."""

    def __repr__(self) -> str:
        """Leave them all out."""
        return f"{type(self).__name__}(...)"

    @property
    def given(self) -> bool:
        """Whether anything of it was set."""
        values = (getattr(self, name) for name in self.__struct_fields__)
        return any(value not in ("", (), None) for value in values)


class StaticToken(_Secret, frozen=True):
    """A token that stands in the file."""

    token: Annotated[
        str,
        Meta(
            description="The token: at least 8 characters without blanks.",
            pattern=rf"^[\x21-\x7e]{{8,{LONGEST}}}$",
        ),
    ]
    name: Annotated[str, Meta(description="What the log calls it.", max_length=60)] = ""
    devices: Annotated[
        tuple[str, ...],
        Meta(description="The devices it is for; all if empty.", extra={"check": check_ids}),
    ] = ()

    def __post_init__(self) -> None:
        """Refuse what is no id: it would be a token for all."""
        check_ids(self.devices)


class Jwt(_Secret, frozen=True):
    """Which JWTs let a device in."""

    secret: Annotated[
        str,
        Meta(description="The key of HS256 and the like, of at least 32 bytes. Or else:"),
    ] = ""
    public_key: Annotated[
        str, Meta(description="The issuer's public key, in PEM, or the name of a file that has it.")
    ] = ""
    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(
            description="The algorithms that are accepted. If empty, HS256 with a secret, and "
            "RS256, ES256 (ES384, ES512) or EdDSA by the kind of the public key."
        ),
    ] = ()
    audience: Annotated[
        str,
        Meta(description="Whom tokens must be for (`aud`). If empty, only those without one pass."),
    ] = ""
    issuer: Annotated[str, Meta(description="Who must have issued them (`iss`); if any.")] = ""
    sub_prefix: Annotated[
        str | None,
        Meta(
            description='The subject (`sub`) must be this and the device\'s id: "device:", or "" '
            "for the bare id. If absent, whoever has a valid token may claim any id."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.secret and self.public_key:
            raise Mistake("two_keys")
        if not self.secret and not self.public_key:
            if self.given:
                raise Mistake("no_key")
            return
        odd = [name for name in self.algorithms if name.startswith("HS") != bool(self.secret)]
        if odd:
            owner = "secret" if self.secret else "public_key"
            raise Mistake("odd_algorithms", names=", ".join(odd), owner=owner)
        shortest = max(_SHORTEST_KEY.get(name, 0) for name in self.algorithms or ("HS256",))
        if self.secret and len(self.secret.encode()) < shortest:
            raise Mistake("short_secret", bytes=shortest)
        if "-----BEGIN" in self.secret:
            raise Mistake("pem_secret")


class OAuth2(_Secret, frozen=True):
    """Which server is asked about tokens it has issued."""

    introspection_url: Annotated[
        str,
        Meta(
            description="Where tokens are looked up (RFC 7662).",
            extra={"check": check_http},
        ),
    ] = ""
    client_id: Annotated[str, Meta(description="Who this server is there.")] = ""
    client_secret: Annotated[str, Meta(description="How it proves that.")] = ""
    audience: Annotated[
        str, Meta(description="Whom tokens must be for (`aud`). If empty, anybody.")
    ] = ""
    sub_prefix: Annotated[
        str | None,
        Meta(
            description="The subject (`sub`) must be this and the device's id. If absent, whoever "
            "has an active token may claim any id."
        ),
    ] = None

    def __post_init__(self) -> None:
        """Refuse what does not go together."""
        if self.given and not self.introspection_url:
            raise Mistake("no_introspection")
        if self.client_secret and not self.client_id:
            raise Mistake("no_client")


class Auth(_Secret, frozen=True):
    """Who may connect."""

    mode: Annotated[
        Mode,
        Meta(
            description="off: who is in the same house (loopback, private and link-local "
            "addresses). token: who has one of `tokens`, or a token of its own, which a device is "
            "handed when it is activated. jwt, oauth2: who has a token that others issue. mixed: "
            "any of these that is configured."
        ),
    ] = "off"
    open_to: Annotated[
        tuple[str, ...],
        Meta(
            description="While the mode is off: more networks that are served, such as "
            "100.64.0.0/10.",
            extra={"check": check_networks},
        ),
    ] = ()
    tokens: Annotated[
        tuple[StaticToken, ...],
        Meta(
            description="Tokens, each a mapping: token, and perhaps name (for the log) and "
            "devices (the ids it is for)."
        ),
    ] = ()
    allowed_devices: Annotated[
        tuple[str, ...],
        Meta(
            description="Ids of devices that need no token. Ids are no secrets: mind who can "
            "reach the server.",
            extra={"check": check_ids},
        ),
    ] = ()
    key: Annotated[
        str,
        Meta(
            description="What the tokens of devices are sealed with, of at least 32 characters. "
            "If empty, a key made at the first start and kept with the state."
        ),
    ] = ""
    device_token_days: Annotated[
        Annotated[int, Meta(ge=1, le=36500)] | None,
        Meta(
            description="Days until a device's own token expires; never if empty. A device gets "
            "a new one only when it restarts."
        ),
    ] = None
    jwt: Annotated[Jwt, Meta(description="Tokens that others sign.")] = Jwt()
    oauth2: Annotated[OAuth2, Meta(description="Tokens that another server knows.")] = OAuth2()

    def __post_init__(self) -> None:
        """Refuse what does not go together: it is not safe to guess what was meant."""
        tokens, jwt, oauth2 = self.mints, self.jwt.given, self.oauth2.given
        if self.mode == "jwt" and not jwt:
            raise Mistake("mode_needs", mode="jwt", keys="jwt.secret / jwt.public_key")
        if self.mode == "oauth2" and not oauth2:
            raise Mistake("mode_needs", mode="oauth2", keys="oauth2.introspection_url")
        idle = {
            "tokens": self.tokens and not tokens,
            "key": self.key and not tokens,
            "device_token_days": self.device_token_days and not tokens,
            "jwt": jwt and self.mode not in ("jwt", "mixed"),
            "oauth2": oauth2 and self.mode not in ("oauth2", "mixed"),
            "allowed_devices": self.allowed_devices and self.mode == "off",
            "open_to": self.open_to and self.mode != "off",
        }
        if useless := [name for name, given in idle.items() if given]:
            raise Mistake("mode_idle", mode=self.mode, keys=", ".join(useless))
        if self.key and len(self.key) < 32:
            raise Mistake("short_key", count=32)

    @property
    def mints(self) -> bool:
        """Whether devices can have tokens of their own."""
        return self.mode in ("token", "mixed")
