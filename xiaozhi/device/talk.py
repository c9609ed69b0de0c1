"""One talk of the command `xiaozhi device`, from its options to its exit code."""

from __future__ import annotations

import argparse
import contextlib
import uuid
from collections.abc import Callable
from typing import Any, Final

from twisted.internet.threads import deferToThread

from xiaozhi.audio import Resampler, read_wav, write_wav
from xiaozhi.device import voice
from xiaozhi.device.client import Device
from xiaozhi.device.errors import BadFile, DeviceError, NoAnswer, NoSound
from xiaozhi.device.hardware import Capture, Speaker
from xiaozhi.device.microphone import RATE
from xiaozhi.device.ota import Profile
from xiaozhi.device.show import Show
from xiaozhi.device.turns import Event, Turn

_OUT: Final = 24000
_FOREVER: Final = 7 * 86400.0


async def run(
    options: argparse.Namespace, reactor: Any, show: Show, complain: Callable[[str], object]
) -> int:
    """Do what the `options` of `cli.parser` say; return 0 after a whole turn, else an error's code.

    What went wrong is one line for `complain`.
    """
    try:
        with contextlib.ExitStack() as stack:
            listen: Callable[[Event], None] = show.event
            if options.speaker:
                speaker = Speaker(_OUT)
                stack.callback(speaker.close)
                listen = _both(show.event, _player(speaker))
            device = Device(
                reactor,
                _profile(options),
                on_event=listen,
                captured=options.verb == "mic",
                audible=options.speaker,
                picture=_picture(options.photo),
            )
            stack.callback(device.close)
            if options.verb == "mic":
                await _converse(device, reactor, show, options)
            else:
                await _once(device, show, options)
    except DeviceError as error:
        complain(show.failure(error))
        return error.code
    return 0


async def _once(device: Device, show: Show, options: argparse.Namespace) -> None:
    """Have one turn, which must be whole."""
    timeout = options.timeout
    if options.verb == "type":
        if not options.what.strip():
            raise NoSound("there is nothing to say in an empty text")
        show.note("said", options.what)
        turn = await device.type(options.what, timeout)
    else:
        rate, pcm = await deferToThread(_sound, options)
        show.note("said", options.what)
        turn = await device.say_pcm(pcm, rate, timeout)
    show.turn(turn)
    await _keep(turn, show, options)
    if not turn.whole or (options.verb != "type" and not turn.heard):
        raise NoAnswer(show.incomplete(turn))


async def _converse(device: Device, reactor: Any, show: Show, options: argparse.Namespace) -> None:
    """Have one turn after another with who sits before the microphone, until it is cancelled."""
    capture = Capture(RATE, lambda pcm: reactor.callFromThread(device.capture, pcm))
    try:
        await device.listen(options.timeout)
        show.ready()
        while True:
            turn = await device.hear(_FOREVER)
            show.turn(turn)
            await _keep(turn, show, options)
    finally:
        capture.close()


def _sound(options: argparse.Namespace) -> tuple[int, bytes]:
    """Make or read what is to be said, as (rate in Hz, PCM)."""
    if options.verb == "say":
        return voice.speak(options.what, options.language)
    try:
        rate, pcm = read_wav(options.what)
    except (OSError, ValueError) as error:
        raise BadFile(str(error)) from error
    if not pcm:
        raise BadFile(f"{options.what} holds no sound")
    return rate, pcm


async def _keep(turn: Turn, show: Show, options: argparse.Namespace) -> None:
    if not options.save:
        return
    try:
        await deferToThread(write_wav, options.save, turn.rate, bytes(turn.pcm))
    except OSError as error:
        raise BadFile(str(error)) from error
    show.note("saved", options.save)


def _picture(path: str) -> Callable[[], bytes] | None:
    """Read what the camera sees; None for a device without one."""
    if not path:
        return None
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise BadFile(str(error)) from error
    return lambda: data


def _player(speaker: Speaker) -> Callable[[Event], None]:
    """Make a listener that plays each frame of an answer when it is to sound."""
    resamplers: dict[int, Resampler] = {}

    def play(event: Event) -> None:
        if event.name == "frame":
            rate = event.details["rate"]
            resampler = resamplers.setdefault(rate, Resampler(rate, _OUT))
            speaker.play(resampler.feed(event.details["pcm"]))

    return play


def _both(
    first: Callable[[Event], None], second: Callable[[Event], None]
) -> Callable[[Event], None]:
    def listen(event: Event) -> None:
        first(event)
        second(event)

    return listen


def _with_scheme(address: str) -> str:
    """Take "host:8000/..." for what is meant by it."""
    return address if "://" in address else f"http://{address}"


def _profile(options: argparse.Namespace) -> Profile:
    made = uuid.uuid5(uuid.NAMESPACE_URL, f"xiaozhi-device:{options.device_id}")
    return Profile(
        ota_url="" if options.ws else _with_scheme(options.ota),
        ws_url=options.ws,
        token=options.token,
        device_id=options.device_id.lower(),
        client_id=options.client_id or str(made),
        mode=options.mode,
        version=options.version,
        frame_ms=options.frame,
        language=options.language,
    )
