"""Devices: listed, named, blocked, activated, forgotten; and their tools, called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from xiaozhi.errors import ServiceError
from xiaozhi.identity import normal
from xiaozhi.services.store import DeviceRecord
from xiaozhi.services.web.answering import Problem
from xiaozhi.services.web.api.calls import Body, Call, Paths, there
from xiaozhi.services.web.api.means import Hands, Means
from xiaozhi.services.web.asking import query


class Changes(Body, frozen=True):
    """What is to change about a device."""

    name: Annotated[str, Meta(max_length=200)] | UnsetType = UNSET
    blocked: bool | UnsetType = UNSET


class Binding(Body, frozen=True):
    """Which device is to be activated: by its code, or by its id."""

    code: Annotated[str, Meta(pattern=r"^\s*[0-9](\s*[0-9]){5}\s*$")] | UnsetType = UNSET
    device: Annotated[str, Meta(min_length=1, max_length=128)] | UnsetType = UNSET


class ToolCall(Body, frozen=True):
    """Which tool of a device is to be called, by the device's own name for it."""

    tool: Annotated[str, Meta(min_length=1, max_length=128)]
    arguments: dict[str, Any] = {}


class DeviceVerbs:
    """What can be done about devices."""

    def __init__(self, means: Means) -> None:
        """Do it with these `means`."""
        self._means, self._store = means, means.store

    @property
    def paths(self) -> Paths:
        """What can be done where."""
        return {
            "devices": {"GET": self.devices},
            "devices/*": {"GET": self.device, "PATCH": self.change, "DELETE": self.forget},
            "devices/*/tools": {"GET": self.tools, "POST": self.use},
            "activate": {"POST": self.activate},
        }

    async def devices(self, call: Call) -> list[DeviceRecord]:
        """List devices, a page of them."""
        after = normal(query(call.request).get("after", [""])[0])
        return await self._store.devices(after, call.number("limit", 100, 1000))

    async def device(self, call: Call, name: str) -> Mapping[str, Any]:
        """Show one, and how many of its sessions are kept."""
        device = there(await self._store.device(normal(name)))
        kept = await self._store.count_memories(device.id)
        return msgspec.structs.asdict(device) | {"memories": kept}

    async def change(self, call: Call, name: str) -> DeviceRecord:
        """Name or block one; a blocked one is disconnected."""
        changes, device = call.body(Changes), normal(name)
        if changes.name is not UNSET:
            there(await self._store.rename(device, changes.name))
        if changes.blocked is not UNSET:
            there(await self._store.block(device, changes.blocked, self._means.now()))
            self._means.did(call, "blocked" if changes.blocked else "unblocked", device)
            if changes.blocked:
                self._means.kick(device)
        return there(await self._store.device(device))

    async def forget(self, call: Call, name: str) -> None:
        """Forget one, and all that is its."""
        device = normal(name)
        there(await self._store.forget(device))
        self._means.did(call, "forgot", device)
        self._means.kick(device)
        await self._means.dismiss()

    async def activate(self, call: Call) -> DeviceRecord:
        """Activate the device that shows a code."""
        binding = call.body(Binding)
        if (binding.code is UNSET) == (binding.device is UNSET):
            raise Problem(400, "code: the six digits a device shows; or device: its id")
        if binding.code is not UNSET:
            given, unknown = re.sub(r"\s", "", binding.code), "no device shows this code"
        else:
            given, unknown = normal(str(binding.device)), "there is no such device"
        device = await self._store.activate(given, self._means.now())
        if device is None:
            raise Problem(404, unknown)
        self._means.did(call, "activated", device.id)
        return device

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
        self._means.did(call, f"called {wanted.tool} of", device)
        try:
            done = await hands.call(wanted.tool, wanted.arguments)
        except ServiceError as error:
            raise Problem(502, error.why) from None
        if done.failed:
            raise Problem(502, done.text)
        pictures = [{"mime": picture.mime, "data": picture.data} for picture in done.pictures]
        return {"text": done.text, "pictures": pictures}

    def _hands(self, device: str) -> Hands:
        hands = self._means.hands(device)
        if hands is None:
            raise Problem(409, "the device is not connected")
        return hands
