"""Watch the reactor from within: how late its heartbeat comes, and what held it up.

A beat is due every few milliseconds. When one does not come, a thread looks at what the main
thread is doing, so that a gap has a name. Garbage collections and the time the thread waited
for a processor are noted too: neither shows in a stack.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any, Final

import msgspec
from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

BEAT: Final = 0.005
"""Seconds between beats."""
LATE: Final = 0.008
"""Seconds a beat may be overdue before the watching thread looks why."""
_DEPTH: Final = 8
"""Frames of a stack that are kept, innermost first."""
_GLANCE: Final = 20
"""Beats between two glances at what was stolen: that costs more than the rest of a beat."""
_WAITING: Final = ("threading.py", "queue.py", "selectors.py")
"""Where a thread is that has nothing to do."""
_MOST: Final = 100_000
"""Gaps that are kept; more than eight minutes of beats."""


class Gap(msgspec.Struct, frozen=True):
    """A beat, and how long after its moment it came."""

    at: float
    """When it came, by the machine's monotonic clock."""
    late: float
    """Seconds."""
    collecting: float = 0.0
    """Seconds of it that went to the garbage collector."""
    waiting: float = 0.0
    """Seconds of it that the thread waited for a processor."""
    stolen: float = 0.0
    """Seconds a hypervisor took from all processors, meanwhile or shortly before."""
    stack: tuple[str, ...] = ()
    """What the main thread was doing, innermost first, if somebody looked."""
    others: tuple[str, ...] = ()
    """What the other threads were doing then: one of them may have held the interpreter."""

    @property
    def cause(self) -> str:
        """Name the cause, as far as it is known."""
        if self.collecting > self.late / 2:
            return f"garbage collection ({self.collecting * 1000:.1f} ms)"
        if self.waiting > self.late / 2:
            return f"no processor was free ({self.waiting * 1000:.1f} ms)"
        if not self.stack:
            return "not seen: shorter than a look"
        if self.stack[0].endswith(" run"):  # the reactor itself: it slept, or had no interpreter
            if self.stolen:
                return f"the machine stood still (stolen: {self.stolen * 1000:.0f} ms)"
            return f"waiting for the interpreter; at work: {', '.join(self.others) or 'nobody'}"
        return " < ".join(self.stack[:4])


class Watcher(Service):
    """Beats while the server runs, and writes its gaps to a file when that stops."""

    def __init__(self, reactor: Any, path: str) -> None:
        """Write to `path`."""
        self._reactor = reactor
        self._path = Path(path)
        self._gaps: list[Gap] = []
        self._beat_at = 0.0
        self._call: IDelayedCall | None = None
        self._stack: tuple[str, ...] = ()
        self._others: tuple[str, ...] = ()
        self._stolen = 0.0
        self._beats = 0
        self._collecting = self._collection_began = 0.0
        self._waited = 0.0
        self._schedule = -1
        self._main = 0
        self._over = threading.Event()

    def startService(self) -> None:
        """Begin: the thread this is called in is the one that is watched."""
        super().startService()
        self._main = threading.get_ident()
        task = f"/proc/self/task/{threading.get_native_id()}/schedstat"
        self._schedule = os.open(task, os.O_RDONLY) if Path(task).exists() else -1
        gc.callbacks.append(self._collected)
        threading.Thread(target=self._look, name="bench-watch", daemon=True).start()
        self._beat_at, self._stolen = time.monotonic(), _stolen()
        self._call = self._reactor.callLater(BEAT, self._beat)

    def stopService(self) -> None:
        """End, and write what was found."""
        super().stopService()
        self._over.set()
        gc.callbacks.remove(self._collected)
        if self._call is not None:
            self._call.cancel()
        if self._schedule >= 0:
            os.close(self._schedule)
        self._path.write_bytes(msgspec.json.encode(self._gaps))

    def _beat(self) -> None:
        now = time.monotonic()
        late = max(0.0, now - self._beat_at - BEAT)
        waited = self._wait_for_processor()
        stolen = 0.0
        self._beats += 1
        if late > LATE or self._beats % _GLANCE == 0:
            total = _stolen()
            stolen, self._stolen = total - self._stolen, total
        gap = Gap(
            now, late, self._collecting, waited - self._waited, stolen, self._stack, self._others
        )
        if len(self._gaps) < _MOST:
            self._gaps.append(gap)
        self._waited, self._collecting, self._stack, self._others = waited, 0.0, (), ()
        self._beat_at = now
        self._call = self._reactor.callLater(BEAT, self._beat)

    def _wait_for_processor(self) -> float:
        """Tell how long the main thread has waited to run, in all, in seconds."""
        if self._schedule < 0:
            return 0.0
        return int(os.pread(self._schedule, 64, 0).split()[1]) / 1e9

    def _collected(self, phase: str, _info: dict[str, int]) -> None:
        if phase == "start":
            self._collection_began = time.monotonic()
        else:
            self._collecting += time.monotonic() - self._collection_began

    def _look(self) -> None:
        """Look at the main thread whenever a beat is overdue: for a thread."""
        while not self._over.wait(BEAT):
            if time.monotonic() - self._beat_at > BEAT + LATE and not self._stack:
                frames = sys._current_frames()
                stack = tuple(_places(frames.pop(self._main, None)))
                frames.pop(threading.get_ident(), None)
                places = [next(iter(_places(frame)), "") for frame in frames.values()]
                self._others = tuple(sorted(p for p in places if not p.startswith(_WAITING)))
                self._stack = stack


def _stolen() -> float:
    """Tell the seconds a hypervisor has taken from the machine's processors in all."""
    try:
        fields = Path("/proc/stat").read_bytes().split(b"\n", 1)[0].split()
    except OSError:
        return 0.0
    return int(fields[8]) / os.sysconf("SC_CLK_TCK")


def _places(frame: FrameType | None) -> list[str]:
    found: list[str] = []
    while frame is not None and len(found) < _DEPTH:
        code = frame.f_code
        found.append(f"{Path(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return found
