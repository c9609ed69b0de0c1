"""Forms with files in them (multipart/form-data), as devices send them.

Twisted's own parser takes a form apart by email's rules, line by line, which for a photo takes
longer than the reactor has; this one looks for the boundaries only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

MOST: Final = 8
"""Parts of a form."""
_HEAD: Final = 1024
"""Bytes of a part's headers."""

_BOUNDARY = re.compile(
    r'multipart/form-data\s*;.*\bboundary=(?:"([^"]{1,70})"|([^\s";,]{1,70}))', re.I
)
_NAME = re.compile(
    rb'content-disposition:\s*form-data\b[^\r\n]*?;\s*name=(?:"([^"\r\n]*)"|([^\s;]+))', re.I
)


class NoForm(ValueError):
    """What was sent is no such form; `str()` says why."""


def fields(content_type: str, body: bytes) -> Mapping[str, bytes]:
    """Take a form apart: what stands in it under each name. Raises NoForm."""
    match = _BOUNDARY.match(content_type.strip())
    if match is None:
        raise NoForm("a form was expected: multipart/form-data with a boundary")
    first = b"--" + (match[1] or match[2]).encode()
    found: dict[str, bytes] = {}
    at = body.find(first)
    for _ in range(MOST + 1):
        if at < 0:
            break
        at += len(first)
        if body.startswith(b"--", at):
            return found
        head = body.find(b"\r\n\r\n", at, at + _HEAD)
        end = body.find(b"\r\n" + first, head + 2)
        if head < 0 or end < 0:
            break
        name = _NAME.search(body, at, head)
        if name is not None:
            found[(name[1] or name[2]).decode("utf-8", "replace")] = body[head + 4 : end]
        at = end + 2
    raise NoForm("the form has no end, or too many parts")
