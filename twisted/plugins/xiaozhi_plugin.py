"""Tells twistd that there is `twistd xiaozhi`. Must not import the reactor."""

from twisted.application.service import ServiceMaker

xiaozhi = ServiceMaker("xiaozhi", "xiaozhi.tap", "A voice-assistant server", "xiaozhi")
