"""The tools of the house, all together: they live with the server, and change with its settings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from xiaozhi.tooling import Tool
from xiaozhi.tools import Kit


class Kits(MultiService):
    """A source of tools. The kits that are services live with it."""

    log = Logger()

    def __init__(self, kits: Sequence[Kit] = ()) -> None:
        """Offer what the `kits` have."""
        super().__init__()
        self._kits: tuple[Kit, ...] = ()
        self._tools: tuple[Tool, ...] = ()
        self.replace(kits)

    def tools(self, device: str) -> Sequence[Tool]:
        """Tell which tools there are: the same for every device."""
        return self._tools

    def replace(self, kits: Sequence[Kit]) -> None:
        """Offer what the `kits` have from now on; those of before that are not among them end."""
        for kit in self._kits:
            if not any(kit is one for one in kits):
                self._end(kit)
        for kit in kits:
            service: Any = kit
            if IService.providedBy(service) and service.parent is not self:
                service.setServiceParent(self)
        self._kits = tuple(kits)
        self._tools = tuple(tool for kit in kits for tool in kit.tools)

    def _end(self, kit: Any) -> None:
        if IService.providedBy(kit) and kit.parent is self:
            ended = maybeDeferred(kit.disownServiceParent)
            ended.addErrback(lambda failure: self.log.failure("ending a tool", failure))
