"""What operators can see and do over HTTP, below /api/.

Each answer is `{"success": true, "data": ...}` or `{"success": false, "error": "..."}`. Times are
seconds since 1970, UTC.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Annotated, Any, Protocol, TypeVar

import attrs
import msgspec
from msgspec import UNSET, Meta, UnsetType
from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Request

from xiaozhi import jsontext
from xiaozhi.errors import ServiceError
from xiaozhi.identity import normal
from xiaozhi.services.activation import Enrolment
from xiaozhi.services.memory import Memory, Nothing
from xiaozhi.services.store import (
    DeviceRecord,
    IssuedToken,
    Recollection,
    Store,
    TokenRecord,
    subject_of,
)
from xiaozhi.services.web.answering import Answer, Problem, answer
from xiaozhi.services.web.asking import query
from xiaozhi.services.web.operators import Operators
from xiaozhi.tooling import Outcome, Tool

_WHERE = re.compile(r" - at `\$\.?([^`]*)`$")
_FINGERPRINT = re.compile(r"[0-9a-f]{10}")

T = TypeVar("T", bound="Body")
R = TypeVar("R")
Line = Annotated[str, Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$")]
Verb = Callable[..., Awaitable[Any]]


class Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The base of what requests have in their bodies."""


class Changes(Body, frozen=True):
    """What is to change about a device."""

    name: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET


class Binding(Body, frozen=True):
    """Which device is to be activated: by its code, or by its id."""

    code: Annotated[str, Meta(pattern=r"^\s*[0-9](\s*[0-9]){5}\s*$")] | UnsetType = UNSET
    device: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET


DeviceId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^,*]+$")]


class NewToken(Body, frozen=True):
    """Whose token is to be made, and what it is for.

    With `mcp` it is for MCP servers that come to us, to serve these devices; none are all.
    """

    mcp: Annotated[tuple[DeviceId, ...], Meta(max_length=50)] | UnsetType = UNSET

    subject: Line = "operator"
    label: Line = ""


class NewDeviceToken(Body, frozen=True):
    """What a device's token is for: with a label it is one that is kept in the list."""

    label: Line = ""


class ToolCall(Body, frozen=True):
    """Which tool of a device is to be called, by the device's own name for it."""

    tool: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: dict[str, Any] = {}


class Hands(Protocol):
    """The tools of a connected device."""

    def tools(self, device: str) -> Sequence[Tool]:
        """Tell which there are, those for operators among them."""

    async def call(self, name: str, arguments: Mapping[str, Any]) -> Outcome:
        """Call one; raises ServiceError."""


@attrs.frozen
class Call:
    """A request of an operator's."""

    operator: TokenRecord
    request: Request

    def body(self, kind: type[T]) -> T:
        """Read the body; raises Problem. None at all is one with nothing in it."""
        content = self.request.content
        data = (content.read() if content else b"").strip() or b"{}"
        if jsontext.deeper(data):
            raise Problem(400, f"the body is nested deeper than {jsontext.DEEPEST} levels")
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
            raise Problem(400, _reason(str(error))) from None

    def number(self, name: str, usual: int, most: int) -> int:
        """Read a number of the query, from 1 to `most`; raises Problem."""
        text = query(self.request).get(name, [str(usual)])[0]
        if not re.fullmatch(r"\d{1,6}", text, re.ASCII) or not 1 <= int(text) <= most:
            raise Problem(400, f"{name}: must be a number from 1 to {most}")
        return int(text)


class McpServers(Protocol):
    """The MCP servers there are."""

    def states(self) -> list[dict[str, Any]]:
        """Tell of each how it is."""

    def keep(self, tokens: Collection[str]) -> object:
        """Send those away that have come with other tokens than these."""


class NoServers:
    """None."""

    def states(self) -> list[dict[str, Any]]:
        """Tell of none."""
        return []

    def keep(self, tokens: Collection[str]) -> None:
        """Have nobody to send away."""


