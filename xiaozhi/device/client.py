"""A whole device: the firmware on a real network, with verbs for what its user does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet.interfaces import IDelayedCall

from xiaozhi.audio import resample
from xiaozhi.device import boot, ota
from xiaozhi.device.camera import photographer
from xiaozhi.device.errors import Crashed, DeviceError, HungUp
from xiaozhi.device.firmware import Firmware, State
from xiaozhi.device.mcp import Server
from xiaozhi.device.microphone import RATE, Microphone
from xiaozhi.device.ota import Profile
from xiaozhi.device.turns import Event, Turn
from xiaozhi.device.waiting import Waiting
from xiaozhi.device.websocket import OPEN, Channel, open_channel

COMPLAINTS = 100
"""How many complaints a device keeps."""


class Device:
    """One simulated device.

    Its verbs are coroutines on Deferreds; each ends by its deadline (`timeout`, in seconds),
    and raises a DeviceError where it cannot do what it should. `on_event` is called with every
    Event, in the middle of things: it should look and not act.
    """

    def __init__(
        self,
        reactor: Any,
        profile: Profile,
        *,
        on_event: Callable[[Event], None] | None = None,
        tools: Server | None = None,
        decode: bool = True,
        captured: bool = False,
        audible: bool = False,
        picture: Callable[[], bytes] | None = None,
    ) -> None:
        """Make the device of `profile`, switched off.

        With a `picture` it has a camera that sees this.
        Without `decode` answers are counted but not decoded, which is cheaper. With `captured`
        it sends what `capture` is given and no made-up silence; an `audible` one tells of each
        frame ("frame" events) just when it is to sound, and not only in time for the next.
        """
        self.profile = profile
        self.firmware = Firmware(
            self._send, self._noted, mode=profile.mode, tools=tools, decode=decode
        )
        if picture is not None:
            tools = self.firmware.tools
            tools.add(photographer(reactor, profile, tools, picture))
        self.complaints: list[str] = []
        """What the server did that no device can use."""
        self._reactor = reactor
        self._on_event = on_event
        self._audible = audible
        self._microphone = Microphone(
            reactor, profile.frame_ms, self.firmware.microphone, self._spoken, live=captured
        )
        self._offer: ota.Offer | None = None
        self._channel: Channel | None = None
        self._waiting = Waiting(reactor)
        self._alarm: IDelayedCall | None = None

    # -- what its user does --

    async def boot(self, timeout: float = 30.0) -> ota.Offer:
        """Fetch the configuration, waiting for the activation if there must be one."""
        deadline = self._now() + timeout
        self._offer = await boot.boot(self._reactor, self.profile, self._noted, deadline)
        if self.firmware.state is State.STARTING:
            self.firmware.booted(self._now())
        return self._offer

    async def connect(self, timeout: float = 10.0) -> None:
        """Open the channel and exchange hellos, after booting if that was not done."""
        deadline = self._now() + timeout
        offer = self._offer or await self.boot(timeout)
        if self.firmware.open:
            return
        if self._channel is not None:
            self._channel.drop()
        self._waiting.failure = None
        self.firmware.connecting(self._now())
        version, headers = ota.handshake(self.profile, offer)
        try:
            where = ota.address(offer.url)
            self._channel = await open_channel(self._reactor, self, where, headers, deadline)
            self.firmware.hello(version, self.profile.frame_ms, self.profile.features)
            wait = min(deadline, self._now() + OPEN)
            await self._waiting.until(lambda: self.firmware.open, wait, lambda: "hello")
        except DeviceError:
            self._hang_up()
            raise
        self.firmware.connected(self._now())

    async def say_pcm(self, pcm: bytes, rate: int = RATE, timeout: float = 30.0) -> Turn:
        """Say `pcm` (16-bit mono) to the microphone and hear the answer out.

        In realtime mode it interrupts an answer; in auto mode it waits for its end; in manual
        mode the button is held down meanwhile.
        """
        deadline = self._now() + timeout
        await self.listen(timeout)
        turn = self.firmware.turns.begin(self._now())
        self._microphone.say(resample(pcm, rate, RATE))
        try:
            await self._waiting.until(
                lambda: self._microphone.silent or turn.ended_at is not None,
                deadline,
                lambda: "the end of the speech",
            )
            if self.profile.mode == "manual":
                self.release()
            await self._waiting.until(
                lambda: turn.ended_at is not None, deadline, lambda: turn.missing
            )
        finally:
            self._microphone.hush()
        return turn

    async def type(self, text: str, timeout: float = 30.0) -> Turn:
        """Send typed `text`, as clients with a keyboard do, and hear the answer out."""
        deadline = self._now() + timeout
        if self.firmware.state is State.SPEAKING:
            self.abort()
            await self._waiting.until(
                lambda: self.firmware.state is not State.SPEAKING, deadline, lambda: "tts stop"
            )
        await self.listen(timeout)
        turn = self.firmware.turns.begin(self._now())
        self.firmware.detect(text)
        self._spoken()
        await self._waiting.until(lambda: turn.ended_at is not None, deadline, lambda: turn.missing)
        return turn

    async def hear(self, timeout: float = 30.0) -> Turn:
        """Wait for the end of the next turn the server begins by itself, and return it."""
        turns = self.firmware.turns
        deadline = self._now() + timeout
        await self._waiting.until(lambda: bool(turns.unasked), deadline, lambda: "an answer")
        return turns.unasked.pop(0)

    async def wake(self, word: str = "你好小智", pcm: bytes = b"", timeout: float = 10.0) -> None:
        """Say the wake word, `pcm` (16 kHz) being its sound; ends when the device listens."""
        deadline = self._now() + timeout
        await self.connect(timeout)
        self._microphone.say(pcm)
        packets: list[bytes] = []
        while not self._microphone.silent and (packet := self._microphone.next_packet()):
            packets.append(packet)
        self.firmware.wake(word, packets, self._now())
        self._settle()
        await self._waiting.until(lambda: self.firmware.mic_on, deadline, lambda: "listening")

    async def listen(self, timeout: float = 10.0) -> None:
        """Have the microphone on, whatever that takes; in auto mode an answer is heard out."""
        deadline = self._now() + timeout
        firmware, mode = self.firmware, self.profile.mode
        if not firmware.open:
            await self.connect(timeout)
        if firmware.state is State.SPEAKING and mode == "auto":
            await self._waiting.until(
                lambda: firmware.state is not State.SPEAKING, deadline, lambda: "tts stop"
            )
        if not firmware.mic_on:
            firmware.listen(mode, self._now())
            self._settle()
        await self._waiting.until(lambda: firmware.mic_on, deadline, lambda: "listening")

    def release(self) -> None:
        """Let go of the button; one packet is on its way then, and comes late."""
        packet = self._microphone.next_packet() if self.firmware.mic_on else None
        self.firmware.release(self._now(), [packet] if packet else [])
        self._settle()

    def abort(self, reason: str = "") -> None:
        """Cut the answer off, as a click does; the device speaks until the server stops."""
        self.firmware.abort(reason)

    def capture(self, pcm: bytes) -> None:
        """Give the microphone what real hardware has captured (16 kHz)."""
        self._microphone.say(pcm)

    def close(self) -> None:
        """Switch the device off, dropping its connection."""
        self._waiting.failure = HungUp("the device was switched off")
        self._hang_up()
        self._arm(None)

    # -- what no device should do --

    def stall(self) -> None:
        """Stop reading what the server sends, until `resume`."""
        if self._channel is not None:
            self._channel.hold(True)

    def resume(self) -> None:
        """Read on after `stall`."""
        if self._channel is not None:
            self._channel.hold(False)

    def send_raw(self, message: str | bytes) -> None:
        """Send any message at all; a binary one gets no header."""
        self._send(message)

    def vanish(self) -> None:
        """Walk out of the wireless network: from here on nothing is sent, read or closed."""
        self.firmware.mic_on = False
        self._settle()
        self.stall()

    def reset(self) -> None:
        """Lose power: the connection ends by a reset in the middle of it."""
        if self._channel is not None:
            self._channel.drop(abort=True)
        self.close()

    # -- what its channel tells it --

    def received(self, message: str | bytes) -> None:
        """Take a message of the server."""
        try:
            if isinstance(message, bytes):
                self.firmware.receive_frame(message, self._now())
            else:
                self.firmware.receive(message, self._now())
        except Crashed as error:
            self._waiting.failure = error
            self._noted(Event(self._now(), "crash", {"text": str(error)}))
            self._hang_up()
        self._settle()

    def closed(self, why: str) -> None:
        """Take note that the channel is no longer any use."""
        self._waiting.failure = HungUp(why)
        self._noted(Event(self._now(), "closed", {"text": why}))
        self.firmware.lost(self._now())
        self._settle()

    # -- inside --

    def _now(self) -> float:
        return float(self._reactor.seconds())

    def _send(self, message: str | bytes) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def _spoken(self) -> None:
        self.firmware.turns.spoken(self._now())
        self._noted(Event(self._now(), "spoken"))
        self._settle()

    def _noted(self, event: Event) -> None:
        if event.name == "complaint":
            event = attrs.evolve(event, at=self._now())
            if len(self.complaints) < COMPLAINTS:
                self.complaints.append(event.details["text"])
        if event.name == "working":
            working = event.details["answer"]
            working.addCallback(self._worked, event.details["request"], self._channel)
        if self._on_event is not None:
            self._on_event(event)

    def _worked(self, answer: str, request: object, channel: Channel | None) -> None:
        """Send what a tool has done, unless the connection is another by now."""
        if channel is self._channel:
            self.firmware.worked(request, answer, self._now())
            self._settle()

    def _hang_up(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.drop()
        self.firmware.lost(self._now())
        self._settle()

    def _settle(self) -> None:
        """Do what follows from the firmware's state, once it has come to rest."""
        self._microphone.switch(self.firmware.mic_on)
        self._arm(self.firmware.next_at(self._now(), every_frame=self._audible))
        self._waiting.look()

    def _arm(self, at: float | None) -> None:
        if self._alarm is not None and self._alarm.active():
            self._alarm.cancel()
        self._alarm = None
        if at is not None:
            self._alarm = self._reactor.callLater(max(0.0, at - self._now()), self._ring)

    def _ring(self) -> None:
        self.firmware.tick(self._now())
        self._settle()
