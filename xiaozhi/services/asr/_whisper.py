"""How Whisper is run: from PCM to text, one level below faster-whisper's own `transcribe`.

Three things make it quick. The language is chosen from the same encoder output that is then
decoded, where `transcribe` encodes twice. Only the sound there is gets encoded, padded to ten
seconds, where Whisper was trained on thirty. And the decoding is greedy and bounded.

Measured on 45 sentences of Piper and espeak voices with Whisper base, int8, one thread of a busy
machine (encoding, word errors for Piper English / espeak English with noise at 10 dB):

    padded to   5 s   6 s   8 s   10 s   12 s   30 s
    encoding   64    101   235    320    360   1550   ms
    errors     11 %    1     0      0      0      0
    with noise   -     -    33     26     29     21   %

Below eight seconds it leaves out or repeats words; ten is the best trade: a sentence of three
seconds then takes 0.4 s, four of them at once on two cores 1.4 s. Twelve and thirty seconds hear
no more of a robot's Chinese than ten do (about half of its characters). A prompt in simplified
Chinese gives simplified output but shows up in what it did not understand, so the script is
converted afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final

import attrs

from xiaozhi.services.asr import RATE, Transcript
from xiaozhi.services.weights import WeightsError

SHORTEST: Final = 10.0
"""Seconds every encoding is padded to."""
LONGEST: Final = 28.0
"""Seconds of speech in one encoding; what is longer is cut at a quiet place."""
_TAIL: Final = 1.5
_HINT: Final = 5.0
"""How many times likelier another language must be than the user's usual one."""
_QUIET: Final = 0.001
"""Peak, of 1.0, below which there is nothing to hear."""

_LOOP = re.compile(r"([^\W\d](?:.{0,28}?\w)?)(\W*)\1(?:\2\1){2,}", re.DOTALL)
_SUBTITLES = re.compile(
    r"thank(s| you)\b.*\b(watching|listening)|subscribe|sponsored by|subtitles? by|amara\.org"
    r"|字幕|作[词詞曲]|[编編]曲|[订訂][阅閱]|[点點][赞贊讚]|[谢謝感].{0,3}[观觀收][看听聽]",
    re.IGNORECASE,
)


@attrs.frozen
class _Decoded:
    """What the decoder made of one window."""

    text: str
    confidence: float
    """Average log probability of a token."""
    silence: float
    """Probability that nobody speaks."""


class Whisper:
    """A Whisper model in memory, for several threads at once."""

    def __init__(self, folder: Path, compute_type: str, threads: int, workers: int) -> None:
        """Load from `folder` (blocking, about a second); raise WeightsError."""
        from faster_whisper import WhisperModel
        from opencc import OpenCC

        if not (folder / "model.bin").is_file():
            raise WeightsError(f"{folder} has no model.bin", f"{folder} 里没有 model.bin")
        try:
            self._model = WhisperModel(
                str(folder),
                device="cpu",
                compute_type=compute_type,
                cpu_threads=threads,
                num_workers=workers,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise WeightsError(
                f"{folder} cannot be loaded: {error}", f"无法加载 {folder}：{error}"
            ) from error
        self._simplify = OpenCC("t2s").convert

    def transcribe(
        self,
        pcm: bytes,
        languages: Collection[str],
        hint: str,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Transcript:
        """Say what is said in `pcm` (blocking), in one of `languages` or the `hint`.

        With no `languages`, any. Silence, noise and the captions Whisper dreams up over them
        come out as empty text.
        """
        import numpy as np

        sound = np.frombuffer(pcm[: len(pcm) & ~1], np.int16).astype(np.float32) / 32768
        texts, language = [], ""
        for window in _windows(sound):
            if cancelled():
                break
            if not len(window) or float(np.abs(window).max()) < _QUIET:
                continue
            encoded = self._encode(window)
            language = language or self._language(encoded, languages, hint)
            decoded = self._decode(encoded, language, len(window) / RATE)
            text = decoded.text if heard(decoded) else ""
            texts.append(self._simplify(text) if language == "zh" else text)
        text = ("" if language in {"zh", "ja"} else " ").join(filter(None, texts))
        return Transcript(text, language if text else "")

    def _encode(self, window: Any) -> Any:
        import numpy as np

        seconds = max(SHORTEST, len(window) / RATE + _TAIL)
        padded = np.pad(window, (0, max(0, int(seconds * RATE) - len(window))))
        return self._model.encode(self._model.feature_extractor(padded, padding=0))

    def _language(self, encoded: Any, languages: Collection[str], hint: str) -> str:
        if not self._model.model.is_multilingual:
            return "en"
        told = self._model.model.detect_language(encoded)[0]
        return choose({token[2:-2]: chance for token, chance in told}, languages, hint)

    def _decode(self, encoded: Any, language: str, seconds: float) -> _Decoded:
        tokens = self._model.hf_tokenizer
        words = ["<|startoftranscript|>"]
        if self._model.model.is_multilingual:
            words += [f"<|{language}|>", "<|transcribe|>"]
        prompt = [tokens.token_to_id(word) for word in [*words, "<|notimestamps|>"]]
        # The fastest speakers need about ten tokens a second; a loop would go on for ever.
        limit = min(220, 16 + int(10 * seconds))
        found = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            max_length=len(prompt) + limit,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        ids = found.sequences_ids[0]
        text = unloop(tokens.decode(ids).replace("\ufffd", "").strip())
        confidence = found.scores[0] * len(ids) / (len(ids) + 1)
        return _Decoded(text, confidence, found.no_speech_prob)


def choose(chances: dict[str, float], languages: Collection[str], hint: str) -> str:
    """Choose the language among those allowed and the usual one, which wins if it is close."""
    allowed = {name for name in (*languages, hint) if name in chances} if languages else chances
    return max(
        allowed or chances,
        key=lambda name: chances[name] * (_HINT if name == hint else 1.0),
    )


def heard(decoded: _Decoded) -> bool:
    """Say whether somebody spoke, by what the decoder thinks of its own text.

    Clear speech has a silence of at most 0.15 and noise at least 0.45, but a mumbled word can
    lie between; there the confidence and the dreams known from captions decide.
    """
    if decoded.silence > 0.6:
        return decoded.confidence > -0.5
    if decoded.silence >= 0.4 and decoded.confidence < -1.2:
        return False  # knocks, claps and keys become sentences it does not believe itself
    return decoded.silence < 0.4 or _SUBTITLES.search(decoded.text) is None


def unloop(text: str) -> str:
    """Keep one of what a decoder stuck in a loop says four times or more in a row."""
    return _LOOP.sub(r"\1", text)


def _windows(sound: Any) -> list[Any]:
    """Cut at the quietest tenth of a second before the window is full, if it is too long."""
    import numpy as np

    longest, tenth = int(LONGEST * RATE), RATE // 10
    windows = []
    while len(sound) > longest:
        search = sound[longest * 2 // 3 : longest]
        loudness = np.abs(search[: len(search) // tenth * tenth]).reshape(-1, tenth).sum(axis=1)
        cut = longest * 2 // 3 + int(loudness.argmin()) * tenth + tenth // 2
        windows.append(sound[:cut])
        sound = sound[cut:]
    return [*windows, sound]
