"""What the assistant remembers of the user: told, and forgotten when they ask for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from xiaozhi.errors import ServiceError
from xiaozhi.services import engine
from xiaozhi.services.memory.framing import framed
from xiaozhi.services.memory.phrasing import phrased
from xiaozhi.services.store import Recollection
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room

THAT: Final = 120.0
"""Seconds: what was said just now, where that was before the device connected."""
JUST_BEFORE: Final = 0.1
"""Seconds two readings of the clock may differ by."""
MINUTES: Final = 5
"""What "the last minutes" are where nobody says how many."""
MOST_MINUTES: Final = 7 * 24 * 60
TOLD: Final = 5
"""Facts that are told where no model does it: the last ones."""

_SENTENCES: Mapping[str, Mapping[str, str]] = {
    "known": {"zh": "我记得：{}", "en": "I remember this: {}"},
    "talks": {"zh": "我只记得我们聊过：{}", "en": "I only remember what we talked about: {}"},
    "nothing": {
        "zh": "我还没有关于你以前的记忆。",
        "en": "I do not remember anything from earlier talks.",
    },
    "that": {"zh": "好的，刚才说的我已经忘了。", "en": "Alright, I have forgotten that."},
    "last_minutes": {
        "zh": "好的，最近{}分钟说的我已经忘了。",
        "en": "Alright, I have forgotten the last {} minutes.",
    },
    "about": {"zh": "好的，这件事我已经忘了。", "en": "Alright, I have forgotten about it."},
    "everything": {
        "zh": "好的，我已经忘了关于你的一切。",
        "en": "Alright, I have forgotten everything about you.",
    },
    "failed": {
        "zh": "这次聊的我忘了，但是以前记下的现在删不掉，请稍后再试。",
        "en": "I have forgotten this talk, but what I noted before cannot be erased now. "
        "Please try again later.",
    },
}

# Notes are about "the user", as models and patterns write them.
_YOU: Sequence[tuple[re.Pattern[str], str]] = [
    (re.compile(pattern, re.I), you)
    for pattern, you in (
        (r"\bthe user's\b", "your"),
        (r"\bthe user (?:is|was)\b", "you are"),
        (r"\bthe user has\b", "you have"),
        (r"\bthe user does\b", "you do"),
        (r"\bthe user (like|live|love|want|come|work|need|hate|prefer|enjoy|play)s\b", r"you \1"),
        (r"\bthe user\b", "you"),
        ("用户", "你"),
    )
]


class Settings(engine.Settings, frozen=True):
    """There is nothing to set; `memory` in the configuration says what is remembered."""


class Kit:
    """Tells and forgets what is known of the user of a device."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Use the memories of the `room`."""
        self._room = room
        self.tools = (
            Tool(
                "what_do_you_remember",
                "Tell what you remember about the user from earlier talks.",
                self._tell,
            ),
            Tool(
                "forget",
                "Erase what the user said from your memory, for good. Only if they ask for it.",
                self._forget,
                schema={
                    "type": "object",
                    "properties": {
                        "what": {
                            "type": "string",
                            "enum": ["that", "last_minutes", "about", "everything"],
                            "description": "that: what was said just now; last_minutes: what was "
                            "said in the last minutes; about: all about one thing; everything: all "
                            "that is known about the user.",
                        },
                        "minutes": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST_MINUTES,
                            "description": f"For last_minutes: how many. {MINUTES} if not given.",
                        },
                        "about": {
                            "type": "string",
                            "description": "For about: the thing, in the user's words.",
                        },
                    },
                    "required": ["what"],
                },
                alone=True,
            ),
        )

    async def _tell(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        known = await self._room.memories.recall(scene.device) if scene.known else Recollection()
        texts = [_of_you(phrased(fact.text, scene.language)) for fact in known.facts[-TOLD:]]
        if texts:
            told = _sentence("known", scene, _joined(texts, scene))
        elif known.digests:
            told = _sentence("talks", scene, known.digests[-1].text)
        else:
            told = _sentence("nothing", scene)
        return Outcome(framed(known) or "Nothing is known of the user.", say=told)

    async def _forget(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        what = arguments.get("what")
        about = str(arguments.get("about") or "").strip()
        minutes = arguments.get("minutes", MINUTES)
        seconds: float | None = None
        if what == "that":
            seconds = THAT if scene.last is None else scene.last + JUST_BEFORE
        elif what == "last_minutes":
            if type(minutes) is not int or not 1 <= minutes <= MOST_MINUTES:
                return Outcome(f"minutes must be from 1 to {MOST_MINUTES}", failed=True)
            seconds = 60.0 * minutes
        elif what == "about" and not about:
            return Outcome("about what? Ask the user.", failed=True)
        elif what not in ("about", "everything"):
            return Outcome("what must be that, last_minutes, about or everything", failed=True)
        about = about if what == "about" else ""
        scene.forget(seconds, about)
        if scene.known:
            since = None if seconds is None else self._room.now().timestamp() - seconds
            try:
                await self._room.memories.forget(scene.device, since, about)
            except ServiceError as error:
                # It is final: a model that goes on would repeat what was to be forgotten.
                said = _sentence("failed", scene)
                return Outcome(f"not erased: {error.why}", said, final=True, failed=True)
        return Outcome("erased", _sentence(str(what), scene, minutes), final=True)


def _sentence(key: str, scene: Scene, *facts: object) -> str:
    texts = _SENTENCES[key]
    return texts.get(scene.language, texts["en"]).format(*facts)


def _joined(texts: Sequence[str], scene: Scene) -> str:
    mark = "；" if scene.language == "zh" else "; "
    return mark.join(text.rstrip(".。") for text in texts) + ("。" if mark == "；" else ".")


def _of_you(text: str) -> str:
    for pattern, you in _YOU:
        text = pattern.sub(you, text)
    return text
