"""Which voice detector is the default: each, through the house's endpointing, on real sound.

`python -m bench.vad` prints the table of `VAD.md` in less than a minute. It needs the extras `vad`
and `piper`, and for recorded voices and real music Debian's packages

    apt install asterisk-core-sounds-en-wav asterisk-core-sounds-fr-wav \
        asterisk-core-sounds-ru-wav asterisk-moh-opsound-wav

What is missing is left out, and said. Every sound goes through Opus as a device sends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from twisted.internet.task import Clock

from tests import fakes, sounds
from tests.sounds import RATE, Sound
from xiaozhi.audio import Decoder, read_wav, resample
from xiaozhi.choices import ENGINES
from xiaozhi.device import voice
from xiaozhi.endpointing import Endpointer, Hush, Limits, Speech
from xiaozhi.errors import Unavailable
from xiaozhi.services import engine
from xiaozhi.services.pool import Workers
from xiaozhi.services.vad import Detector

DEBIAN = Path("/usr/share/asterisk")
RECORDED = ("en_US_f_Allison", "fr_CA_f_June", "ru_RU_f_IvrvoiceRU")
SAID = (
    "What time is it now?",
    "Turn on the light in the kitchen, please.",
    "Tell me a story about a dragon.",
    "How will the weather be tomorrow?",
    "Set a timer for ten minutes.",
    "Stop.",
    "Yes, please.",
    "Who are you?",
)
SAID_IN_CHINESE = ("现在几点了？", "请把厨房的灯打开。", "明天天气怎么样？", "停。")

LEAD, TAIL = 2.0, 3.5
"""Seconds of noise alone before and after each utterance."""
LEVEL = -26.0
"""Loudness of a voice across a table, in dB of full scale."""
ALONE = 60.0
"""Seconds of each noise alone; of real music, of each piece."""
PREROLL = 2.0
ON_TIME = 1.5
"""Seconds after its true end by which an utterance should be over; one is the silence window."""


def voices() -> Iterator[Sound]:
    """Yield utterances without silence around them: made voices, then recorded ones."""
    speakers: list[tuple[Callable[[str], tuple[int, bytes]], Sequence[str]]] = [
        (voice._piper, SAID),
        (lambda text: voice._espeak(text, "en-us"), SAID),
        (lambda text: voice._espeak(text, "cmn+Annie"), SAID_IN_CHINESE),
    ]
    for speak, texts in speakers:
        for text in texts:
            rate, pcm = speak(text)
            yield _trimmed(sounds.sound(resample(pcm, rate, RATE)))
    for folder in RECORDED:
        found = (_recording(path) for path in sorted((DEBIAN / "sounds" / folder).glob("*.wav")))
        fitting = (sound for sound in found if 0.5 < len(sound) / RATE < 5 and _flows(sound))
        kept = [sound for _, sound in zip(range(45), fitting, strict=False)]
        if not kept:
            print(f"without recordings of {folder}")
        yield from kept[::3]


def _recording(path: Path) -> Sound:
    rate, pcm = read_wav(path)
    return _trimmed(sounds.sound(resample(pcm, rate, RATE)))


def _loud(sound: Sound) -> Any:
    """Tell which pieces of 20 ms are louder than 1/2000 of the loudest (33 dB)."""
    powers = (sound[: len(sound) // 320 * 320].reshape(-1, 320) ** 2).mean(axis=1)
    return np.flatnonzero(powers > powers.max(initial=0) / 2000)


def _trimmed(sound: Sound) -> Sound:
    loud = _loud(sound)
    return sound[loud[0] * 320 : (loud[-1] + 1) * 320] if len(loud) else sound[:0]


def _flows(sound: Sound) -> bool:
    """Say whether it is speech (no beep is so uneven) without a pause of its own."""
    gaps = np.diff(_loud(sound))
    return 2 < int(gaps.max(initial=0)) < 40


def noises(spoken: Sequence[Sound]) -> dict[str, Callable[[float], Sound]]:
    """Give the makers of each noise: six people talking at once, and music if it is there."""
    made: dict[str, Callable[[float], Sound]] = {**sounds.NOISES, "babble": partial(babble, spoken)}
    pieces = sorted((DEBIAN / "moh").glob("*.wav"))
    if pieces:
        made["real music"] = partial(_medley, [_recording(path) for path in pieces])
    else:
        print("without real music")
    return made


def babble(spoken: Sequence[Sound], seconds: float) -> Sound:
    """Lay six voices over each other that say everything in an order of their own."""
    random = np.random.default_rng(4)
    sound = np.zeros(int(seconds * RATE))
    for _ in range(6):
        start = 0
        while start < len(sound):
            one = sounds.at(spoken[int(random.integers(len(spoken)))], LEVEL)[: len(sound) - start]
            sound[start : start + len(one)] += one
            start += len(one) + RATE // 10
    return sound


def _medley(pieces: Sequence[Sound], seconds: float) -> Sound:
    """Join a part of each piece, as long as `ALONE`, from its middle."""
    parts = [piece[len(piece) // 3 :][: int(ALONE * RATE)] for piece in pieces]
    return np.resize(np.concatenate(parts), int(max(seconds, ALONE * len(parts)) * RATE))


def sent(sound: Sound) -> bytes:
    """Send it through Opus."""
    decoder = Decoder(RATE)
    return b"".join(map(decoder.decode, fakes.packets(sounds.pcm(sound))))


@attrs.frozen
class Scene:
    """What a device sends, and when somebody speaks in it; nobody does if `end` is 0."""

    pcm: bytes
    end: float = 0.0


def scenes(spoken: Sequence[Sound]) -> Iterator[tuple[str, list[Scene]]]:
    """Yield each condition with its scenes."""
    made = noises(spoken)
    yield "clean", [_scene(one, LEVEL) for one in spoken]
    yield "clean, 22 dB softer", [_scene(one, LEVEL - 22) for one in spoken]
    for name, make in made.items():
        noise = sounds.at(make(ALONE), LEVEL)
        for below in (20, 10, 5) if name in ("white", "pink") else (10,):
            softer = noise * 10 ** (-below / 20)
            in_noise = [
                _scene(one, LEVEL, np.roll(softer, -number * RATE))
                for number, one in enumerate(spoken)
            ]
            yield f"{name} at {below} dB", in_noise
    yield "silence alone", [Scene(sent(np.zeros(int(ALONE * RATE))))]
    for name, make in made.items():
        sound = make(ALONE)
        yield f"{name} alone", [Scene(sent(sounds.at(sound, level))) for level in (-46, -30)]


def _scene(one: Sound, level: float, noise: Sound | None = None) -> Scene:
    silence = np.zeros(int(LEAD * RATE)), np.zeros(int(TAIL * RATE))
    sound = np.concatenate((silence[0], sounds.at(one, level), silence[1]))
    if noise is not None:
        sound += np.resize(noise, len(sound))
    return Scene(sent(sound), LEAD + len(one) / RATE)


@attrs.define
class Score:
    """How one detector does under one condition."""

    late: list[float] = attrs.field(factory=list)
    """Seconds by which speech was noticed after its beginning, where it was."""
    utterances: int = 0
    on_time: int = 0
    early: int = 0
    never: int = 0
    starts: int = 0
    """Times that speech began while nobody spoke."""
    nobody: float = 0.0
    """Seconds in which nobody spoke, or had yet..."""
    taken: float = 0.0
    """...and how many of them were taken for part of an utterance."""
    seconds: float = 0.0
    cpu: float = 0.0

    def hear(self, detector: Detector, scene: Scene) -> None:
        """Let the detector and the endpointing hear a scene."""
        length = len(scene.pcm) / 2 / RATE
        before = time.process_time()
        found = list(_found(detector, scene.pcm))
        self.cpu += time.process_time() - before
        self.seconds += length
        nobody = LEAD if scene.end else length
        self.nobody += nobody
        self.starts += sum(began < nobody for began, _ in found)
        self.taken += sum(max(0.0, min(ended, nobody) - began) for began, ended in found)
        if scene.end:
            self._speech(found, scene.end, length)

    def _speech(self, found: list[tuple[float, float]], end: float, length: float) -> None:
        self.utterances += 1
        # One that began with the noise and goes on into the speech has lost none of it.
        noticed = [utterance for utterance in found if utterance[1] > LEAD]
        if not noticed or noticed[0][0] > end + 0.5:
            return
        ends = [ended for _, ended in noticed]
        self.late.append(max(0.0, noticed[0][0] - LEAD))
        self.early += any(ended < end for ended in ends)
        self.on_time += any(0 <= ended - end <= ON_TIME for ended in ends)
        self.never += min(ended for ended in [*ends, length] if ended >= end) >= length

    def cells(self) -> list[str]:
        """Write the figures of `HEAD`."""
        heard = len(self.late)
        lost = sum(late > PREROLL for late in self.late)
        return [
            _percent(heard, self.utterances),
            f"{np.percentile(self.late, 95):.2f}" if heard else "",
            _percent(lost, heard),
            _percent(self.on_time, heard),
            _percent(self.early, heard),
            _percent(self.never, heard),
            f"{self.starts / self.nobody * 60:.1f}",
            _percent(self.taken, self.nobody),
            f"{self.cpu / self.seconds * 1000:.1f}",
        ]


HEAD = (
    "found %",
    "late s",
    "front lost %",
    "end in time %",
    "early %",
    "never %",
    "false starts/min",
    "noise taken %",
    "CPU ms/s",
)


def _percent(part: float, of: float) -> str:
    return f"{100 * part / of:.0f}" if of else ""


def _found(detector: Detector, pcm: bytes) -> Iterator[tuple[float, float]]:
    """Yield when each utterance is found to begin and to end; the sound ends the last."""
    listener, endpointer = detector.open(), Endpointer(Limits())
    size, length = detector.samples * 2, detector.samples / RATE
    now, began = 0.0, None
    for start in range(0, len(pcm) - size + 1, size):
        now += length
        edge = endpointer.push(listener.probability(pcm[start : start + size]), length, now)
        if isinstance(edge, Speech):
            began = now
        elif isinstance(edge, Hush):
            assert began is not None
            yield began, now
            began = None
            endpointer.arm(now)
    if began is not None:
        yield began, len(pcm) / 2 / RATE


def detectors() -> dict[str, Detector]:
    """Make those that can be had, with their defaults."""
    made = {}
    workshop = engine.Workshop(Clock(), Workers(Clock(), "vad"), Path(), "en")
    for name in ENGINES["vad"]:
        settings = engine.load("vad", name).Settings()
        try:
            made[name] = engine.make("vad", name, settings, workshop)
        except Unavailable as error:
            print(f"without {name}: {error}")
    return made


def main() -> None:
    """Print the table: in each cell a figure for each detector."""
    spoken = list(voices())
    made = detectors()
    print(f"{len(spoken)} utterances, {sum(map(len, spoken)) / RATE:.0f} s; {' / '.join(made)}\n")
    print(f"| sound | {' | '.join(HEAD)} |\n|{'---|' * (1 + len(HEAD))}")
    for condition, heard in scenes(spoken):
        columns = []
        for detector in made.values():
            score = Score()
            for scene in heard:
                score.hear(detector, scene)
            columns.append(score.cells())
        cells = [" / ".join(filter(None, figures)) for figures in zip(*columns, strict=True)]
        print(f"| {' | '.join([condition, *cells])} |", flush=True)


if __name__ == "__main__":
    main()
