"""A judge of speech: faster-whisper, apart from the server, hears what was said."""

from __future__ import annotations

import unicodedata
from difflib import SequenceMatcher
from functools import cache
from typing import Any

import numpy as np
from opencc import OpenCC

from tests.system.server import STATE
from xiaozhi.audio import resample


@cache
def _model() -> Any:
    from faster_whisper import WhisperModel

    # The server has put the weights together here, and checked them.
    return WhisperModel(str(STATE / "models" / "whisper-base"), "cpu", compute_type="int8")


def hear(pcm: bytes, rate: int, language: str) -> str:
    """Recognise 16-bit mono `pcm`."""
    sound = np.frombuffer(resample(pcm, rate, 16000), np.int16).astype(np.float32) / 32768
    segments, _ = _model().transcribe(sound, language=language, beam_size=5, temperature=0)
    text = " ".join(segment.text for segment in segments)
    return OpenCC("t2s").convert(text) if language == "zh" else text


def likeness(expected: str, heard: str) -> float:
    """Tell how much of what was expected was heard in order (0..1), by letters and digits."""
    wanted, found = (
        "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).lower()))
        for text in (expected, heard)
    )
    blocks = SequenceMatcher(None, wanted, found, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(wanted)
