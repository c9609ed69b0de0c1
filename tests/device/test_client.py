"""Whole devices against a scripted server on loopback: their turns."""

from __future__ import annotations

import json

from twisted.internet.defer import Deferred, gatherResults

from tests.device.cases import SPEECH, DeviceCase, converse
from tests.device.scripted import TOKEN, Talk
from xiaozhi.audio import packet_duration_ms
from xiaozhi.device.firmware import State
from xiaozhi.device.mcp import Server, Tool

START = {"state": "start", "mode": "auto"}


class TurnsTest(DeviceCase):
    """Turns in each mode."""

    async def test_auto(self) -> None:
        """Configuration, handshake, hello, a turn, another one: as the firmware does them."""
        server = self.serve(converse)
        device = self.make(server)
        turn = await device.say_pcm(SPEECH)
        self.assertTrue(turn.whole)
        self.assertEqual((turn.heard, turn.answer, turn.emotion), ("hello", "Good day.", "happy"))
        self.assertEqual((len(turn.frames), turn.stalls, turn.lost), (5, [], 0))
        self.assertEqual(len(turn.pcm), 5 * 960)
        self.assertTrue(turn.delay is None or turn.delay < 1)
        self.assertIs(device.firmware.state, State.LISTENING)
        self.assertTrue((await device.say_pcm(SPEECH)).whole)
        self.assertEqual(device.complaints, [])
        self.assertEqual((len(server.talks), len(server.asked)), (1, 1))

    async def test_the_handshakes(self) -> None:
        """The host has no port, and nothing is in the request but what the firmware sends."""
        server = self.serve(converse)
        await self.make(server, device_id="aa:bb:cc:dd:ee:ff", client_id="c").connect()
        (talk,) = server.talks
        talk.headers.pop("sec-websocket-key")
        expected = {
            "host": "127.0.0.1",
            "upgrade": "websocket",
            "connection": "Upgrade",
            "sec-websocket-version": "13",
            "authorization": f"Bearer {TOKEN}",
            "protocol-version": "3",
            "device-id": "aa:bb:cc:dd:ee:ff",
            "client-id": "c",
        }
        self.assertEqual(talk.headers, expected)
        path, headers, body = server.asked[0]
        self.assertEqual((path, headers["device-id"]), ("/ota/", "aa:bb:cc:dd:ee:ff"))
        self.assertEqual(headers["content-length"], str(len(body)))
        self.assertEqual(headers["connection"], "close")
        self.assertEqual(json.loads(body)["version"], 2)

    async def test_manual(self) -> None:
        """The button is held for the speech; a packet comes late; the device is idle again."""
        order: list[str] = []

        async def script(talk: Talk) -> None:
            await talk.greet()
            for _ in range(2):
                await talk.expect("listen", state="start", mode="manual")
                await talk.expect("listen", state="stop")
                order.append("stop")
                await talk.hear(6)
                order.append("heard")
                talk.tell("stt", text="hello")
                await talk.answer("Good day.", 2)

        device = self.make(self.serve(script), mode="manual")
        for _ in range(2):
            turn = await device.say_pcm(SPEECH)
            self.assertTrue(turn.whole)
            self.assertIs(device.firmware.state, State.IDLE)
        self.assertEqual(order, ["stop", "heard"] * 2)
        self.assertEqual(device.complaints, [])

    async def test_realtime(self) -> None:
        """Speech over an answer is heard, the server stops, and the next answer is the turn's."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start", mode="realtime")
            await talk.hear(5)
            talk.tell("tts", state="start")
            talk.tell("tts", state="sentence_start", text="Long.")
            await talk.speak(2)
            talk.sound.clear()
            await talk.hear(6)
            talk.tell("tts", state="stop")
            talk.tell("stt", text="stop it")
            await talk.answer("Sorry.", 2)
            await talk.left()
            self.assertFalse([m for m in talk.inbox if isinstance(m, dict)])

        listen, started = self.wait_for("sentence")
        device = self.make(self.serve(script), listen, mode="realtime")
        first = Deferred.fromCoroutine(device.say_pcm(SPEECH))
        await started
        second = await device.say_pcm(SPEECH)
        interrupted = await first
        self.assertEqual((interrupted.answer, interrupted.interrupted), ("Long.", True))
        self.assertEqual((second.heard, second.answer, second.whole), ("stop it", "Sorry.", True))
        device.close()

    async def test_typed(self) -> None:
        """Typed text is a `detect` after `listen start`."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", **START)
            message = await talk.expect("listen", state="detect", text="你好")
            self.assertEqual(message["session_id"], "s1")
            talk.tell("stt", text="你好")
            await talk.answer("好", 1)

        turn = await self.make(self.serve(script)).type("你好")
        self.assertTrue(turn.whole)
        self.assertIsNotNone(turn.delay)

    async def test_typed_over_an_answer(self) -> None:
        """Text typed over an answer aborts that one first."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start")
            talk.tell("tts", state="start")
            await talk.expect("abort")
            talk.tell("tts", state="stop")
            await talk.expect("listen", state="start")
            await talk.expect("listen", state="detect", text="next")
            await talk.answer("Yes.", 1)

        listen, speaking = self.wait_for("tts")
        device = self.make(self.serve(script), listen)
        await device.listen()
        await speaking
        self.assertTrue((await device.type("next")).whole)

    async def test_the_wake_word(self) -> None:
        """Its sound comes in one burst before `detect`, and the greeting is a turn unasked."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.until(lambda: any(isinstance(m, dict) for m in talk.inbox))
            before = [isinstance(message, bytes) for message in talk.inbox]
            self.assertEqual(before[:5], [True] * 5)
            await talk.expect("listen", state="detect", text="你好小智")
            await talk.expect("listen", **START)
            await talk.answer("在呢", 1)

        device = self.make(self.serve(script))
        await device.wake(pcm=SPEECH)
        turn = await device.hear()
        self.assertEqual((turn.asked, turn.answer), (False, "在呢"))

    async def test_abort(self) -> None:
        """After a click the turn ends interrupted, when the server stops."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start")
            await talk.expect("listen", state="detect")
            talk.tell("tts", state="start")
            await talk.speak(2)
            await talk.expect("abort")
            talk.tell("tts", state="stop")

        listen, started = self.wait_for("tts")
        device = self.make(self.serve(script), listen)
        started.addCallback(lambda _: device.abort())
        turn = await device.type("go on")
        self.assertEqual((turn.interrupted, turn.whole), (True, False))

    async def test_versions(self) -> None:
        """Every binary version carries sound both ways."""
        for version in (1, 2, 3):
            turn = await self.make(self.serve(converse), version=version).say_pcm(SPEECH)
            self.assertEqual((turn.whole, len(turn.frames)), (True, 5))

    async def test_frames(self) -> None:
        """Every frame duration of the device's own is what its packets last."""

        async def script(talk: Talk) -> None:
            hello = await talk.greet()
            talk.server.frame_ms = hello["audio_params"]["frame_duration"]

        for frame_ms in (10, 40, 60):
            server = self.serve(script)
            await self.make(server, frame_ms=frame_ms).listen()
            (packet,) = await server.talks[0].hear(1)
            self.assertEqual((packet_duration_ms(packet), server.frame_ms), (frame_ms, frame_ms))

    async def test_tools(self) -> None:
        """The server calls a tool of the device's."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            call = {"name": "lamp", "arguments": {}}
            request = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            talk.tell("mcp", payload=request)
            reply = await talk.expect("mcp")
            told.callback(reply["payload"]["result"]["content"][0]["text"])

        told: Deferred[str] = Deferred()
        tools = Server([Tool("lamp", "Light", lambda _: "on")])
        await self.make(self.serve(script), tools=tools).connect()
        self.assertEqual(await told, "on")

    async def test_ten_at_once(self) -> None:
        """Ten devices in one process each have their turn, without a stall."""
        server = self.serve(converse)
        devices = [self.make(server, device_id=f"02:00:00:00:00:{n:02x}") for n in range(10)]
        turns = await gatherResults([Deferred.fromCoroutine(d.say_pcm(SPEECH)) for d in devices])
        self.assertEqual([turn.whole for turn in turns], [True] * 10)
        self.assertEqual(
            {talk.headers["device-id"] for talk in server.talks},
            {device.profile.device_id for device in devices},
        )
