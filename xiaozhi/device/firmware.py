"""The firmware of the device: its states, what it sends, what it does with what it is told.

Pure: it owns no socket and no clock. It sends through a function it is given, and is told
the time, in seconds, with everything that happens to it.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal

from twisted.internet.defer import Deferred

from xiaozhi.audio import FRAME_MS
from xiaozhi.device.errors import Crashed
from xiaozhi.device.framing import pack, unpack
from xiaozhi.device.mcp import Server
from xiaozhi.device.playback import Frame, Playback
from xiaozhi.device.turns import Event, Recorder

Mode = Literal["auto", "manual", "realtime"]

WAKE_PACKETS: Final = 33
"""Packets of the wake word's sound that are kept and sent: two seconds."""


class State(enum.Enum):
    """What the device is doing."""

    STARTING = "starting"
    IDLE = "idle"
    CONNECTING = "connecting"
    LISTENING = "listening"
    SPEAKING = "speaking"


NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.STARTING: frozenset({State.IDLE}),
    State.IDLE: frozenset({State.CONNECTING, State.LISTENING, State.SPEAKING}),
    State.CONNECTING: frozenset({State.IDLE, State.LISTENING}),
    State.LISTENING: frozenset({State.SPEAKING, State.IDLE}),
    State.SPEAKING: frozenset({State.LISTENING, State.IDLE}),
}
"""The transitions the firmware allows; it ignores all others."""


