"""What the pocketsphinx process makes of what its decoder hears."""

from __future__ import annotations

from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from tests import sounds
from xiaozhi.services.asr import _sphinx_worker


class Part(NamedTuple):
    """A word, or what stands between words, as the decoder gives it."""

    word: str
    start_frame: int
    end_frame: int


class Dreamer:
    """A decoder that hears the same `parts` in everything."""

    def __init__(self, *parts: tuple[str, int, int]) -> None:
        self._parts = [Part(*part) for part in parts]
        self.hypstr = " ".join(part.word for part in self._parts if part.word[0] != "<")

    def seg(self) -> list[Part]:
        return self._parts

    def hyp(self) -> Dreamer:
        return self

    def ignore(self, *_: object) -> None:
        pass

    set_cmn = start_utt = process_raw = end_utt = ignore


class Nobody(SynchronousTestCase):
    """What nobody can have said is not heard, whatever the decoder dreams."""

    words = (("<s>", 0, 99), ("stop", 100, 139), ("it(2)", 140, 165), ("</s>", 166, 300))

    def hear(self, sound: bytes, *parts: tuple[str, int, int]) -> str:
        ear = _sphinx_worker.Ear(Dreamer(*(parts or self.words)))
        heard = []
        for _ in range(2):  # an utterance knows nothing of the one before
            for start in range(0, len(sound), 7680):
                ear.hear(sound[start : start + 7680])
            heard.append(ear.finish())
        self.assertEqual(heard[0], heard[1])
        return heard[0]

    def test_even(self) -> None:
        """An even sound is no speech, however loud and long."""
        for make in (sounds.white, sounds.pink, sounds.hum):
            for seconds, decibels in ((0.3, -20), (3, -40), (6, -20)):
                self.assertEqual(self.hear(sounds.pcm(sounds.at(make(seconds), decibels))), "")
        self.assertEqual(self.hear(bytes(64000)), "")

    def test_voice(self) -> None:
        """A voice is heard, also where a noise is nearly as loud."""
        voice = sounds.pcm(sounds.at(sounds.music(1), -20))  # as uneven as one
        for before in (bytes(32000), sounds.pcm(sounds.at(sounds.white(1), -34))):
            self.assertEqual(self.hear(before + voice + before), "stop it(2)")

    def test_drawn_out(self) -> None:
        """Words that last for ever are none."""
        band = bytes(32000) + sounds.pcm(sounds.at(sounds.music(1), -20))
        self.assertEqual(self.hear(band), "stop it(2)")
        self.assertEqual(self.hear(band, ("the", 0, 100), ("<sil>", 101, 120)), "")
        self.assertEqual(self.hear(band, ("the", 0, 40), ("<sil>", 41, 220)), "the")
