"""Whole devices against a scripted server on loopback: what ends a talk."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from tests.certificates import certify
from tests.device.cases import SPEECH, DeviceCase, converse, reactor
from tests.device.scripted import Talk, pause
from xiaozhi.device.client import Device
from xiaozhi.device.errors import Crashed, HungUp, NoAnswer, Refused, Unreachable
from xiaozhi.device.firmware import State
from xiaozhi.device.ota import Profile
from xiaozhi.device.turns import Event


class FailuresTest(DeviceCase):
    """What ends a talk."""

    async def test_nobody_there(self) -> None:
        """A server that is not there is unreachable, by HTTP and by WebSocket."""
        http = Device(reactor, Profile(ota_url="http://127.0.0.1:1/ota/"))
        await self.fails(http.connect(), Unreachable)
        ws = Device(reactor, Profile(ws_url="ws://127.0.0.1:1/"))
        await self.fails(ws.say_pcm(SPEECH), Unreachable)
        self.assertIs(ws.firmware.state, State.IDLE)

    async def test_not_believed(self) -> None:
        """A certificate that nobody vouches for is named in words."""
        pair = certify(Path(self.mktemp()))
        context = DefaultOpenSSLContextFactory(str(pair.key), str(pair.certificate))
        port = reactor.listenSSL(0, Factory.forProtocol(Protocol), context, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"https://localhost:{port.getHost().port}/ota/"
        error = await self.fails(Device(reactor, Profile(ota_url=url)).connect(), Unreachable)
        self.assertTrue(error.endswith("hung up: TLS: certificate verify failed"), error)

    async def test_refused(self) -> None:
        """A wrong token, and a configuration that is not to be had, are refusals."""
        server = self.serve(converse)
        device = self.make(server, ota_url="", ws_url=server.ws_url, token="wrong")
        error = await self.fails(device.connect(), Refused)
        self.assertIn("401", error)
        server.status = 404
        error = await self.fails(self.make(server).connect(), Refused)
        self.assertIn("404", error)

    async def test_no_hello(self) -> None:
        """A server that says no hello gives no answer, and the device hangs up."""

        async def script(talk: Talk) -> None:
            await talk.left()

        device = self.make(self.serve(script))
        await self.fails(device.connect(timeout=0.3), NoAnswer)
        self.assertIs(device.firmware.state, State.IDLE)

    async def test_no_answer(self) -> None:
        """A server that never answers is given up at the deadline, telling what was missing."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start")
            await talk.expect("listen", state="detect")
            talk.tell("stt", text="hello")

        device = self.make(self.serve(script))
        self.assertIn("tts start", await self.fails(device.type("hello", timeout=0.5), NoAnswer))

    async def test_a_crash(self) -> None:
        """What would crash the firmware ends the talk with the reason."""

        async def script(talk: Talk) -> None:
            await talk.expect("hello")
            talk.tell("hello")
            await talk.left()

        device = self.make(self.serve(script))
        await self.fails(device.connect(), Crashed)

    async def test_the_server_closes(self) -> None:
        """A close frame gets no reply; the device is idle, and the next talk opens anew."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            if len(talk.server.talks) > 1:
                await talk.expect("listen", state="start")
                await talk.answer("Back.", 1)
                return
            await talk.expect("listen", state="start")
            talk.sendClose(1000, "good bye")
            await talk.left()
            self.assertFalse(talk.wasClean)

        server = self.serve(script)
        device = self.make(server)
        await self.fails(device.say_pcm(SPEECH), HungUp)
        self.assertIs(device.firmware.state, State.IDLE)
        await server.talks[0].left()
        self.assertEqual((await device.type("again")).answer, "Back.")
        self.assertEqual((len(server.talks), len(server.asked)), (2, 1))

    async def test_the_device_leaves(self) -> None:
        """It leaves by dropping the connection, without a close frame."""
        server = self.serve(converse)
        device = self.make(server)
        await device.connect()
        device.close()
        (talk,) = server.talks
        await talk.left()
        self.assertEqual((talk.wasClean, talk.remoteCloseCode), (False, None))

    async def test_bad_manners(self) -> None:
        """A device can send anything, stop reading, vanish and lose power."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start")
            await talk.until(lambda: b"garbage" in talk.sound)
            talk.tell("stt", text="unread")
            await talk.left()

        listen, read = self.wait_for("stt")
        server = self.serve(script)
        device = self.make(server, listen, version=1)
        await device.listen()
        device.stall()
        device.send_raw(b"garbage")
        await pause(0.1)
        self.assertFalse(read.called)
        device.resume()
        await read
        device.vanish()
        (talk,) = server.talks
        before = len(talk.sound)
        await pause(0.1)
        self.assertEqual((len(talk.sound), talk.gone), (before, False))
        device.reset()
        await talk.left()


class ActivationTest(DeviceCase):
    """A device that must be activated first."""

    async def test_the_code_is_shown(self) -> None:
        """The code is shown, the server asked, and the configuration fetched once more."""
        server = self.serve(converse)
        activation = {"code": "123456", "message": "enter it", "challenge": "x"}
        server.offers.insert(0, {**server.offers[0], "activation": activation})
        events: list[Event] = []
        await self.make(server, events.append).boot()
        (shown,) = [event.details for event in events if event.name == "activation"]
        self.assertEqual(shown, {"code": "123456", "message": "enter it"})
        self.assertEqual([path for path, *_ in server.asked], ["/ota/", "/ota/activate", "/ota/"])

    async def test_nobody_enters_it(self) -> None:
        """Still pending at the deadline, the device is refused, with the code."""
        server = self.serve(converse)
        server.activation = 202
        server.offers[0]["activation"] = {"code": "123456", "challenge": "x"}
        device = self.make(server)
        error = await self.fails(device.boot(1.0), Refused)
        self.assertIn("123456", error)
