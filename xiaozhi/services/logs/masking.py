"""Secrets are kept out of the log: by the names of keys, by their forms, and by their values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import msgspec

MASK: Final = "***"
SHORTEST: Final = 6
"""Characters of a secret that is masked wherever it is found: less is found in any text."""

_NAMES = r"(?:api[_-]?key|token|secret|passw(?:or)?d|passphrase|authorization|cookie)"
_KEY = re.compile(rf"[\w-]*{_NAMES}", re.IGNORECASE)
_FORMS: Final = (
    # name=value and "name": "value", in addresses, headers and JSON
    (
        re.compile("key|token|secret|passw|passp|author|cook"),
        re.compile(
            rf"({_NAMES}[\"']?\s?[=:]\s?[\"']?)(?:(?:Bearer|Basic)\s)?[^\s\"'&,;}}]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (
        re.compile("bearer"),
        re.compile(r"\b(Bearer\s)[\w.~+/=-]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # the user and the password of an address
    (re.compile("@"), re.compile(r"(\w://)[^\s/@:]*:[^\s/@]+@"), rf"\1{MASK}@"),
)
"""What is in every (case-folded) text that has a form, which most have not; the form; instead."""


def is_secret(key: str) -> bool:
    """Tell whether what is under `key` is nobody's business."""
    return _KEY.fullmatch(key) is not None


def secrets_in(settings: Any, key: str = "") -> Iterator[str]:
    """Yield the secrets in settings: the texts whose keys say that they are."""
    if isinstance(settings, str):
        if is_secret(key):
            yield settings
    elif isinstance(settings, msgspec.Struct):
        for name in settings.__struct_fields__:
            yield from secrets_in(getattr(settings, name), name)
    elif isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from secrets_in(value, str(name))
    elif isinstance(settings, tuple | list):
        for value in settings:
            yield from secrets_in(value, key.removesuffix("s"))


class Masking:
    """Takes secrets out of texts."""

    def __init__(self, secrets: Collection[str] = ()) -> None:
        """Know these `secrets` by their values, besides those that can be told by their form."""
        self._secrets = frozenset(text for text in secrets if len(text) >= SHORTEST)
        known = sorted(self._secrets, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, known))) if known else None

    def with_more(self, secrets: Collection[str]) -> Masking:
        """Make one that knows `secrets`, too."""
        return Masking(self._secrets | set(secrets))

    def __call__(self, text: str) -> str:
        """Give `text` without its secrets."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        folded = text.casefold()  # once, since to look for letters of either kind is slow
        for hint, form, instead in _FORMS:
            if hint.search(folded):
                text = form.sub(instead, text)
        return text
