"""What can be wrong, by whose fault it is.

The fourth kind, "we are wrong", has no class: any other exception is that, and is caught at the
named boundaries only: `protocol.onMessage`, `timers`, the failure of a turn or of a visit's
registration, and the lists of engines (`Roster.guard`), where it is a failure of the engine, and
the next takes over.
"""

from __future__ import annotations

from collections.abc import Sequence

from xiaozhi.mistakes import Said


class BadMessage(Exception):
    """The device is wrong: its message cannot be understood. `str()` says why, for the log."""


class ServiceError(Exception):
    """The world is wrong: an engine failed at its `stage`, and another may take over."""

    def __init__(self, stage: str, why: str, rest: float = 0.0) -> None:
        """Take the `stage` ("vad", "asr", "llm", "tts") and, in a few words, `why`.

        `rest` is how many seconds the engine asks to be left alone.
        """
        super().__init__(f"{stage}: {why}")
        self.stage = stage
        self.why = why
        self.rest = rest


class Absent(ServiceError):
    """An engine is not there, or not yet, which is no fault. It can say so at once."""


class Refused(ServiceError):
    """An engine is well, but would not do this one request: it is wrong, or too much."""


class Unavailable(Exception):
    """An engine cannot be used here at all; `str()` says what it lacks and how to get it."""

    def __init__(self, why: str, chinese: str = "") -> None:
        """Take `why`, and the same in Chinese."""
        super().__init__(why)
        self._chinese = chinese or why

    def said(self, language: str) -> str:
        """Say it in Chinese where that is the `language`, else in English."""
        return self._chinese if language == "zh" else str(self)


def missing(package: str, install: str = "") -> Unavailable:
    """Say that a Python `package` is missing; `install` names what brings it, if not itself."""
    command = f"pip install {install or package}"
    return Unavailable(f"{package} is not installed: {command}", f"没有安装 {package}：{command}")


class ConfigError(Exception):
    """The operator is wrong: everything found wrong in the configuration, a line each."""

    def __init__(self, problems: Sequence[Said]) -> None:
        """Take the `problems`, each as "path:line: what is wrong"."""
        self.problems = tuple(str(problem) for problem in problems)
        super().__init__("\n".join(self.problems))
        self._problems = tuple(problems)

    def said(self, language: str) -> str:
        """Say all of them, in Chinese where that is the `language`, else in English."""
        return "\n".join(problem.said(language) for problem in self._problems)
