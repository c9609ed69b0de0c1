"""What operators can see and do over HTTP, below /api/.

Each answer is `{"success": true, "data": ...}` or `{"success": false, "error": "..."}`. Times are
seconds since 1970, UTC.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.web.resource import Resource
from twisted.web.server import Request

from xiaozhi.services.web.answering import Answer, Problem, answer
from xiaozhi.services.web.api.calls import Call, Paths, Verb
from xiaozhi.services.web.api.devices import DeviceVerbs
from xiaozhi.services.web.api.means import Hands, Means
from xiaozhi.services.web.api.memory import MemoryVerbs
from xiaozhi.services.web.api.tokens import TokenVerbs
from xiaozhi.services.web.operators import Operators

__all__ = ["Api", "Hands", "Means"]


class Api(Resource):
    """Answers operators, and nobody else."""

    isLeaf = True

    def __init__(self, operators: Operators, means: Means) -> None:
        """Do for `operators` what they ask for, with these `means`."""
        super().__init__()
        self._operators = operators
        self._paths: Paths = {
            **DeviceVerbs(means).paths,
            **MemoryVerbs(means).paths,
            **TokenVerbs(means).paths,
        }

    def render(self, request: Request) -> int:
        """Answer any method; only an operator learns which there are."""
        return answer(request, self._answer(request))

    async def _answer(self, request: Request) -> Answer:
        operator = await self._operators.identify(request)
        path = [segment.decode("utf-8", "replace") for segment in request.postpath or []]
        verbs, names = self._find(path[:-1] if path[-1:] == [""] else path)
        method = request.method.decode("latin-1")
        if method not in verbs:
            raise Problem(405, f"{method} is not possible here", {"Allow": ", ".join(verbs)})
        done = await verbs[method](Call(operator, request), *names)
        return Answer({"success": True, "data": done})

    def _find(self, path: list[str]) -> tuple[Mapping[str, Verb], list[str]]:
        """Tell what can be done at a path, and what is named in it."""
        names = path[1:2]
        verbs = self._paths.get("/".join([*path[:1], *["*" for _ in names], *path[2:]]))
        if verbs is None:
            raise Problem(404, "there is nothing here")
        return verbs, names
