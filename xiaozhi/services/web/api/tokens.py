"""Tokens: of operators, devices and MCP servers; and those servers."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType

from xiaozhi.identity import normal
from xiaozhi.services.store import DeviceRecord, IssuedToken, TokenRecord, subject_of
from xiaozhi.services.web.answering import Problem
from xiaozhi.services.web.api.calls import Body, Call, Line, Paths, there
from xiaozhi.services.web.api.means import Means
from xiaozhi.services.web.asking import query

_FINGERPRINT = re.compile(r"[0-9a-f]{10}")

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


class TokenVerbs:
    """What can be done about tokens."""

    def __init__(self, means: Means) -> None:
        """Do it with these `means`."""
        self._means, self._store = means, means.store

    @property
    def paths(self) -> Paths:
        """What can be done where."""
        return {
            "tokens": {"GET": self.tokens, "POST": self.new_token},
            "tokens/*": {"DELETE": self.revoke},
            "devices/*/token": {"POST": self.new_device_token, "DELETE": self.revoke_of_device},
            "mcp": {"GET": self.mcp},
        }

    async def tokens(self, call: Call) -> list[TokenRecord]:
        """List the tokens; not those that devices were handed, of which nothing is kept."""
        return await self._store.tokens()

    async def new_token(self, call: Call) -> dict[str, str]:
        """Make one for an operator, or for MCP servers."""
        wanted = call.body(NewToken)
        if wanted.mcp is not UNSET:
            return await self._new_mcp_token(call, wanted.mcp, wanted.label)
        issued = await self._store.issue_token(
            "operator", wanted.subject, wanted.label, self._means.now()
        )
        self._means.did(call, "made the operator's token", issued.id)
        return _told(issued)

    async def _new_mcp_token(
        self, call: Call, devices: Collection[str], label: str
    ) -> dict[str, str]:
        whom = subject_of({normal(device) for device in devices} or None)
        issued = await self._store.issue_token("mcp", whom, label, self._means.now())
        self._means.did(call, "made the MCP servers' token", issued.id)
        return _told(issued) | {"endpoint": f"/mcp/?token={issued.secret}"}

    async def mcp(self, call: Call) -> list[dict[str, Any]]:
        """List the MCP servers, and how they are."""
        return self._means.servers.states()

    async def revoke(self, call: Call, name: str) -> None:
        """Revoke one."""
        valid = (token for token in await self._store.tokens() if token.revoked_at is None)
        token = there(next((token for token in valid if token.id == name), None))
        await self._store.revoke_token(token.id, self._means.now())
        self._means.did(call, f"revoked the token {token.id} of", token.subject)
        if token.kind == "device":
            self._means.kick(token.subject)
        if token.kind == "mcp":
            await self._means.dismiss()

    async def new_device_token(self, call: Call, name: str) -> dict[str, str]:
        """Make one for a device: the one OTA would hand it or, with a label, one that is kept."""
        label = call.body(NewDeviceToken).label
        device = there(await self._store.device(normal(name)))
        token = self._means.enrolment.token(device)
        if not token:
            raise Problem(409, _why_none(device))
        self._means.did(call, "made a token for", device.id)
        if not label:
            return {"id": "", "secret": token}
        return _told(await self._store.issue_token("device", device.id, label, self._means.now()))

    async def revoke_of_device(self, call: Call, name: str) -> None:
        """Revoke all of a device's, or with `fingerprint` in the query the one it has in the log.

        It is disconnected, and gets a new one when it restarts.
        """
        device = there(await self._store.device(normal(name))).id
        fingerprint = query(call.request).get("fingerprint", [""])[0].lower()
        if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
            raise Problem(400, "fingerprint: must be the ten digits of a token in the log")
        if fingerprint:
            await self._store.revoke_handed(device, fingerprint, self._means.now())
        else:
            await self._store.revoke_tokens_of(device, self._means.now())
        self._means.did(
            call, f"revoked the {f'token {fingerprint}' if fingerprint else 'tokens'} of", device
        )
        self._means.kick(device)
        await self._means.dismiss()


def _told(issued: IssuedToken) -> dict[str, str]:
    return {"id": issued.id, "secret": issued.secret}


def _why_none(device: DeviceRecord) -> str:
    if device.blocked:
        return "the device is blocked"
    if device.activated_at is None:
        return "the device is not activated"
    return "devices have no tokens of their own: see auth.mode"