@attrs.frozen
class Verbs:
    """What can be done."""

    store: Store
    enrolment: Enrolment
    now: Callable[[], float]
    """UTC, in epoch seconds."""
    kick: Callable[[str], object] = lambda device_id: None
    """Ends the connection of a device, if it has one."""
    servers: McpServers = attrs.field(factory=NoServers)
    hands: Callable[[str], Hands | None] = lambda device_id: None
    """Finds the tools of a device; None if it is not connected."""
    remembered: Memory = attrs.field(factory=Nothing)
    """What is known of the devices' users."""
    interrupt: Callable[[str, float | None], object] = lambda device_id, seconds: None
    """Has the talk of a device that is under way forget its last seconds, or (None) all."""

    log = Logger()

    # -- devices --

    async def devices(self, call: Call) -> list[DeviceRecord]:
        """List devices, a page of them."""
        after = normal(query(call.request).get("after", [""])[0])
        return await self.store.devices(after, call.number("limit", 100, 1000))

    async def device(self, call: Call, name: str) -> Mapping[str, Any]:
        """Show one, and how many of its sessions are kept."""
        device = _there(await self.store.device(normal(name)))
        kept = await self.store.count_memories(device.id)
        return msgspec.structs.asdict(device) | {"memories": kept}

    async def change(self, call: Call, name: str) -> DeviceRecord:
        """Name or block one; a blocked one is disconnected."""
        changes, device = call.body(Changes), normal(name)
        if changes.name is not UNSET:
            _there(await self.store.rename(device, changes.name))
        if changes.blocked is not UNSET:
            _there(await self.store.block(device, changes.blocked, self.now()))
            self._did(call, "blocked" if changes.blocked else "unblocked", device)
            if changes.blocked:
                self.kick(device)
        return _there(await self.store.device(device))

    async def forget(self, call: Call, name: str) -> None:
        """Forget one, and all that is its."""
        device = normal(name)
        _there(await self.store.forget(device))
        self._did(call, "forgot", device)
        self.kick(device)
        await self._dismiss()

    async def memories(self, call: Call, name: str) -> Any:
        """Show its last sessions."""
        device = _there(await self.store.device(normal(name)))
        return await self.store.memories(device.id, call.number("limit", 2, 100))

    async def tools(self, call: Call, name: str) -> list[dict[str, Any]]:
        """List the tools of a connected device, those for operators, too."""
        device = normal(name)
        return [
            {
                "name": tool.name,
                "description": tool.description,
                "schema": tool.schema,
                "user_only": tool.user_only,
            }
            for tool in self._hands(device).tools(device)
        ]

    async def use(self, call: Call, name: str) -> dict[str, Any]:
        """Call a tool of a connected device, any that the device has."""
        wanted, device = call.body(ToolCall), normal(name)
        hands = self._hands(device)
        self._did(call, f"called {wanted.tool} of", device)
        try:
            done = await hands.call(wanted.tool, wanted.arguments)
        except ServiceError as error:
            raise Problem(502, error.why) from None
        if done.failed:
            raise Problem(502, done.text)
        pictures = [{"mime": picture.mime, "data": picture.data} for picture in done.pictures]
        return {"text": done.text, "pictures": pictures}

    def _hands(self, device: str) -> Hands:
        hands = self.hands(device)
        if hands is None:
            raise Problem(409, "the device is not connected")
        return hands

    async def memory(self, call: Call, name: str) -> Recollection:
        """Show what is known of its user."""
        device = _there(await self.store.device(normal(name)))
        return await self.remembered.recall(device.id)

    async def erase(self, call: Call, name: str) -> dict[str, int]:
        """Erase what was said in the last `minutes` of the query, or `about` something, or all."""
        device = _there(await self.store.device(normal(name))).id
        asked = query(call.request)
        about = asked.get("about", [""])[0].strip()
        seconds = 60.0 * call.number("minutes", 1, 999_999) if "minutes" in asked else None
        if "about" in asked and not about:
            raise Problem(400, "about: must not be empty")
        # What is said now would be learnt afterwards.
        self.interrupt(device, seconds)
        since = None if seconds is None else self.now() - seconds
        erased = await self.remembered.forget(device, since, about)
        self._did(call, "erased what is remembered of", device)
        return {"erased": erased}

    async def activate(self, call: Call) -> DeviceRecord:
        """Activate the device that shows a code."""
        binding = call.body(Binding)
        if (binding.code is UNSET) == (binding.device is UNSET):
            raise Problem(400, "code: the six digits a device shows; or device: its id")
        if binding.code is not UNSET:
            given, unknown = re.sub(r"\s", "", binding.code), "no device shows this code"
        else:
            given, unknown = normal(str(binding.device)), "there is no such device"
        device = await self.store.activate(given, self.now())
        if device is None:
            raise Problem(404, unknown)
        self._did(call, "activated", device.id)
        return device

    # -- tokens --

    async def tokens(self, call: Call) -> list[TokenRecord]:
        """List the tokens; not those that devices were handed, of which nothing is kept."""
        return await self.store.tokens()

    async def new_token(self, call: Call) -> dict[str, str]:
        """Make one for an operator, or for MCP servers."""
        wanted = call.body(NewToken)
        if wanted.mcp is not UNSET:
            return await self._new_mcp_token(call, wanted.mcp, wanted.label)
        issued = await self.store.issue_token("operator", wanted.subject, wanted.label, self.now())
        self._did(call, "made the operator's token", issued.id)
        return _told(issued)

    async def _new_mcp_token(
        self, call: Call, devices: Collection[str], label: str
    ) -> dict[str, str]:
        whom = subject_of({normal(device) for device in devices} or None)
        issued = await self.store.issue_token("mcp", whom, label, self.now())
        self._did(call, "made the MCP servers' token", issued.id)
        return _told(issued) | {"endpoint": f"/mcp/?token={issued.secret}"}

    async def mcp(self, call: Call) -> list[dict[str, Any]]:
        """List the MCP servers, and how they are."""
        return self.servers.states()

    async def _dismiss(self) -> None:
        """Send away the MCP servers whose tokens are void now."""
        tokens = await self.store.tokens()
        self.servers.keep({token.id for token in tokens if token.revoked_at is None})

    async def revoke(self, call: Call, name: str) -> None:
        """Revoke one."""
        valid = (token for token in await self.store.tokens() if token.revoked_at is None)
        token = _there(next((token for token in valid if token.id == name), None))
        await self.store.revoke_token(token.id, self.now())
        self._did(call, f"revoked the token {token.id} of", token.subject)
        if token.kind == "device":
            self.kick(token.subject)
        if token.kind == "mcp":
            await self._dismiss()

    async def new_device_token(self, call: Call, name: str) -> dict[str, str]:
        """Make one for a device: the one OTA would hand it or, with a label, one that is kept."""
        label = call.body(NewDeviceToken).label
        device = _there(await self.store.device(normal(name)))
        token = self.enrolment.token(device)
        if not token:
            raise Problem(409, _why_none(device))
        self._did(call, "made a token for", device.id)
        if not label:
            return {"id": "", "secret": token}
        return _told(await self.store.issue_token("device", device.id, label, self.now()))

    async def revoke_of_device(self, call: Call, name: str) -> None:
        """Revoke all of a device's, or with `fingerprint` in the query the one it has in the log.

        It is disconnected, and gets a new one when it restarts.
        """
        device = _there(await self.store.device(normal(name))).id
        fingerprint = query(call.request).get("fingerprint", [""])[0].lower()
        if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
            raise Problem(400, "fingerprint: must be the ten digits of a token in the log")
        if fingerprint:
            await self.store.revoke_handed(device, fingerprint, self.now())
        else:
            await self.store.revoke_tokens_of(device, self.now())
        self._did(
            call, f"revoked the {f'token {fingerprint}' if fingerprint else 'tokens'} of", device
        )
        self.kick(device)
        await self._dismiss()

    def _did(self, call: Call, what: str, whom: str) -> None:
        """Say in the log who did what."""
        self.log.info(
            "{who} (token {token_id}) {what} {whom}",
            who=call.operator.subject,
            token_id=call.operator.id,  # what is called a token is masked
            what=what,
            whom=whom,
        )


