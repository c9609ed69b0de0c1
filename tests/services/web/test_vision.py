"""Photos of devices, as they come in and are answered."""

from __future__ import annotations

from typing import Any, cast

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from tests.http import Reply, ask, send
from tests.pictures import GIF, JPEG, PNG, WEBP
from tests.services.open_house import nobody
from tests.services.web.test_multipart import TYPE, form
from tests.services.web.test_ota import NOW
from tests.tools.stage import AtOnce
from tests.websocket import Transport
from xiaozhi.errors import Absent, Refused, ServiceError
from xiaozhi.services.devices import Devices
from xiaozhi.services.vision import Settings
from xiaozhi.services.web.bounded import PATIENCE, UPLOADING
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.site import site
from xiaozhi.services.web.vision import AT_ONCE, PATH, Explain, Passes
from xiaozhi.tooling import Picture

DEVICE = "aa:bb:cc:00:11:22"
MADE_UP = "auto-0123abcd"
PLACE = f"/{PATH}"


class Eyes:
    """Sees what the test says, when it says so."""

    def __init__(self) -> None:
        self.settings = Settings(max_size=100_000)
        self.able = True
        self.answer: Deferred[str] | None = None
        self.seen: list[tuple[Picture, str, str]] = []

    def describe(self, picture: Picture, question: str, language: str) -> Deferred[str]:
        self.seen.append((picture, question, language))
        return succeed("A cat.") if self.answer is None else self.answer


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.eyes = cast("Any", Eyes())
        self.passes = Passes()
        self.here = {DEVICE: "zh", MADE_UP: "en"}
        self.pool = cast("Any", AtOnce())
        page = Explain(self.eyes, self.passes, lambda device: self.here.get(device, ""), self.pool)
        self.site = site(
            WebSocketServerFactory(), Offer(None, 1, lambda: NOW), Devices(), nobody(),
            {PATH: page}, uploads={PLACE: page.allows},
        )  # fmt: skip
        self.token = self.passes.mint(DEVICE)

    def heads(self, token: str | None = None, device: str = DEVICE, **more: str) -> dict[str, str]:
        named = {"Device-Id": device.upper()} if device else {}
        shown = self.token if token is None else token
        bearer = {"Authorization": f"Bearer {shown}"} if shown else {}
        return named | {"Content-Type": TYPE} | bearer | more

    def post(self, body: bytes, **heads: Any) -> Reply:
        reply = ask(self.site, "POST", PLACE, self.heads(**heads), body)
        self.assertEqual(int(reply.headers["content-length"]), len(reply.body))
        self.assertLess(len(reply.body), 6000)
        return reply

    def told(self, body: bytes, **heads: Any) -> Any:
        reply = self.post(body, **heads)
        self.assertEqual(reply.status, 200, reply.body)
        return reply.json()


class Photos(Case):
    def test_with_its_length(self) -> None:
        """A photo is looked at, with the question, in the user's language."""
        told = self.told(form(question="谁？".encode(), file=JPEG))
        self.assertEqual(told, {"success": True, "response": "A cat."})
        self.assertEqual(self.eyes.seen, [(Picture("image/jpeg", JPEG), "谁？", "zh")])

    def test_in_chunks(self) -> None:
        """So it is when it comes in chunks, of which nobody knows how many there will be."""
        body = form(question=b"who?", file=JPEG * 200)
        pieces = [body[start : start + 4096] for start in range(0, len(body), 4096)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        reply = self.post(chunks + b"0\r\n\r\n", **{"Transfer-Encoding": "chunked"})
        self.assertEqual(reply.json()["response"], "A cat.")
        self.assertEqual(self.eyes.seen[0][0].data, JPEG * 200)

    def test_kinds(self) -> None:
        """The first bytes say what it is; the question may be missing."""
        for data, mime in ((PNG, "image/png"), (WEBP, "image/webp"), (GIF, "image/gif")):
            self.assertTrue(self.told(form(file=data))["success"])
            self.assertEqual(self.eyes.seen[-1], (Picture(mime, data), "", "zh"))

    def test_no_photo(self) -> None:
        """What is no photo is said to be none, so that the user hears it."""
        for body in (form(file=b"<svg/>"), form(file=b""), form(question=b"x")):
            self.assertEqual(
                self.told(body), {"success": False, "message": "收到的不是能识别的照片。"}
            )
        self.assertEqual(self.eyes.seen, [])

    def test_no_form(self) -> None:
        """What is no form is refused."""
        for body in (b"", JPEG, form(file=JPEG)[:-9]):
            self.assertEqual(self.post(body).status, 400)

    def test_failures(self) -> None:
        """That there is no model, or that it fails, is said in the user's language."""
        for error, device, message in (
            (Absent("vision", "no key"), DEVICE, "服务器没有配置视觉模型，看不了照片。"),
            (ServiceError("vision", "late"), DEVICE, "现在看不了照片，请稍后再试。"),
            (
                Absent("vision", "no key"),
                MADE_UP,
                "No vision model is set up on this server, so photos cannot be looked at.",
            ),
        ):
            self.eyes.answer = fail(error)
            named = DEVICE if device == DEVICE else ""
            told = self.told(form(file=JPEG), token=self.passes.mint(device), device=named)
            self.assertEqual(told, {"success": False, "message": message})

    def test_no_thread(self) -> None:
        """A form is taken apart in a thread; where none is free the user is to try again."""
        self.patch(self.pool, "run", lambda *_: fail(Refused("vision", "too much is waiting")))
        self.assertFalse(self.told(form(file=JPEG))["success"])
        self.assertEqual(self.eyes.seen, [])

    def test_one_at_a_time(self) -> None:
        """Of each device one photo is looked at, and of all together a few."""
        others = [f"auto-0000000{n}" for n in range(AT_ONCE)]
        self.here |= dict.fromkeys(others, "en")
        self.eyes.answer = Deferred()
        sent = self.send()
        self.assertIn("上一张", self.told(form(file=JPEG))["message"])
        for other in others[1:]:
            send(
                self.site,
                "POST",
                PLACE,
                self.heads(self.passes.mint(other), ""),
                form(file=JPEG),
                8000,
            )
        late = self.passes.mint(others[0])
        self.assertIn(
            "before this one", self.told(form(file=JPEG), token=late, device="")["message"]
        )
        self.eyes.answer.callback("A dog.")
        reply = sent[1].reply()
        self.assertEqual(reply and reply.json()["response"], "A dog.")
        self.eyes.answer = None
        self.assertTrue(self.told(form(file=JPEG))["success"])

    def send(self) -> Any:
        return send(self.site, "POST", PLACE, self.heads(), form(file=JPEG), 8000)

    def test_hung_up(self) -> None:
        """Who hangs up is not looked for any more."""
        gone: list[object] = []
        self.eyes.answer = Deferred(gone.append)
        protocol, _ = self.send()
        protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(gone), 1)
        self.eyes.answer = None
        self.assertTrue(self.told(form(file=JPEG))["success"])


