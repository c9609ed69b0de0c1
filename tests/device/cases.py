"""What the tests of the device share: a firmware alone, and whole devices with a server."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.device.scripted import Script, ScriptedServer, Talk
from xiaozhi.audio import Encoder
from xiaozhi.device.client import Device
from xiaozhi.device.errors import DeviceError
from xiaozhi.device.firmware import Firmware, Mode
from xiaozhi.device.mcp import Server
from xiaozhi.device.ota import Profile
from xiaozhi.device.turns import Event, Turn

reactor: Any = _reactor
SPEECH = b"\0\x20\0\xe0" * 800
"""A tenth of a second of noise at 16 kHz."""
PACKET = Encoder(24000, 60).encode(b"")
HELLO = {
    "type": "hello",
    "transport": "websocket",
    "session_id": "s1",
    "audio_params": {"sample_rate": 24000, "frame_duration": 60},
}


class FirmwareCase(SynchronousTestCase):
    """One device; `sent` takes what it has sent since the last look."""

    def setUp(self) -> None:
        self.out: list[str | bytes] = []
        self.events: list[Event] = []

    def make(self, mode: Mode = "auto", *, listening: bool = True) -> Firmware:
        """Make a device that has just said `listen start`."""
        device = Firmware(self.out.append, self.events.append, mode=mode)
        device.booted(0.0)
        device.connecting(0.0)
        device.hello(1, 60, {"mcp": True})
        self.tell(device, HELLO)
        device.connected(0.0)
        if listening:
            device.listen(mode, 0.0)
        self.sent()
        return device

    def sent(self) -> list[Any]:
        out, self.out[:] = list(self.out), []
        said = [json.loads(message) if isinstance(message, str) else message for message in out]
        for message in said:
            if isinstance(message, dict):
                message.pop("session_id", None)
        return said

    def tell(self, device: Firmware, message: dict[str, Any], now: float = 0.0) -> None:
        device.receive(json.dumps(message), now)

    def tts(self, device: Firmware, state: str, now: float = 0.0, **more: str) -> None:
        self.tell(device, {"type": "tts", "state": state, **more}, now)

    def complaints(self) -> list[str]:
        return [event.details["text"] for event in self.events if event.name == "complaint"]

    def ended(self) -> list[Turn]:
        return [event.details["turn"] for event in self.events if event.name == "turn"]


async def converse(talk: Talk) -> None:
    """Answer whatever is said, in auto mode."""
    await talk.greet()
    while not talk.gone:
        await talk.expect("listen", state="start")
        await talk.hear(6)
        talk.tell("stt", text="hello")
        await talk.answer("Good day.", 5)
        await talk.until(lambda: talk.gone or any(isinstance(m, dict) for m in talk.inbox))


class DeviceCase(TestCase):
    """One server with a script; devices made here are closed at the end."""

    timeout = 20

    def serve(self, script: Script) -> ScriptedServer:
        server = ScriptedServer(script)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        return server

    def make(
        self,
        server: ScriptedServer,
        on_event: Callable[[Event], None] | None = None,
        tools: Server | None = None,
        **profile: Any,
    ) -> Device:
        profile = {"ota_url": server.url + "/ota/", "frame_ms": 20, **profile}
        device = Device(reactor, Profile(**profile), on_event=on_event, tools=tools)
        self.addCleanup(device.close)
        return device

    def wait_for(self, name: str) -> tuple[Callable[[Event], None], Deferred[None]]:
        """Make a listener, and what fires once the device is done with an event of that name."""
        happened: Deferred[None] = Deferred()
        seen: list[str] = []

        def listen(event: Event) -> None:
            if event.name == name and not seen:
                seen.append(name)
                reactor.callLater(0, happened.callback, None)

        return listen, happened

    async def fails(self, verb: Coroutine[Any, Any, object], kind: type[DeviceError]) -> str:
        """Check that a verb fails so, and return why."""
        with self.assertRaises(kind) as caught:
            await verb
        return str(caught.exception)
