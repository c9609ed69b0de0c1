"""The firmware, as transcripts: what it is told, what it sends."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred

from tests.device.cases import HELLO, PACKET, FirmwareCase
from xiaozhi.device.errors import Crashed
from xiaozhi.device.firmware import NEXT, Firmware, State
from xiaozhi.device.framing import pack
from xiaozhi.device.mcp import Tool


class HelloTest(FirmwareCase):
    """The channel opens with one hello each."""

    def test_what_is_said(self) -> None:
        """The device's hello tells version, features, transport and its audio."""
        device = Firmware(self.out.append, self.events.append)
        device.hello(2, 60, {"mcp": True})
        audio = {"format": "opus", "sample_rate": 16000, "channels": 1, "frame_duration": 60}
        hello = {"type": "hello", "version": 2, "features": {"mcp": True}}
        self.assertEqual(self.sent(), [hello | {"transport": "websocket", "audio_params": audio}])

    def test_without_a_transport(self) -> None:
        """A hello without a transport makes the firmware follow a null pointer."""
        device = Firmware(self.out.append, self.events.append)
        self.assertRaises(Crashed, self.tell, device, {"type": "hello"})
        self.assertRaises(Crashed, self.tell, device, {"type": "hello", "transport": 1})

    def test_another_transport(self) -> None:
        """A hello for another transport is none."""
        device = Firmware(self.out.append, self.events.append)
        self.tell(device, {"type": "hello", "transport": "udp"})
        self.assertFalse(device.open)

    def test_a_second_hello(self) -> None:
        """A second hello is a fault of the server's."""
        self.tell(self.make(), HELLO)
        self.assertIn("second hello", self.complaints()[0])

    def test_what_is_left_out(self) -> None:
        """Without audio_params the device expects 24 kHz in frames of 60 ms."""
        device = Firmware(self.out.append, self.events.append)
        self.tell(device, {"type": "hello", "transport": "websocket"})
        self.assertEqual((device.playback.rate, device.playback.frame_ms), (24000, 60))

    def test_a_frame_no_decoder_takes(self) -> None:
        """Frames of 30 ms, or 44.1 kHz, would never be heard."""
        for audio in ({"frame_duration": 30}, {"sample_rate": 44100}):
            with self.subTest(audio=audio):
                device = Firmware(self.out.append, self.events.append)
                self.assertRaises(Crashed, self.tell, device, HELLO | {"audio_params": audio})

    def test_the_session_id_comes_back(self) -> None:
        """Everything the device says carries the session id of the server."""
        device = self.make()
        device.abort()
        self.assertEqual(json.loads(self.out[-1])["session_id"], "s1")


class WorkTest(FirmwareCase):
    """A tool that takes its time."""

    def test_nothing_else_is_done(self) -> None:
        """Until it is done the device sends no sound, and hears nothing of what it is told."""
        device = self.make()
        done: Deferred[str] = Deferred()
        device.tools.add(Tool("look", "", lambda _: done))
        params = {"name": "look"}
        request = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params}
        self.tell(device, {"type": "mcp", "payload": request})
        device.microphone(PACKET)
        self.tts(device, "start")
        self.assertEqual((self.sent(), device.state), ([], State.LISTENING))
        (event,) = (event for event in self.events if event.name == "working")
        event.details["answer"].addCallback(lambda text: device.worked(request, text, 1.0))
        done.callback("a cat")
        (reply,) = self.sent()
        self.assertEqual(reply["payload"]["result"]["content"][0]["text"], "a cat")
        self.assertIs(device.state, State.SPEAKING)

    def test_lost_meanwhile(self) -> None:
        """A device whose channel goes is itself again."""
        device = self.make()
        device.tools.add(Tool("look", "", lambda _: Deferred()))
        request = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "look"}}
        self.tell(device, {"type": "mcp", "payload": request})
        device.lost(1.0)
        self.tell(device, HELLO)
        self.assertTrue(device.open)


class StateTest(FirmwareCase):
    """The transitions."""

    def test_every_state_can_be_reached_and_left(self) -> None:
        """No state is a trap, and each but the first can be entered."""
        self.assertEqual(set(NEXT), set(State))
        self.assertTrue(all(NEXT.values()))
        self.assertEqual(set().union(*NEXT.values()), set(State) - {State.STARTING})

    def test_no_answer_while_connecting(self) -> None:
        """`tts start` while connecting is lost, and so is the sound after it."""
        device = Firmware(self.out.append, self.events.append)
        device.booted(0.0)
        device.connecting(0.0)
        self.tts(device, "start")
        device.receive_frame(PACKET, 0.0)
        self.assertIs(device.state, State.CONNECTING)
        self.assertEqual(
            self.complaints(),
            ["cannot be speaking while connecting", "a frame of sound while connecting"],
        )

    def test_sound_before_the_answer(self) -> None:
        """Sound is played while speaking and dropped at any other time."""
        device = self.make()
        device.receive_frame(PACKET, 0.0)
        self.assertEqual(self.complaints(), ["a frame of sound while listening"])

    def test_what_is_no_message(self) -> None:
        """What is not an object with a type is a fault; a type not known is ignored."""
        device = self.make()
        for text in ("", "[]", "{}", '{"type": 1}', "\ufffd"):
            device.receive(text, 0.0)
        self.assertEqual(len(self.complaints()), 5)
        self.tell(device, {"type": "weather"})
        self.assertEqual(self.events[-1].name, "ignored")

    def test_a_broken_header(self) -> None:
        """A binary header that claims too much crashes the device."""
        device = self.make()
        device.version = 3
        self.tts(device, "start")
        self.assertRaises(Crashed, device.receive_frame, pack(3, PACKET)[:-1], 0.0)


