"""The camera: what it sends, and what it makes of the answer."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.device.cases import reactor
from tests.loopback import Folder, Loopback
from tests.pictures import JPEG
from xiaozhi.device.camera import Manner, photographer
from xiaozhi.device.mcp import Server
from xiaozhi.device.ota import Profile

PROFILE = Profile(ws_url="ws://x/", device_id="aa:bb:cc:00:11:22")


class _Page(Resource):
    """Notes what comes, and answers the same."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.answer = b'{"success":true,"response":"a cat"}'
        self.headers: dict[str, str] = {}
        self.form: Any = {}

    def render_POST(self, request: Request) -> bytes:
        self.headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.form = request.args
        request.setResponseCode(self.status)
        return self.answer


class CameraTest(TestCase):
    timeout = 20

    def setUp(self) -> None:
        self.page = _Page()
        self.loopback = Loopback(Folder(explain=self.page))
        self.addCleanup(self.loopback.stop)
        self.server = Server([])

    async def shoot(self, manner: Manner = "firmware", url: str | None = None) -> Any:
        """Have a photo taken; give the reply to the call."""
        where = f"http://127.0.0.1:{self.loopback.port}/explain" if url is None else url
        vision = {"capabilities": {"vision": {"url": where, "token": "t"}}}
        self.ask("initialize", vision if where else {})
        tool = photographer(reactor, PROFILE, self.server, lambda: JPEG, manner)
        self.server.add(tool)
        params = {"name": tool.name, "arguments": {"question": "谁？"}}
        answer = self.ask("tools/call", params)
        assert isinstance(answer, Deferred)
        return json.loads(await answer)

    def ask(self, method: str, params: Any) -> Any:
        return self.server.answer({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})

    async def test_both_manners(self) -> None:
        """The firmware sends chunks, py-xiaozhi a body of known length; the form is the same."""
        for manner, chunked in (("firmware", True), ("py-xiaozhi", False)):
            told = await self.shoot(manner)  # type: ignore[arg-type]
            text = told["result"]["content"][0]["text"]
            self.assertEqual(json.loads(text), {"success": True, "response": "a cat"})
            self.assertEqual(self.page.form, {b"question": ["谁？".encode()], b"file": [JPEG]})
            heads = self.page.headers
            self.assertEqual(
                ("transfer-encoding" in heads, "content-length" in heads), (chunked, not chunked)
            )
            self.assertEqual(
                (heads["device-id"], heads["authorization"]), (PROFILE.device_id, "Bearer t")
            )

    async def test_failures(self) -> None:
        """Whatever is not 200, or too long, or not there, fails in the firmware's words."""
        for status, answer, url, why in (
            (401, b"", None, "Failed to upload photo"),
            (200, b"x" * 9000, None, "Failed to upload photo"),
            (200, b"", "http://127.0.0.1:1/", "Failed to connect to explain URL"),
            (200, b"", "", "Image explain URL or token is not set"),
        ):
            self.server = Server([])
            self.page.status, self.page.answer = status, answer
            told = await self.shoot(url=url)
            self.assertEqual(told["error"], {"message": why})
