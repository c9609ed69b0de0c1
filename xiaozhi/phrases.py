"""What the server itself says to users, in Chinese and English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from xiaozhi.sentences import Splitter

Key = Literal[
    "greeting",
    "deaf",
    "mindless",
    "broken_off",
    "voiceless",
    "too_long",
    "thinking",
    "still_thinking",
    "looking",
    "still_looking",
    "farewell",
    "goodbye",
]
Notice = Literal["idle", "silent", "replaced", "blind", "unseen", "no_picture", "looking"]

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
    "voiceless": {
        "zh": "抱歉，我的声音出了点问题。",
        "en": "Sorry, something is wrong with my voice.",
    },
    "too_long": {
        "zh": "先说到这里吧。",
        "en": "Let me stop here.",
    },
    "thinking": {
        "zh": "嗯，让我想想。",
        "en": "Hmm, let me think.",
    },
    "still_thinking": {
        "zh": "还在想，请稍等。",
        "en": "Still thinking, one moment please.",
    },
    "looking": {
        "zh": "我查一下。",
        "en": "Let me see.",
    },
    "still_looking": {
        "zh": "还在查，请稍等。",
        "en": "This takes a little longer.",
    },
    "farewell": {
        "zh": "我先去休息了，需要时再叫我。",
        "en": "I will take a rest now. Call me when you need me.",
    },
    "goodbye": {
        "zh": "再见，需要时再叫我。",
        "en": "Goodbye. Call me when you need me.",
    },
}
_NOTICES: Mapping[Notice, Mapping[str, str]] = {
    "idle": {
        "zh": "很久没有听到声音，连接即将关闭。",
        "en": "Nobody has spoken for long: this connection is about to close.",
    },
    "silent": {
        "zh": "很久没有收到消息，连接即将关闭。",
        "en": "No message has come for long: this connection is about to close.",
    },
    "replaced": {
        "zh": "此设备已在另一处连接，本连接即将关闭。",
        "en": "This device has connected anew: this connection is about to close.",
    },
    "blind": {
        "zh": "服务器没有配置视觉模型，看不了照片。",
        "en": "No vision model is set up on this server, so photos cannot be looked at.",
    },
    "unseen": {
        "zh": "现在看不了照片，请稍后再试。",
        "en": "The photo cannot be looked at right now. Please try again in a moment.",
    },
    "no_picture": {
        "zh": "收到的不是能识别的照片。",
        "en": "What came is no photo that can be read.",
    },
    "looking": {
        "zh": "还在看上一张照片，请稍等。",
        "en": "The photo before this one is still being looked at. One moment please.",
    },
}
"""What is shown and never spoken."""


def phrase(key: Key, language: str) -> str:
    """Say it in `language` (a primary subtag); who speaks neither is spoken to in English."""
    texts = _PHRASES[key]
    return texts.get(language, texts["en"])


def notice(key: Notice, language: str) -> str:
    """Write it in `language` (a primary subtag), or in English."""
    texts = _NOTICES[key]
    return texts.get(language, texts["en"])


def everything(first: str) -> Iterator[tuple[str, str]]:
    """Yield each text there is to say, and its language, those in the language `first` first.

    A phrase may be spoken whole, or in the sentences that an answer is cut into.
    """
    for language in sorted(("en", "zh"), key=lambda name: name != first):
        texts: dict[str, None] = {}
        for phrases in _PHRASES.values():
            splitter = Splitter()
            text = phrases[language]
            texts |= dict.fromkeys([text, *splitter.feed(text), *splitter.flush()])
        for text in texts:
            yield text, language
