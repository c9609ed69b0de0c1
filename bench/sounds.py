"""What is said in a bench: a question of three seconds, an answer of six and a half, as sound.

Both are spoken once, by the voice of the simulated device, and kept in the bench's folder.
"""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from bench.playback import FRAME
from xiaozhi.audio import read_wav, resample, write_wav
from xiaozhi.device.voice import speak
from xiaozhi.sentences import Splitter
from xiaozhi.speakable import Cleaner

FOLDER: Final = Path(tempfile.gettempdir()) / f"xiaozhi-bench-{os.getuid()}"
"""Where a bench keeps what need not be made again: sounds, weights, logs."""

QUESTION: Final = "What will the weather be like tomorrow in the old town by the sea?"
HEARD: Final = 3.0
"""Seconds of the question."""
MICROPHONE: Final = 16000

SENTENCES: Final = (
    "Tomorrow the sky will be clear and blue all morning long.",
    "A light wind comes up from the sea in the afternoon.",
    "Take a warm jacket along if you stay until the evening.",
)
FRAMES: Final = 36
"""Frames of sound in each sentence of the answer."""
RATE: Final = 24000
"""Samples per second of the answer, as speech servers give it and devices get it."""
SPOKEN: Final = len(SENTENCES) * FRAMES
"""Frames of sound in the answer: 6.48 seconds."""


def tokens() -> list[str]:
    """Give the answer in pieces, as a language model makes it."""
    return [f"{' ' if number else ''}{word}" for number, word in enumerate(_words())]


def tokens_to_speak() -> int:
    """Count the tokens after which the server has a first sentence to speak."""
    cleaner, splitter = Cleaner(), Splitter()
    for number, token in enumerate(tokens(), 1):
        if splitter.feed(cleaner.feed(token)):
            return number
    raise AssertionError("the answer has no sentence")


def question() -> bytes:
    """Give the question as a microphone hears it: `HEARD` seconds, 16 kHz."""
    return _sound("question", QUESTION, MICROPHONE, HEARD)


@cache
def answer() -> dict[str, bytes]:
    """Give the sound of each sentence of the answer: `FRAMES` frames at `RATE`."""
    return {
        sentence: _sound(f"answer-{number}", sentence, RATE, FRAMES * FRAME)
        for number, sentence in enumerate(SENTENCES)
    }


def _words() -> list[str]:
    return " ".join(SENTENCES).split(" ")


def _sound(name: str, text: str, rate: int, seconds: float) -> bytes:
    """Speak `text` so that it fills `seconds` from beginning to end."""
    path = FOLDER / f"{name}.wav"
    if not path.exists():
        FOLDER.mkdir(exist_ok=True)
        pcm = _fitted(resample(*_swap(speak(text)), rate), round(seconds * rate))
        made = path.with_suffix(f".{os.getpid()}")
        write_wav(made, rate, pcm)
        made.replace(path)
    return read_wav(path)[1]


def _swap(sound: tuple[int, bytes]) -> tuple[bytes, int]:
    return sound[1], sound[0]


def _fitted(pcm: bytes, length: int) -> bytes:
    """Take the silence off, and cut to `length` samples, or go on from the beginning."""
    samples = np.frombuffer(pcm, "<i2")
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > 400)
    samples = samples[loud[0] : loud[-1] + 1]
    return np.resize(samples, length).astype("<i2").tobytes()
