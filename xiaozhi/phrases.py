"""What the server itself says to users, in Chinese and English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Key = Literal["greeting", "deaf", "mindless", "broken_off"]

_PHRASES: Mapping[Key, Mapping[str, str]] = {
    "greeting": {
        "zh": "我在，请说。",
        "en": "Hello, I am listening.",
    },
    "deaf": {
        "zh": "抱歉，我现在听不清，请稍后再试。",
        "en": "Sorry, I cannot hear properly right now. Please try again in a moment.",
    },
    "mindless": {
        "zh": "抱歉，我现在想不出答案，请稍后再试。",
        "en": "Sorry, I cannot think of an answer right now. Please try again in a moment.",
    },
    "broken_off": {
        "zh": "抱歉，我的话断了。",
        "en": "Sorry, I lost my thread.",
    },
}


def phrase(key: Key, language: str) -> str:
    """Say it in `language` (a primary subtag); who speaks neither is spoken to in English."""
    texts = _PHRASES[key]
    return texts.get(language, texts["en"])
