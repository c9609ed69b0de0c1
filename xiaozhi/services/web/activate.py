"""Devices that show their code ask whether somebody has entered it."""

from __future__ import annotations

from twisted.web.error import UnsupportedMethod
from twisted.web.http import Request
from twisted.web.resource import Resource

from xiaozhi.identity import identify
from xiaozhi.services.activation import Enrolment, Progress
from xiaozhi.services.web.answering import Answer, Problem, answer
from xiaozhi.services.web.asking import body, headers, let_pages_ask, part, preflight, query, text

_STATUS: dict[Progress, int] = {"done": 200, "pending": 202, "stale": 400, "unknown": 404}
"""Devices know 200 and 202; after all else they wait longer, and at last fetch a new code."""


class Activate(Resource):
    """Answers devices of both versions of activation.

    The second version signs the challenge with a key that was burnt into the chip where it was
    made. Nobody else has that, so the signature says nothing here: what counts is the code, which
    somebody has read from the device.
    """

    isLeaf = True

    def __init__(self, enrolment: Enrolment) -> None:
        """Look into `enrolment`."""
        super().__init__()
        self._enrolment = enrolment

    def render_OPTIONS(self, request: Request) -> bytes:
        """Let pages of other origins ask."""
        return preflight(request)

    def render_HEAD(self, request: Request) -> bytes:
        """Refuse what Twisted would make of a GET, which there is not."""
        raise UnsupportedMethod((b"OPTIONS", b"POST"))

    def render_POST(self, request: Request) -> int:
        """Tell a device whether it is activated."""
        let_pages_ask(request)
        return answer(request, self._progress(request))

    async def _progress(self, request: Request) -> Answer:
        identity = identify(query(request), headers(request))
        if not identity.known:
            raise Problem(400, "Device-Id is missing")
        told = body(request)
        challenge = text(part(told, "Payload") or told, "challenge")
        progress = await self._enrolment.progress(identity.device, challenge)
        if progress in ("stale", "unknown"):
            raise Problem(_STATUS[progress], f"{progress}: ask for the configuration again")
        return Answer({"status": progress}, _STATUS[progress])