class Firmware:
    """One device: told what happens, it sends what the firmware would send.

    `mic_on` says whether the microphone's packets are wanted, `open` whether the server has
    answered hello and the channel stands.
    """

    def __init__(
        self,
        send: Callable[[str | bytes], None],
        notify: Callable[[Event], None],
        *,
        mode: Mode = "auto",
        tools: Server | None = None,
        decode: bool = True,
    ) -> None:
        """Send text and binary messages with `send`, tell `notify` what is worth telling."""
        self.mode = mode
        self.version = 1
        self.state = State.STARTING
        self.open = False
        self.mic_on = False
        self.turns = Recorder()
        self.playback = Playback(self._played, self._complain, decode=decode)
        self._draining = False
        self._session_id = ""
        self.tools = tools or Server()
        self._send = send
        self._notify = notify

    # -- what the user and the board do --

    def booted(self, now: float) -> None:
        """Take note that the board is up and the configuration fetched."""
        self._become(State.IDLE, now)

    def connecting(self, now: float) -> None:
        """Begin to open the channel."""
        self._become(State.CONNECTING, now)

    def hello(self, version: int, frame_ms: int, features: Mapping[str, bool]) -> None:
        """Greet the server on a channel just opened, framing binary messages by `version`."""
        self.version = version
        audio = {"format": "opus", "sample_rate": 16000, "channels": 1, "frame_duration": frame_ms}
        hello = {"type": "hello", "version": version, "features": dict(features)}
        hello |= {"transport": "websocket", "audio_params": audio}
        self._send(json.dumps(hello))

    def connected(self, now: float) -> None:
        """End the opening: the channel stands, or has failed and `lost` was called."""
        if self.state is State.CONNECTING:
            self._become(State.IDLE, now)

    def lost(self, now: float) -> None:
        """Take note that the channel is gone; what is queued of a whole answer still plays."""
        self.open = False
        self._draining = False
        self.tools.held = None
        if self.state is not State.SPEAKING:
            self.tick(math.inf)
        if self.state not in (State.STARTING, State.IDLE):
            self._become(State.IDLE, now)
        self.turns.hung_up()

    def listen(self, mode: Mode, now: float) -> None:
        """Begin to listen, as a press of the button does; an answer is aborted first."""
        if self.state is State.SPEAKING:
            self.abort()
        self.mode = mode
        if self.state is not State.LISTENING:
            self._become(State.LISTENING, now)

    def release(self, now: float, queued: Sequence[bytes] = ()) -> None:
        """Let go of the button: the server is to answer. `queued` packets go out after that."""
        if self.state is not State.LISTENING:
            return
        self._tell("listen", state="stop")
        self._become(State.IDLE, now)
        for packet in queued:
            self._send(pack(self.version, packet))

    def abort(self, reason: str = "") -> None:
        """Ask the server to stop speaking. The device goes on playing until it is told to stop."""
        self._tell("abort", **({"reason": reason} if reason else {}))
        self.turns.aborted()

    def wake(self, word: str, packets: Sequence[bytes], now: float) -> None:
        """Hear the wake word, with the `packets` of its sound; the channel must be open."""
        if self.state in (State.SPEAKING, State.LISTENING):
            self.abort("wake_word_detected")
            if self.state is State.LISTENING:
                self._start_listening(now)
            else:
                self._become(State.LISTENING, now)
            return
        for packet in packets[-WAKE_PACKETS:]:
            self._send(pack(self.version, packet))
        self.detect(word)
        self._become(State.LISTENING, now)

    def detect(self, text: str) -> None:
        """Send a wake word, or typed text as some clients do."""
        self._tell("listen", state="detect", text=text)

    def microphone(self, packet: bytes) -> None:
        """Send a packet from the microphone, if it is on."""
        if self.mic_on and self.tools.held is None:
            self._send(pack(self.version, packet))

    def worked(self, request: object, answer: str, now: float) -> None:
        """Tell the server what came of a tool that took its time, and hear what it has said."""
        self._reply(request, answer, now)
        held, self.tools.held = self.tools.held or [], None
        for text in held:
            self.receive(text, now)

    # -- what the server says --

    def receive(self, text: str, now: float) -> None:
        """Take one text message. Raises Crashed where the firmware would crash."""
        if self.tools.held is not None:
            self.tools.held.append(text)
            return
        try:
            message = json.loads(text)
        except ValueError:
            message = None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            self._complain(f"not a message: {text[:80]!r}")
            return
        take = {
            "hello": self._on_hello,
            "tts": self._on_tts,
            "stt": self._on_stt,
            "llm": self._on_llm,
            "mcp": self._on_mcp,
            "alert": self._on_alert,
        }.get(message["type"])
        if take is None:
            self._notify(Event(now, "ignored", {"message": message}))
        else:
            take(message, now)

    def receive_frame(self, message: bytes, now: float) -> None:
        """Take one binary message. Raises Crashed where the firmware would crash."""
        packet, _ = unpack(self.version, message)
        if self.state is not State.SPEAKING:
            self._complain(f"a frame of sound while {self.state.value}", now)
            return
        self.turns.arrived(now, self.playback.rate)
        if not self.playback.push(packet, now):
            self.turns.lost(1)
            self._complain("a frame of sound too many: the queue is full", now)

    # -- what time does --

    def tick(self, now: float) -> None:
        """Play what is due, and do what was to wait until all is played."""
        self.playback.advance(now)
        if self.state is State.SPEAKING or self.playback.silent_at(now) is not None:
            return
        ended = now if math.isfinite(now) else self.playback.free_at
        if (turn := self.turns.silent(ended)) is not None:
            self._notify(Event(now, "turn", {"turn": turn}))
        if self._draining:
            self._draining = False
            self._start_listening(now)

    def next_at(self, now: float, *, every_frame: bool = False) -> float | None:
        """Tell when `tick` is due: at the end of an answer, or with `every_frame` at each one."""
        if every_frame or self.state is not State.SPEAKING:
            return self.playback.silent_at(now)
        return None

    # -- inside --

    def _on_hello(self, message: dict[str, Any], now: float) -> None:
        transport = message.get("transport")
        if not isinstance(transport, str):
            raise Crashed("hello without a transport")
        if transport != "websocket":
            self._complain(f"hello for the transport {transport!r}", now)
            return
        if self.open:
            self._complain("a second hello: it would spoil the next connection", now)
        if isinstance(session := message.get("session_id"), str):
            self._session_id = session
        audio = message.get("audio_params")
        audio = audio if isinstance(audio, dict) else {}
        rate, ms = (
            value if isinstance(value := audio.get(name), int | float) else was
            for name, was in (
                ("sample_rate", self.playback.rate),
                ("frame_duration", self.playback.frame_ms),
            )
        )
        if ms not in FRAME_MS or rate not in (8000, 12000, 16000, 24000, 48000):
            raise Crashed(f"no decoder opens for {rate} Hz in frames of {ms} ms")
        self.playback.configure(int(rate), ms)
        self.open = True
        self._notify(Event(now, "hello", {"session_id": self._session_id, **audio}))

    def _on_tts(self, message: dict[str, Any], now: float) -> None:
        match message:
            case {"state": "start"} if self.state is not State.SPEAKING:
                self._become(State.SPEAKING, now)
            case {"state": "stop"} if self.state is State.SPEAKING:
                self._notify(Event(now, "tts", {"state": "stop"}))
                self._become(State.IDLE if self.mode == "manual" else State.LISTENING, now)
                self.tick(now)
            case {"state": "sentence_start", "text": str(text)}:
                self.turns.sentence(text)
                self._notify(Event(now, "sentence", {"text": text}))

    def _on_stt(self, message: dict[str, Any], now: float) -> None:
        if isinstance(text := message.get("text"), str):
            self.turns.stt(text, now)
            self._notify(Event(now, "stt", {"text": text}))

    def _on_llm(self, message: dict[str, Any], now: float) -> None:
        if isinstance(emotion := message.get("emotion"), str):
            self.turns.emotion(emotion)
            self._notify(Event(now, "emotion", {"emotion": emotion}))

    def _on_alert(self, message: dict[str, Any], now: float) -> None:
        shown = {name: message.get(name) for name in ("status", "message", "emotion")}
        if all(isinstance(value, str) for value in shown.values()):
            self._notify(Event(now, "alert", shown))
        else:
            self._complain(f"an alert that is not shown: {message}", now)

    def _on_mcp(self, message: dict[str, Any], now: float) -> None:
        payload = message.get("payload")
        answer = self.tools.answer(payload)
        if isinstance(answer, Deferred):
            # The main loop waits for it: nothing else is done until then.
            self.tools.held = []
            self._notify(Event(now, "working", {"request": payload, "answer": answer}))
        else:
            self._reply(payload, answer, now)

    def _reply(self, request: object, answer: str | None, now: float) -> None:
        if answer is not None:
            self._send(f'{{"session_id":"{self._session_id}","type":"mcp","payload":{answer}}}')
        self._notify(Event(now, "mcp", {"request": request, "answer": answer}))

    def _become(self, state: State, now: float) -> None:
        if state not in NEXT[self.state]:
            self._complain(f"cannot be {state.value} while {self.state.value}", now)
            return
        self.state = state
        self._notify(Event(now, "state", {"state": state.value}))
        if state is State.SPEAKING:
            self._begin_answer(now)
        elif state is not State.LISTENING:
            self.mic_on = False
        elif not self.mic_on:
            self._draining = self.mode == "auto" and self.playback.silent_at(now) is not None
            if not self._draining:
                self._start_listening(now)

    def _begin_answer(self, now: float) -> None:
        self._draining = False
        self.mic_on = self.mic_on and self.mode == "realtime"
        self.turns.lost(self.playback.clear(now))
        self.turns.tts_start(now)
        self._notify(Event(now, "tts", {"state": "start"}))

    def _start_listening(self, now: float) -> None:
        self._tell("listen", state="start", mode=self.mode)
        self.mic_on = True
        self._notify(Event(now, "listening", {"mode": self.mode}))

    def _played(self, frame: Frame, pcm: bytes) -> None:
        self.turns.played(frame, pcm)
        details = {"frame": frame, "pcm": pcm, "rate": self.playback.rate}
        self._notify(Event(frame.played, "frame", details))

    def _complain(self, what: str, now: float = 0.0) -> None:
        self._notify(Event(now, "complaint", {"text": what}))

    def _tell(self, kind: str, **fields: str) -> None:
        message = {"session_id": self._session_id, "type": kind, **fields}
        self._send(json.dumps(message, ensure_ascii=False))
