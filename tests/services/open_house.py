"""A server that asks nobody for papers."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from twisted.internet.defer import succeed
from twisted.internet.task import Clock

from xiaozhi.services.activation import Enrolment
from xiaozhi.services.auth.settings import Auth
from xiaozhi.settings import Activation


def nobody() -> Enrolment:
    """Make the enrolment of a server that lets everybody in, and keeps nothing."""
    store: Any = Mock(seen=lambda *_: succeed(None))
    return Enrolment(store, lambda device, now: "", Auth(), Activation(), 10, Clock(), lambda: 0.0)
