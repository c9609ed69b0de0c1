"""What `xiaozhi device` prints: a few lines to read, or every event as a line of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from xiaozhi.device.errors import (
    BadFile,
    Crashed,
    DeviceError,
    HungUp,
    NoAnswer,
    NoSound,
    Refused,
    Unreachable,
)
from xiaozhi.device.turns import Event, Turn

_ENGLISH: Final = {
    "configuration": "server",
    "activation": "activate",
    "heard": "heard",
    "sentence": "answer",
    "emotion": "face",
    "alert": "alert",
    "complaint": "fault",
    "timing": "timing",
    "saved": "saved",
    "said": "said",
    "mic": "listening: speak, Ctrl-C ends",
    "after": "answered after {:.2f} s",
    "spoke": "spoke {:.1f} s",
    "smooth": "without a stall",
    "stalled": "with {} stalls ({:.2f} s)",
    "silent": "The server did not answer with sound",
    "unheard": "The server heard nothing",
}
_CHINESE: Final = {
    "configuration": "服务器",
    "activation": "激活",
    "heard": "听到",
    "sentence": "回答",
    "emotion": "表情",
    "alert": "提示",
    "complaint": "问题",
    "timing": "用时",
    "saved": "已保存",
    "said": "说",
    "mic": "正在听，请说话，按 Ctrl-C 结束",
    "after": "{:.2f} 秒后开始回答",
    "spoke": "说了 {:.1f} 秒",
    "smooth": "没有卡顿",
    "stalled": "卡顿 {} 次（共 {:.2f} 秒）",
    "silent": "服务器没有用声音回答",
    "unheard": "服务器什么也没听到",
}
_FAILURES: Final[Mapping[type[DeviceError], tuple[str, str]]] = {
    Unreachable: ("Cannot reach the server", "连不上服务器"),
    Refused: ("The server refused", "服务器拒绝"),
    NoAnswer: ("No answer in time", "服务器没有及时回答"),
    BadFile: ("Bad file", "文件有问题"),
    HungUp: ("The connection was lost", "连接断开"),
    NoSound: ("No sound", "没有声音设备"),
    Crashed: ("This would crash a device", "设备会因此崩溃"),
}


class Show:
    """Print what happens to a device."""

    def __init__(
        self, write: Callable[[str], object], *, as_json: bool = False, chinese: bool = False
    ) -> None:
        """Print lines with `write`: JSON, or words of English or Chinese."""
        self._write = write
        self._json = as_json
        self._chinese = chinese
        self._words = _CHINESE if chinese else _ENGLISH

    def event(self, event: Event) -> None:
        """Show one event of the device."""
        if self._json:
            if event.name not in ("frame", "turn"):
                self._line(event.name, at=round(event.at, 3), **event.details)
            return
        details = event.details
        text = {
            "configuration": details.get("url"),
            "activation": _with_code(str(details.get("message", "")), str(details.get("code", ""))),
            "stt": details.get("text"),
            "sentence": details.get("text"),
            "alert": details.get("message"),
            "complaint": details.get("text"),
        }.get(event.name)
        if text is not None:
            self.note("heard" if event.name == "stt" else event.name, str(text))

    def note(self, name: str, text: str) -> None:
        """Show one thing by its name."""
        if self._json:
            self._line(name, text=text)
        else:
            label = self._words[name]
            # Chinese characters take two columns each.
            width = 10 - (len(label) if self._chinese else 0)
            self._write(f"{label:{width}}{text.strip()}\n")

    def turn(self, turn: Turn) -> None:
        """Show how a turn went."""
        if self._json:
            self._line("turn", **turn.summary())
            return
        words = self._words
        parts = [words["after"].format(turn.delay)] if turn.delay is not None else []
        parts.append(words["spoke"].format(turn.seconds))
        if stalls := turn.stalls:
            parts.append(words["stalled"].format(len(stalls), sum(stalls)))
        else:
            parts.append(words["smooth"])
        self.note("timing", ("，" if self._chinese else ", ").join(parts))

    def ready(self) -> None:
        """Show that the microphone is open."""
        if self._json:
            self._line("ready")
        else:
            self._write(self._words["mic"] + "\n")

    def incomplete(self, turn: Turn) -> str:
        """Say what a turn that is not whole lacks."""
        return self._words["silent" if turn.heard or turn.sentences else "unheard"]

    def failure(self, error: DeviceError) -> str:
        """Say in one line what went wrong."""
        english, chinese = _FAILURES.get(type(error), ("It failed", "失败"))
        what = f"{chinese}：" if self._chinese else f"{english}: "
        line = what + " ".join(str(error).split())
        if self._json:
            self._line("error", code=error.code, text=line)
        return line

    def _line(self, name: str, **fields: object) -> None:
        line = json.dumps({"event": name, **fields}, ensure_ascii=False, default=str)
        self._write(line + "\n")


def _with_code(message: str, code: str) -> str:
    """Say the code, unless the message does."""
    return message if code in message else f"{message} {code}"
