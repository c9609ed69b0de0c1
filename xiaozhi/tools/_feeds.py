"""Feeds of news, RSS 0.9 to 2.0 and Atom, as they are found: read without trusting them.

Importing this takes its time: it is for a thread, and so is `read`.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from xiaozhi.errors import ServiceError
from xiaozhi.tools._items import Item

MOST: Final = 60
"""Items of a feed that are read."""
_TITLE: Final = 200
_SUMMARY: Final = 1500

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(r"""charset\s*=\s*["']?([A-Za-z0-9._-]+)""", re.IGNORECASE)
_SILENT = re.compile(r"<(script|style)\b", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_FEEDS: Final = frozenset({"rss", "rdf", "feed"})
_ITEMS: Final = frozenset({"item", "entry"})


def read(body: bytes, kind: str) -> Sequence[Item]:
    """Read a feed that came with the Content-Type `kind`; raise ServiceError.

    Entities of its own and references outside are refused: no feed needs them.
    """
    try:
        root = fromstring(_text(body, kind))
        if _name(root) not in _FEEDS:
            raise ValueError("it is none")
        return list(_items(root))
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        why = "it has entities" if isinstance(error, DefusedXmlException) else str(error)
        raise ServiceError("tool", f"the feed cannot be read: {why}") from error


def _text(body: bytes, kind: str) -> str:
    """Decode a feed: expat itself knows no Chinese encoding."""
    declared = _DECLARED.search(body[:200])
    given = _CHARSET.search(kind)
    name = declared[1].decode() if declared else given[1] if given else "utf-8"
    # What calls itself gb2312 is mostly gbk; utf-16 has a mark of its own.
    name = "gb18030" if name.lower() in ("gb2312", "gbk") else name
    if body[:2] in (b"\xff\xfe", b"\xfe\xff"):
        name = "utf-16"
    try:
        text = body.decode(name, "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    return _DECLARATION.sub("", text.removeprefix("\ufeff"), count=1)


def _items(root: Element) -> Iterator[Item]:
    found = 0
    for element in root.iter():
        if _name(element) in _ITEMS and found < MOST:
            fields = {_name(child): child for child in reversed(element)}
            title = _plain(fields.get("title"), _TITLE)
            if title:
                found += 1
                bodies = (_plain(fields.get(name), _SUMMARY) for name in _BODIES)
                yield Item(title, next((body for body in bodies if body), ""))


_BODIES: Final = ("description", "summary", "encoded", "content")


def _name(element: Element) -> str:
    """Tell an element's name without its namespace, which some feeds have and some forget."""
    return element.tag.rpartition("}")[2].lower() if isinstance(element.tag, str) else ""


def _plain(element: Element | None, limit: int) -> str:
    """Tell the text of an element, which may be HTML: escaped, or (in Atom) as elements."""
    if element is None:
        return ""
    # Escaped once by XML, and often a second time for HTML.
    text = " ".join(element.itertext())[: limit * 20]
    text = html.unescape(_TAG.sub(" ", _spoken(text)))
    text = " ".join(_TAG.sub(" ", text).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _spoken(text: str) -> str:
    """Leave out scripts and styles; one without an end reaches to the end."""
    parts, at = [], 0
    while opening := _SILENT.search(text, at):
        parts.append(text[at : opening.start()])
        closing = re.compile(f"</{opening[1]}", re.IGNORECASE).search(text, opening.end())
        at = closing.start() if closing else len(text)
    return " ".join([*parts, text[at:]])