class Doors(Case):
    def test_tokens(self) -> None:
        """Only the token of a device that is connected opens, and to that device."""
        other = self.passes.mint("aa:bb:cc:00:11:33")
        self.here["aa:bb:cc:00:11:44"] = "en"
        cut = self.token[:-1] + ("A" if self.token[-1] != "A" else "B")
        forged = self.token.replace("_", "_x", 1)
        for token, device in (
            ("", DEVICE), ("x", DEVICE), (cut, DEVICE), (forged, DEVICE), (other, DEVICE),
            (Passes().mint(DEVICE), DEVICE), (other, "aa:bb:cc:00:11:33"),
            (self.token, "aa:bb:cc:00:11:44"), (self.token, ""),
            (self.passes.mint(MADE_UP), DEVICE), ("xv1__" + "A" * 43, ""),
            ("xv1_x_" + "A" * 43, ""),
        ):  # fmt: skip
            reply = self.post(form(file=JPEG), token=token, device=device)
            self.assertEqual((reply.status, reply.headers["www-authenticate"]), (401, "Bearer"))
        self.assertEqual(self.eyes.seen, [])
        self.here.clear()
        self.assertEqual(self.post(form(file=JPEG)).status, 401)

    def test_names(self) -> None:
        """A token says whose it is, in whatever signs a name has."""
        for name in ("aa:bb", "a", "徽章", "x" * 128):
            self.assertEqual(self.passes.holder(self.passes.mint(name)), name)
        self.assertEqual(self.passes.holder(None), "")

    def test_size(self) -> None:
        """A photo has its bounds; who may not send one has those of everybody."""
        for size, token, status in (
            (90_000, None, 200),
            (110_000, None, 413),
            (60_000, "", 401),
            (90_000, "", 413),
        ):
            body = form(file=JPEG + bytes(size))
            self.assertEqual(self.post(body, token=token).status, status, size)
        reply = ask(self.site, "POST", "/xiaozhi/ota/", self.heads(), form(file=bytes(90_000)))
        self.assertEqual(reply.status, 413)

    def test_time(self) -> None:
        """An upload may take half a minute; that of anybody else ten seconds."""
        for token, seconds in ((self.token, UPLOADING), ("", PATIENCE)):
            clock = Clock()
            protocol: Any = self.site.buildProtocol(None)
            transport = Transport()
            protocol.callLater = clock.callLater
            protocol.makeConnection(transport)
            lines = [f"POST {PLACE} HTTP/1.1", "Content-Length: 9999"]
            lines += [f"{name}: {text}" for name, text in self.heads(token).items()]
            protocol.dataReceived("\r\n".join([*lines, "", ""]).encode())
            for _ in range(round(seconds) - 1):
                clock.advance(1)
                protocol.dataReceived(b"x")
            self.assertEqual(transport.value(), b"")
            transport.protocol = protocol
            clock.advance(1)
            self.assertIn(b"408", transport.value())

    def test_people(self) -> None:
        """People are told what this is, and pages of other origins may ask."""
        for able, said in ((True, "a model is set up"), (False, "no model is set up")):
            self.eyes.able = able
            self.assertIn(said, ask(self.site, "GET", PLACE).body.decode())
        self.assertEqual(ask(self.site, "OPTIONS", PLACE).status, 204)
        for path in ("/mcp", "/mcp/", "/mcp/vision", "/mcp/vision/"):
            self.assertEqual(ask(self.site, "GET", path).status, 404)
