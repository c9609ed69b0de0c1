"""What can end a talk of a simulated device before its turn is over."""

from __future__ import annotations

from typing import ClassVar


class DeviceError(Exception):
    """The talk failed; `str()` says how, and `code` is the exit code of the command for it."""

    code: ClassVar[int] = 1


class Unreachable(DeviceError):
    """Nobody answers at the server's address."""

    code = 3


class Refused(DeviceError):
    """The server answered, but not with what a device needs."""

    code = 4


class NoAnswer(DeviceError):
    """The server did not say in time what the device waits for."""

    code = 5


class BadFile(DeviceError):
    """A file of sound cannot be read or written."""

    code = 6


class HungUp(DeviceError):
    """The connection ended in the middle of it."""

    code = 7


class NoSound(DeviceError):
    """There is no voice, no microphone or no speaker to do it with."""

    code = 8


class Crashed(DeviceError):
    """The server sent what makes the firmware crash or reboot."""

    code = 9