class AutoTest(FirmwareCase):
    """In auto mode the microphone is off while the device speaks."""

    def test_a_turn(self) -> None:
        """Listen, speak, play to the end, listen again."""
        device = self.make(listening=False)
        device.listen("auto", 0.0)
        self.assertEqual(self.sent(), [{"type": "listen", "state": "start", "mode": "auto"}])
        device.microphone(b"up")
        self.tts(device, "start", 1.0)
        device.microphone(b"lost")
        self.tts(device, "sentence_start", 1.0, text="Hi.")
        for _ in range(3):
            device.receive_frame(PACKET, 1.0)
        self.tts(device, "stop", 1.05)
        self.assertEqual(self.sent(), [b"up"])
        self.assertIs(device.state, State.LISTENING)
        self.assertAlmostEqual(device.next_at(1.05) or 0, 1.06)
        device.tick(1.17)
        self.assertEqual(self.sent(), [])
        device.tick(1.18)
        self.assertEqual(self.sent(), [{"type": "listen", "state": "start", "mode": "auto"}])
        self.assertEqual([len(turn.frames) for turn in self.ended()], [3])

    def test_an_answer_without_sound(self) -> None:
        """When nothing was to be played, it listens at once."""
        device = self.make()
        self.tts(device, "start", 1.0)
        self.tts(device, "stop", 1.0)
        self.assertEqual(self.sent(), [{"type": "listen", "state": "start", "mode": "auto"}])

    def test_start_after_stop_cuts_off(self) -> None:
        """`tts start` soon after `tts stop` loses what was queued, and no `listen start` comes."""
        device = self.make()
        self.tts(device, "start", 1.0)
        for _ in range(5):
            device.receive_frame(PACKET, 1.0)
        self.tts(device, "stop", 1.0)
        self.tts(device, "start", 1.1)
        device.tick(5.0)
        self.assertEqual(self.sent(), [])
        (turn,) = device.turns.unasked
        self.assertEqual((len(turn.frames), turn.lost, turn.interrupted), (2, 3, True))

    def test_start_while_speaking(self) -> None:
        """A second `tts start` changes nothing."""
        device = self.make()
        self.tts(device, "start", 1.0)
        device.receive_frame(PACKET, 1.0)
        device.receive_frame(PACKET, 1.0)
        self.tts(device, "start", 1.0)
        self.tts(device, "stop", 1.0)
        device.tick(1.12)
        self.assertEqual(len(self.ended()[0].frames), 2)

    def test_stop_while_not_speaking(self) -> None:
        """`tts stop` at any other time is nothing."""
        device = self.make()
        self.tts(device, "stop", 1.0)
        self.assertIs(device.state, State.LISTENING)
        self.assertEqual(self.sent(), [])

    def test_a_click_while_speaking(self) -> None:
        """A click says `abort` and goes on speaking until the server stops."""
        device = self.make()
        self.tts(device, "start", 1.0)
        device.abort()
        self.assertEqual(self.sent(), [{"type": "abort"}])
        device.receive_frame(PACKET, 1.0)
        self.assertIs(device.state, State.SPEAKING)
        self.tts(device, "stop", 1.0)
        device.tick(1.06)
        self.assertTrue(self.ended()[0].interrupted)
        self.assertEqual(len(self.ended()[0].frames), 1)


class ManualTest(FirmwareCase):
    """In manual mode the user holds the button."""

    def test_a_turn(self) -> None:
        """Press, release, and packets on their way come after `listen stop`."""
        device = self.make("manual")
        device.release(1.0, [b"late"])
        self.assertEqual(self.sent(), [{"type": "listen", "state": "stop"}, b"late"])
        self.assertIs(device.state, State.IDLE)
        self.tts(device, "start", 2.0)
        device.receive_frame(PACKET, 2.0)
        self.tts(device, "stop", 2.0)
        self.assertIs(device.state, State.IDLE)
        device.tick(2.06)
        self.assertEqual(self.sent(), [])
        self.assertTrue(self.ended())

    def test_a_press_while_speaking(self) -> None:
        """A press interrupts: `abort`, then `listen start`."""
        device = self.make("manual")
        device.release(1.0)
        self.tts(device, "start", 2.0)
        self.sent()
        device.listen("manual", 2.5)
        start = {"type": "listen", "state": "start", "mode": "manual"}
        self.assertEqual(self.sent(), [{"type": "abort"}, start])


class RealtimeTest(FirmwareCase):
    """In realtime mode the microphone stays on."""

    def test_a_turn(self) -> None:
        """It is heard while it speaks, and says no `listen start` after that."""
        device = self.make("realtime")
        self.tts(device, "start", 1.0)
        device.microphone(b"while speaking")
        device.receive_frame(PACKET, 1.0)
        self.tts(device, "stop", 1.0)
        device.tick(2.0)
        device.microphone(b"after")
        self.assertEqual(self.sent(), [b"while speaking", b"after"])
        self.assertIs(device.state, State.LISTENING)
