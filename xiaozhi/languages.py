"""Which languages a text is in, and who can do them.

Languages are primary subtags of BCP 47 in lower case: "zh", "en", "vi".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

ANY = "*"
"""In a collection of languages: all of them."""

# Of each script: the language it is taken for, others written in it, its letters, and how many
# of them make about a word.
_SCRIPTS = (
    ("ja", frozenset[str](), re.compile(r"[\u3040-\u30ff\uff66-\uff9f]"), 2),
    (
        "zh",
        frozenset({"ja", "yue"}),
        re.compile(r"[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
        2,
    ),
    ("ko", frozenset[str](), re.compile(r"[\uac00-\ud7af\u1100-\u11ff]"), 3),
    (
        "ru",
        frozenset({"uk", "be", "bg", "mk", "kk", "mn"}),
        re.compile(r"[\u0400-\u04ff]"),
        5,
    ),
    ("el", frozenset[str](), re.compile(r"[\u0370-\u03ff]"), 5),
    ("ar", frozenset({"fa", "ur", "ps"}), re.compile(r"[\u0600-\u06ff]"), 4),
    ("he", frozenset({"yi"}), re.compile(r"[\u0590-\u05ff]"), 4),
    ("th", frozenset[str](), re.compile(r"[\u0e00-\u0e7f]"), 4),
    ("hi", frozenset({"mr", "ne", "sa"}), re.compile(r"[\u0900-\u097f]"), 4),
)
_VIETNAMESE = re.compile(r"[\u1ea0-\u1ef9\u0103\u0102\u0111\u0110\u01a0\u01a1\u01af\u01b0]")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff]+(?:['’][A-Za-z]+)*")
_NOT_LATIN = frozenset(name for first, others, _, _ in _SCRIPTS for name in (first, *others))


def primary(tag: str) -> str:
    """Cut a language tag ("zh-CN", "en_US.UTF-8", " EN ") to its primary subtag; "" for none."""
    match = re.match(r"\s*([A-Za-z]{2,3})(?![A-Za-z])", tag)
    return match.group(1).lower() if match else ""


def of_environment(environ: Mapping[str, str]) -> str:
    """Tell the language of whoever runs a command, by the usual variables; "en" if none says."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        # The first that is set decides, even if it names no language ("C").
        if environ.get(name):
            return primary(environ[name]) or "en"
    return "en"


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

    Letters alone do not tell the languages of one script apart (but for Vietnamese): they are
    taken for the `usual` language if that is written in them, else for the most common one.
    """
    return frozenset(_words(text, usual))


def main(text: str, usual: str = "en") -> str:
    """Tell the one language an answer to `text` should be in; the `usual` one if none shows.

    Names and terms in Latin letters are common in any language: they do not make a text with
    other letters one of theirs, unless there are more of them.
    """
    words = _words(text, usual)
    if not words or (usual in words and usual in _NOT_LATIN):
        return usual
    return max(words, key=lambda language: (words[language], language == usual))


def _words(text: str, usual: str) -> dict[str, float]:
    """Count about how many words of each language `text` has."""
    words: dict[str, float] = {}
    for first, others, letters, length in _SCRIPTS:
        if count := len(letters.findall(text)):
            # Kana decides for Japanese even where most characters are Han.
            language = "ja" if "ja" in words and first == "zh" else first
            language = usual if usual in others and language == first else language
            words[language] = words.get(language, 0.0) + count / length
    if latin := len(_LATIN_WORD.findall(text)):
        language = "en" if usual in _NOT_LATIN else usual
        words["vi" if _VIETNAMESE.search(text) else language] = float(latin)
    return words


def can(languages: Collection[str], needed: Collection[str]) -> bool:
    """Say whether someone who can do `languages` can do all that is `needed`."""
    return ANY in languages or all(language in languages for language in needed)