class Api(Resource):
    """Answers operators, and nobody else."""

    isLeaf = True

    def __init__(self, operators: Operators, verbs: Verbs) -> None:
        """Do the `verbs` for `operators`."""
        super().__init__()
        self._operators = operators
        self._paths = _paths(verbs)

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


def _paths(verbs: Verbs) -> Mapping[str, Mapping[str, Verb]]:
    """Tell what can be done where; `*` stands for a name."""
    return {
        "devices": {"GET": verbs.devices},
        "devices/*": {"GET": verbs.device, "PATCH": verbs.change, "DELETE": verbs.forget},
        "devices/*/memories": {"GET": verbs.memories},
        "devices/*/memory": {"GET": verbs.memory, "DELETE": verbs.erase},
        "devices/*/token": {"POST": verbs.new_device_token, "DELETE": verbs.revoke_of_device},
        "devices/*/tools": {"GET": verbs.tools, "POST": verbs.use},
        "activate": {"POST": verbs.activate},
        "tokens": {"GET": verbs.tokens, "POST": verbs.new_token},
        "tokens/*": {"DELETE": verbs.revoke},
        "mcp": {"GET": verbs.mcp},
    }


def _there(found: R | None) -> R:
    """Give what was found; raises Problem if that is nothing."""
    if not found:
        raise Problem(404, "there is no such thing")
    return found


def _told(issued: IssuedToken) -> dict[str, str]:
    return {"id": issued.id, "secret": issued.secret}


def _why_none(device: DeviceRecord) -> str:
    if device.blocked:
        return "the device is blocked"
    if device.activated_at is None:
        return "the device is not activated"
    return "devices have no tokens of their own: see auth.mode"


def _reason(error: str) -> str:
    """Put the name of the field in front."""
    where = _WHERE.search(error)
    return f"{where[1]}: {error[: where.start()]}" if where and where[1] else error
