"""Photos of devices: `POST /mcp/vision/explain` answers a question about one.

What the user should hear is answered with status 200, `{"success": false, "message": ...}`: of
any other status the firmware makes "Failed to upload photo", whatever is said beside it.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import IO, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.http import Request
from twisted.web.resource import Resource

from xiaozhi.errors import Absent, ServiceError
from xiaozhi.identity import Identity, identify
from xiaozhi.phrases import notice
from xiaozhi.services.auth.credential import credential
from xiaozhi.services.pool import Workers
from xiaozhi.services.vision import Vision, kind
from xiaozhi.services.web.answering import Answer, Problem, answer
from xiaozhi.services.web.asking import headers, let_pages_ask, preflight
from xiaozhi.services.web.multipart import NoForm, fields
from xiaozhi.tooling import Picture

PATH: Final = "mcp/vision/explain"
AT_ONCE: Final = 8
"""Photos that are looked at at one time; one of each device."""

_FORM = re.compile(r"xv1_([A-Za-z0-9_-]{1,700})_([A-Za-z0-9_-]{43})", re.ASCII)
_FRAME: Final = 4096
"""Bytes of a form beside the photo."""
_QUESTION: Final = 1000
"""Characters of a question."""


class Passes:
    """Tokens for photos: each is one device's, and good until the server stops.

    A device is handed one whenever it connects, so nothing has to be kept.
    """

    def __init__(self) -> None:
        """Seal with a key of its own."""
        self._key = secrets.token_bytes(32)

    def mint(self, device: str) -> str:
        """Make the token of a device."""
        name = _written(device.encode())
        return f"xv1_{name}_{self._seal(name)}"

    def holder(self, token: str | None) -> str:
        """Tell whose token it is; "" if it is none of ours."""
        match = _FORM.fullmatch(token or "")
        if match is None or not hmac.compare_digest(self._seal(match[1]), match[2]):
            return ""
        try:
            return base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""

    def _seal(self, name: str) -> str:
        return _written(hmac.digest(self._key, f"xiaozhi vision 1\n{name}".encode(), sha256))


class Explain(Resource):
    """Looks at photos for devices that are connected."""

    isLeaf = True
    log = Logger()

    def __init__(
        self, vision: Vision, passes: Passes, language: Callable[[str], str], pool: Workers
    ) -> None:
        """Have `vision` look; forms are taken apart in the `pool`.

        `language` tells a connected device's, and "" of any other.
        """
        super().__init__()
        self._pool = pool
        self.vision = vision
        self.passes = passes
        self._language = language
        self._looking: set[str] = set()
        """Devices whose photos are looked at."""

    def allows(self, request: Request) -> int:
        """Tell how many bytes may be sent: nothing much by those who may not."""
        return self.vision.settings.max_size + _FRAME if self._device(request) else 0

    def render_OPTIONS(self, request: Request) -> bytes:
        """Let pages of other origins ask."""
        return preflight(request)

    def render_GET(self, request: Request) -> bytes:
        """Tell people what this is for."""
        let_pages_ask(request)
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        state = "a model is set up" if self.vision.able else "no model is set up (vision)"
        return (
            "xiaozhi vision: devices POST a form with `question` and `file` here, with the token "
            f"they were told when they connected; {state}\n"
        ).encode()

    def render_POST(self, request: Request) -> int:
        """Look at a photo."""
        let_pages_ask(request)
        return answer(request, self._explain(request))

    async def _explain(self, request: Request) -> Answer:
        device = self._device(request)
        if not device:
            raise Problem(
                401, "the token of a connected device is needed", {"WWW-Authenticate": "Bearer"}
            )
        language = self._language(device)
        if device in self._looking or len(self._looking) >= AT_ONCE:
            return _unsaid(notice("looking", language))
        self._looking.add(device)
        try:
            return await self._look(request, language)
        finally:
            self._looking.remove(device)

    async def _look(self, request: Request, language: str) -> Answer:
        kind_of_form = headers(request).get("content-type", "")
        try:
            # In a thread, as two megabytes are copied and searched: two milliseconds.
            form = await self._pool.run(_read, request.content, kind_of_form)
        except NoForm as error:
            raise Problem(400, str(error)) from None
        except ServiceError as error:
            self.log.warn("a photo was not read: {why}", why=error)
            return _unsaid(notice("looking", language))
        data = form.get("file", b"")
        mime = kind(data)
        if not mime:
            return _unsaid(notice("no_picture", language))
        question = form.get("question", b"").decode("utf-8", "replace")[:_QUESTION]
        looking: Deferred[str] = self.vision.describe(Picture(mime, data), question, language)
        try:
            return Answer({"success": True, "response": await looking})
        except ServiceError as error:
            self.log.warn("a photo was not looked at: {why}", why=error)
            return _unsaid(notice("blind" if isinstance(error, Absent) else "unseen", language))

    def _device(self, request: Request) -> str:
        """Tell which connected device asks; "" if none, or if it shows another's token."""
        heads = headers(request)
        device = self.passes.holder(credential({}, heads))
        told = identify({}, heads)
        named = told.device if told.known else ""
        own = device if Identity(device, "", "").known else ""
        return device if device and named == own and self._language(device) else ""


def _read(content: IO[bytes] | None, kind_of_form: str) -> Mapping[str, bytes]:
    return fields(kind_of_form, content.read() if content else b"")


def _unsaid(message: str) -> Answer:
    return Answer({"success": False, "message": message})


def _written(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
