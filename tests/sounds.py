"""Sounds that are no speech, made with a fixed seed, and the mixing of them with speech.

A sound is an array of float samples at 16 kHz, of which 1.0 is full scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Sound = npt.NDArray[np.float64]
RATE = 16000


def white(seconds: float) -> Sound:
    """Make the hiss of a bad microphone, or of water."""
    return np.random.default_rng(1).normal(0, 1, int(seconds * RATE))


def pink(seconds: float) -> Sound:
    """Make the rush of a fan or of traffic: as loud in each octave."""
    spectrum = np.fft.rfft(white(seconds))
    frequencies = np.fft.rfftfreq(int(seconds * RATE), 1 / RATE)
    shaped = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequencies, 20)), int(seconds * RATE))
    return shaped.astype(np.float64)


def hum(seconds: float) -> Sound:
    """Make the hum of the mains, with its harmonics, and a little hiss."""
    sound = 0.01 * white(seconds)
    t = np.arange(len(sound)) / RATE
    for number in (1, 2, 3, 4, 6, 8):
        sound += np.sin(2 * np.pi * 50 * number * t) / number
    return sound


def clicks(seconds: float) -> Sound:
    """Make the typing of a keyboard, with a knock on the table now and then."""
    random = np.random.default_rng(2)
    sound = 0.002 * white(seconds)
    at = 0.2
    while at < seconds - 0.3:
        knock = random.random() < 0.1
        n = np.arange(int((0.12 if knock else 0.03) * RATE))
        tone = np.sin(2 * np.pi * random.uniform(120, 250) * n / RATE) if knock else 0.0
        burst = (tone + random.normal(0, 0.3, len(n))) * np.exp(
            -n / ((0.02 if knock else 0.004) * RATE)
        )
        start = int(at * RATE)
        sound[start : start + len(n)] += burst * random.uniform(0.4, 1.0)
        at += random.choice((0.09, 0.13, 0.2, 0.2, 0.35, 0.9))
    return sound


def music(seconds: float) -> Sound:
    """Make a band: chords, a bass, a melody and drums, 100 beats a minute."""
    random = np.random.default_rng(3)
    sound = np.zeros(int(seconds * RATE))
    beat = int(0.6 * RATE)
    chords = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
    for number, start in enumerate(range(0, len(sound), beat)):
        n = np.arange(min(beat, len(sound) - start))
        t = n / RATE
        chord = chords[number // 4 % 4]
        notes = [(12 + step, 0.3) for step in chord]
        notes += [(chord[0] - 12, 0.8), (24 + int(random.choice(chord)), 0.5)]
        for step, volume in notes:
            pitch = 261.6 * 2 ** ((step - 12) / 12)
            wave = sum(np.sin(2 * np.pi * pitch * k * t) / k**1.5 for k in range(1, 8))
            sound[start : start + len(n)] += volume * wave * np.exp(-2.5 * t)
        kick = np.sin(2 * np.pi * 60 * t) * np.exp(-20 * t)
        snare = random.normal(0, 0.6, len(n)) * np.exp(-25 * t)
        sound[start : start + len(n)] += kick if number % 2 == 0 else snare
    return sound


NOISES: Mapping[str, Callable[[float], Sound]] = MappingProxyType(
    {"white": white, "pink": pink, "hum": hum, "clicks": clicks, "music": music}
)


def loudness(sound: Sound) -> float:
    """Tell how loud `sound` is where it is not silent: the RMS of its louder parts."""
    pieces = sound[: len(sound) // 320 * 320].reshape(-1, 320)
    powers = (pieces**2).mean(axis=1)
    return float(np.sqrt(powers[powers >= powers.max() / 300].mean()))


def at(sound: Sound, decibels: float) -> Sound:
    """Make `sound` as loud as `decibels` relative to full scale."""
    return sound * (10 ** (decibels / 20) / max(loudness(sound), 1e-9))


def pcm(sound: Sound) -> bytes:
    """Make 16-bit PCM of it; what is too loud is clipped."""
    return np.clip(np.rint(sound * 32767), -32768, 32767).astype("<i2").tobytes()


def sound(samples: bytes) -> Sound:
    """Make a sound of 16-bit PCM."""
    return np.frombuffer(samples, "<i2").astype(np.float64) / 32768
