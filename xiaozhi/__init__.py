"""xiaozhi: a voice-assistant server for small speaking devices."""

__version__ = "0.1.0"
