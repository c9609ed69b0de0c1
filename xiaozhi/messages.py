"""What devices say and are told, as frozen values; `wire` reads and writes them."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import attrs
import msgspec

Mode = Literal["auto", "manual", "realtime"]
"""Who ends an utterance: the server (auto), the button (manual), the server while the
microphone stays open during speech (realtime)."""

_BADGE = frozenset(
    "mode meeting coding workflow peer ui.ack ui.error ui.render device.control".split()
)
"""Types of message only badges send."""


# -- both ways --


class Down(msgspec.Struct, frozen=True, omit_defaults=True):
    """A message to the device. Subclasses name their `type` and their fields."""

    TYPE: ClassVar[str]


class Mcp(Down, frozen=True):
    """JSON-RPC between the server, which asks, and the device's tools, which answer."""

    TYPE: ClassVar[str] = "mcp"
    payload: dict[str, Any]


# -- from the device --


@attrs.frozen
class AudioParams:
    """The format of one direction of sound: Opus, `channels` x `sample_rate` Hz."""

    format: str = "opus"
    sample_rate: int = 16000
    channels: int = 1
    frame_duration: int = 60
    """Length of a packet, in ms."""


@attrs.frozen
class Hello:
    """The device introduces itself."""

    version: int | None = None
    """Its binary framing; None when it does not say."""
    audio: AudioParams = AudioParams()
    """What it will send."""
    features: frozenset[str] = frozenset()
    """Names of what it can do: "mcp", "aec", "glyph_push", "badge"."""

    @property
    def badge(self) -> bool:
        """Whether it takes a badge's messages, not only those every device knows."""
        return "badge" in self.features


@attrs.frozen
class Sound:
    """One Opus packet from the microphone; empty ones are ordinary."""

    packet: bytes


@attrs.frozen
class ListenStart:
    """The device listens from now on."""

    mode: Mode | None = None
    """None when it does not say: as before."""


@attrs.frozen
class ListenStop:
    """The button was released: the utterance is complete (up to 40 packets may still follow)."""


@attrs.frozen
class Detect:
    """A wake word was heard, or (other programs) a text was typed."""

    text: str = ""


@attrs.frozen
class Abort:
    """Stop speaking, whatever is under way."""

    reason: str = ""


@attrs.frozen
class Ping:
    """A heartbeat that wants a pong."""


@attrs.frozen
class Number:
    """A bare integer, which is echoed."""

    value: int


@attrs.frozen
class Order:
    """An operator asks for something: "update_config" or "restart"."""

    action: str = ""
    secret: str = attrs.field(default="", repr=False)


@attrs.frozen
class ConfigUpdate:
    """A configuration that is pushed, as old programs do: it changes nothing."""


@attrs.frozen
class Other:
    """A message this server knows (`known`) or does not know, and has no use for."""

    type: str
    known: bool = False

    @property
    def badge(self) -> bool:
        """Whether only badges say so."""
        return self.type in _BADGE


Message = (
    Hello | Sound | ListenStart | ListenStop | Detect | Abort | Ping | Number | Order
    | ConfigUpdate | Mcp | Other
)  # fmt: skip


# -- to the device --


class Welcome(Down, frozen=True):
    """The one answer to the device's hello. Every field is always sent."""

    TYPE: ClassVar[str] = "hello"
    version: int
    audio_params: dict[str, Any]
    transport: str

    @classmethod
    def declaring(cls, version: int, audio: AudioParams) -> Welcome:
        """Declare `audio`, the format of what will be sent from now on."""
        return cls(version, attrs.asdict(audio), "websocket")


class Tts(Down, frozen=True):
    """Speech begins, a sentence of it begins or ends, speech is over."""

    TYPE: ClassVar[str] = "tts"
    state: Literal["start", "sentence_start", "sentence_end", "stop"]
    text: str = ""


class Stt(Down, frozen=True):
    """The words that were understood, for the screen."""

    TYPE: ClassVar[str] = "stt"
    text: str


class Heard(Down, frozen=True):
    """The words of an utterance, for a badge, and when they were recognised (ms since 1970)."""

    TYPE: ClassVar[str] = "audio"
    event: str
    text: str
    ts: int

    @classmethod
    def at(cls, seconds: float, text: str) -> Heard:
        """Tell what was recognised then."""
        return cls("transcription", text, round(1000 * seconds))


class Llm(Down, frozen=True):
    """The face to make: one of the 21 `emotion` names, with its emoji."""

    TYPE: ClassVar[str] = "llm"
    emotion: str
    text: str


class Alert(Down, frozen=True):
    """Something to be noticed: devices show it, and sound. Every field is always sent."""

    TYPE: ClassVar[str] = "alert"
    status: str
    message: str
    emotion: str


class Pong(Down, frozen=True):
    """The answer to a ping."""

    TYPE: ClassVar[str] = "pong"


class System(Down, frozen=True):
    """A word about the connection itself. Stock devices ignore it."""

    TYPE: ClassVar[str] = "system"
    message: str
    event: str = ""


class Control(Down, frozen=True):
    """What a badge shall do: `action` "play.tone", with the `name` of the tone."""

    TYPE: ClassVar[str] = "device.control"
    action: str
    name: str = ""


class Obeyed(Down, frozen=True):
    """The answer to an order: `content` has its action."""

    TYPE: ClassVar[str] = "server"
    status: Literal["success", "error"]
    message: str
    content: dict[str, str]

    @classmethod
    def to(cls, order: Order, trouble: str = "", message: str = "") -> Obeyed:
        """Answer `order`: it is done, unless there is `trouble`."""
        status: Literal["success", "error"] = "error" if trouble else "success"
        return cls(status, trouble or message, {"action": order.action[:40]})


class ConfigUpdated(Down, frozen=True):
    """The answer to a pushed configuration. Every field is always sent."""

    TYPE: ClassVar[str] = "config_update"
    status: str
    noop: bool


CANCEL_TONE = Control("play.tone", "cancel")
CONFIG_UPDATED = ConfigUpdated("ok", noop=True)
TTS_START = Tts("start")
TTS_STOP = Tts("stop")
