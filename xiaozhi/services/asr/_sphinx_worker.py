"""The child process that holds one pocketsphinx decoder, and the pipe protocol it speaks.

It is a process because the decoder keeps the GIL while it works, and a program run by its
path (not `-m`), so that it loads nothing of the house but this file.

A message is a letter, a length (32 bits, big-endian) and that many bytes. The child says
READY once its model is loaded and then answers every request with exactly one message:

    AUDIO pcm   -> READY           the next piece of the utterance, 16 kHz 16-bit mono
    FINISH      -> TEXT utf-8      the utterance is complete
    RESET       -> READY           the utterance is given up

and with FAILED and the reason where the decoder fails. The next AUDIO after FINISH, RESET or
FAILED begins an utterance. The child ends when its standard input does, however its parent
ended, and leaves Ctrl-C to the parent.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from array import array
from collections.abc import Sequence
from typing import IO, Any, Final

AUDIO: Final = b"A"
FINISH: Final = b"F"
RESET: Final = b"R"
READY: Final = b"r"
TEXT: Final = b"t"
FAILED: Final = b"x"

LARGEST: Final = 1 << 22
"""No message is longer (the longest, a minute of audio, is half of it): in bytes."""

SECOND: Final = 32000
_PAD: Final = bytes(SECOND * 3 // 10)
_PIECE: Final = SECOND // 50
_LEAD: Final = 15  # pieces

STEADY: Final = 1.2
"""So much louder (as a logarithm: 10 dB) something must be than the rest, or nobody spoke."""
SLOWEST: Final = 18.0
"""Hundredths of a second for a letter; who speaks clearly needs 5 to 14."""


def write(pipe: IO[bytes], kind: bytes, body: bytes = b"") -> None:
    """Send one message; raises OSError when the other side is gone."""
    pipe.write(kind + len(body).to_bytes(4, "big") + body)
    pipe.flush()


def read(pipe: IO[bytes]) -> tuple[bytes, bytes]:
    """Wait for one message: its letter and its body. Raises EOFError when there are no more."""
    head = pipe.read(5)
    if len(head) < 5:
        raise EOFError("the pipe was closed")
    length = int.from_bytes(head[1:], "big")
    if length > LARGEST:
        raise EOFError("the pipe carries something else")
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError("the pipe was closed within a message")
    return head[:1], body


def levels(pcm: bytes) -> list[float]:
    """Measure each 20 ms of `pcm`: the natural logarithm of its RMS, of every fourth sample."""
    samples = array("h", pcm[: len(pcm) // 2 * 2])
    step = _PIECE // 2
    return [
        math.log(math.sqrt(sum(x * x for x in samples[i : i + step : 4]) / (step // 4)) + 1)
        for i in range(0, len(samples) - step + 1, step)
    ]


def steady(heard: list[float]) -> bool:
    """Say whether the sound with these `levels` is an even one, which speech never is."""
    heard = sorted(heard)
    loud = heard[-max(1, min(15, len(heard) // 10)) :]
    return not heard or loud[0] - heard[len(heard) // 10] < STEADY


def drawn_out(words: Sequence[tuple[str, int]]) -> bool:
    """Say whether nobody speaks so slowly. `words` come with their length in frames of 10 ms."""
    letters = sum(len(word.partition("(")[0]) for word, _ in words)
    return sum(frames for _, frames in words) > SLOWEST * letters


class Ear:
    """One decoder, fed utterance by utterance.

    The acoustic model expects the mean cepstrum of the speech to be known in advance. What the
    decoder would use is what *it* heard before, possibly somebody else, and at first a constant
    that fits quiet speech only. So the beginning is held back until some speech is in it, and
    its loudness gives the mean's energy term: then errors do not depend on the volume.

    The decoder hears words in anything, and is sure of them. Two things give them away: the
    sound is an even one, or the words are few and long. Of 82 pieces of noise and music, which
    all became text, 10 of the music still do. No clear English sentence is lost; a third of those
    in noise at 10 dB is, of which hardly one was understood.
    """

    def __init__(self, decoder: Any) -> None:
        """Take a pocketsphinx `Decoder`."""
        self._decoder = decoder
        self._head = bytearray()
        self._begun = False
        self._levels: list[float] = []

    def hear(self, pcm: bytes) -> None:
        """Take the next piece."""
        self._levels += levels(pcm)
        if self._begun:
            self._decoder.process_raw(pcm)
            return
        self._head += pcm
        heard = sorted(levels(bytes(self._head)))
        enough = len(heard) > 50 and heard[-15] - heard[len(heard) // 10] > 1.5
        if enough or len(heard) > 200:
            self._begin()

    def finish(self) -> str:
        """End the utterance and tell its text; "" where nobody can have spoken."""
        heard = self._forget()
        if not self._begun:
            self._begin()
        # Silence at either end lets the decoder find the first and the last word.
        self._decoder.process_raw(_PAD)
        self._decoder.end_utt()
        self._begun = False
        best = self._decoder.hyp()
        words = [
            (part.word, part.end_frame - part.start_frame + 1)
            for part in (self._decoder.seg() if best else ())
            if part.word[0] not in "<[+"  # silences and the like
        ]
        if steady(heard) or drawn_out(words):
            return ""
        return best.hypstr.strip() if best else ""

    def reset(self) -> None:
        """Give the utterance up."""
        self._forget()
        self._head.clear()
        if self._begun:
            self._begun = False
            self._decoder.end_utt()

    def _forget(self) -> list[float]:
        heard, self._levels = self._levels, []
        return heard

    def _begin(self) -> None:
        heard = levels(bytes(self._head)) or [0.0]
        loud = sorted(heard)[-min(len(heard), 8)]
        # 8.7 is what a factor e in volume adds to the term, and -17 fits measured speech best.
        self._decoder.set_cmn(f"{min(max(8.7 * loud - 17, 10), 80):.3f},3,-1")
        self._decoder.start_utt()
        self._begun = True
        voice = next((n for n, level in enumerate(heard) if level > loud - 3), 0)
        if voice < _LEAD:
            self._decoder.process_raw(_PAD)
        # More background noise before the voice is heard as words; so is its sudden begin after
        # digital silence, which is why it is not padded as well.
        self._decoder.process_raw(bytes(self._head[max(voice - _LEAD, 0) * _PIECE :]))
        self._head.clear()


def serve(ear: Ear, requests: IO[bytes], answers: IO[bytes]) -> None:
    """Answer requests until there are no more."""
    while True:
        try:
            kind, body = read(requests)
        except EOFError:
            return
        try:
            if kind == AUDIO:
                ear.hear(body)
            elif kind == RESET:
                ear.reset()
            if kind == FINISH:
                write(answers, TEXT, ear.finish().encode())
            else:
                write(answers, READY)
        except RuntimeError as error:  # what pocketsphinx raises for anything that fails
            write(answers, FAILED, str(error).encode())


def main() -> None:
    """Load the model the package brings, then serve standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whatever a library prints must not get between the messages.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    try:
        from pocketsphinx import Decoder

        # Scoring every other frame and 3000 states at most halves the work for the same errors.
        decoder = Decoder(samprate=16000, loglevel="FATAL", ds=2, maxhmmpf=3000)
    except (ImportError, RuntimeError) as error:
        write(answers, FAILED, str(error).encode())
        return
    write(answers, READY)
    try:
        serve(Ear(decoder), sys.stdin.buffer, answers)
    except BrokenPipeError:
        os._exit(0)  # nobody is left to answer to, and closing the pipe would only raise again


if __name__ == "__main__":
    main()
