"""Which languages a text is in, and who can do them.

Languages are primary subtags of BCP 47 in lower case: "zh", "en", "vi".
"""

from __future__ import annotations

import re
from collections.abc import Collection

ANY = "*"
"""In a collection of languages: all of them."""

_SCRIPTS = (
    # Kana decides for Japanese even where most characters are Han.
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
)
_VIETNAMESE = re.compile(r"[\u1ea0-\u1ef9\u0103\u0102\u0111\u0110\u01a0\u01a1\u01af\u01b0]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]")
_NOT_LATIN = frozenset({"ja", "ko", "zh", "ru", "el", "ar", "he", "th", "hi"})


def primary(tag: str) -> str:
    """Cut a language tag ("zh-CN", "en_US.UTF-8", " EN ") to its primary subtag; "" for none."""
    match = re.match(r"\s*([A-Za-z]{2,3})(?![A-Za-z])", tag)
    return match.group(1).lower() if match else ""


def accepted(header: str) -> str:
    """Choose the most wanted language of an HTTP Accept-Language `header`; "" if it names none."""
    best, best_weight = "", 0.0
    for item in header.split(","):
        tag, _, parameter = item.partition(";")
        weight = re.fullmatch(r"\s*q=(\d(?:\.\d{0,3})?)\s*", parameter)
        value = float(weight.group(1)) if weight else 1.0
        if primary(tag) and value > best_weight:
            best, best_weight = primary(tag), value
    return best


def spoken(text: str, usual: str = "en") -> frozenset[str]:
    """Tell the languages `text` is in, by its scripts; digits and signs belong to any.

    Letters alone do not tell Latin-script languages apart (but for Vietnamese): they are taken
    for the `usual` language if that is written in Latin letters, else for English.
    """
    found = {language for language, script in _SCRIPTS if script.search(text)}
    if "ja" in found:
        found.discard("zh")
    if _VIETNAMESE.search(text):
        found.add("vi")
    elif _LATIN.search(text):
        found.add("en" if usual in _NOT_LATIN else usual)
    return frozenset(found)


def main(text: str, usual: str = "en") -> str:
    """Tell the one language an answer to `text` should be in; the `usual` one if none shows."""
    found = spoken(text, usual)
    if not found or usual in found:
        return usual
    for language, script in _SCRIPTS:
        if language in found and script.search(text):
            return language
    return next(iter(found))


def can(languages: Collection[str], needed: Collection[str]) -> bool:
    """Say whether someone who can do `languages` can do all that is `needed`."""
    return ANY in languages or all(language in languages for language in needed)
