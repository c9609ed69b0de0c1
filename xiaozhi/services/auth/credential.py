"""What a request shows to be let in: its token, which no log may have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256

LONGEST = 4096
"""Characters of a token: a device cannot keep more."""

_TOKEN = re.compile(r"[\x21-\x7e]+")
# The name may be written with escapes, too: it is read like that.
_NAME = "".join(f"(?:{c}|%{ord(c):x}|%{ord(c.upper()):x})" for c in "authorization")
_IN_URL = re.compile(rf"((?:{_NAME}|token)=)[^&\s\"#]*", re.IGNORECASE)


def credential(query: Mapping[str, Sequence[str]], headers: Mapping[str, str]) -> str | None:
    """Tell the token of a request: "" if it has none, None if what it has is no token.

    It is in the header `authorization`, with or without `Bearer` before it, or else in the
    query's `authorization`, since browsers can send no header.
    """
    asked = next((v[0] for name, v in query.items() if v and name.lower() == "authorization"), "")
    text = (headers.get("authorization", "") or asked).strip()
    scheme, blank, rest = text.partition(" ")
    if scheme.lower() == "bearer":
        text = rest.strip()
    elif blank:
        return None  # another scheme
    if text and not (len(text) <= LONGEST and _TOKEN.fullmatch(text)):
        return None
    return text


def masked(url: str, longest: int = 256) -> str:
    """Write a URL for the log: no token, at most `longest` characters."""
    return _IN_URL.sub(r"\1***", url)[:longest]


def fingerprint(token: str) -> str:
    """Tell a short name of a token, which reveals nothing of it: ten hexadecimal digits."""
    return sha256(token.encode()).hexdigest()[:10]
