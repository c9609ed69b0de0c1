"""What is kept of what was said, and known of users: shown and erased."""

from __future__ import annotations

from typing import Any

from xiaozhi.identity import normal
from xiaozhi.services.store import Recollection
from xiaozhi.services.web.answering import Problem
from xiaozhi.services.web.api.calls import Call, Paths, there
from xiaozhi.services.web.api.means import Means
from xiaozhi.services.web.asking import query


class MemoryVerbs:
    """What can be done about memory."""

    def __init__(self, means: Means) -> None:
        """Do it with these `means`."""
        self._means, self._store = means, means.store

    @property
    def paths(self) -> Paths:
        """What can be done where."""
        return {
            "devices/*/memories": {"GET": self.memories},
            "devices/*/memory": {"GET": self.memory, "DELETE": self.erase},
        }

    async def memories(self, call: Call, name: str) -> Any:
        """Show its last sessions."""
        device = there(await self._store.device(normal(name)))
        return await self._store.memories(device.id, call.number("limit", 2, 100))

    async def memory(self, call: Call, name: str) -> Recollection:
        """Show what is known of its user."""
        device = there(await self._store.device(normal(name)))
        return await self._means.remembered.recall(device.id)

    async def erase(self, call: Call, name: str) -> dict[str, int]:
        """Erase what was said in the last `minutes` of the query, or `about` something, or all."""
        device = there(await self._store.device(normal(name))).id
        asked = query(call.request)
        about = asked.get("about", [""])[0].strip()
        seconds = 60.0 * call.number("minutes", 1, 999_999) if "minutes" in asked else None
        if "about" in asked and not about:
            raise Problem(400, "about: must not be empty")
        # What is said now would be learnt afterwards.
        self._means.interrupt(device, seconds, about)
        since = None if seconds is None else self._means.now() - seconds
        erased = await self._means.remembered.forget(device, since, about)
        self._means.did(call, "erased what is remembered of", device)
        return {"erased": erased}
