"""The pocketsphinx process: its messages, and its parent's end with programs that are none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.asr import _sphinx_worker
from xiaozhi.services.asr._sphinx_process import Decoder


class Processes(SynchronousTestCase):
    """The parent's end, with programs that are not decoders."""

    def decoder(self, program: str) -> Decoder:
        decoder = Decoder()
        decoder.command = (sys.executable, "-c", program)
        self.addCleanup(decoder.close)
        return decoder

    def why(self, call: Callable[[], object]) -> str:
        with self.assertRaises(ServiceError) as caught:
            call()
        return str(caught.exception.why)

    def test_dies(self) -> None:
        """A process that ends is an error, and is waited for."""
        decoder = self.decoder("")
        self.assertEqual(self.why(decoder.begin), "the pocketsphinx process died")
        self.assertIsNone(decoder.pid)

    def test_fails(self) -> None:
        """What the process says it fails of is told."""
        say = "import sys; sys.stdout.buffer.write(b'x\\0\\0\\0\\x04poor')"
        self.assertEqual(self.why(self.decoder(say).begin), "pocketsphinx: poor")

    def test_no_program(self) -> None:
        """A program that cannot be started is an error."""
        decoder = Decoder()
        decoder.command = ("/nonexistent/python", "", "")
        self.assertIn("No such file", self.why(decoder.begin))

    def test_not_begun(self) -> None:
        """Nothing is asked of a process that is not there."""
        self.assertIn("not begun", self.why(Decoder().finish))
        Decoder().kill()

    def test_library_missing(self) -> None:
        """A child that lacks the library says so."""
        done = subprocess.run(
            [sys.executable, "-S", "-P", _sphinx_worker.__file__],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        )
        kind, why = _sphinx_worker.read(BytesIO(done.stdout))
        self.assertEqual((kind, b"No module named" in why), (_sphinx_worker.FAILED, True))


class Pipe(SynchronousTestCase):
    """The messages between parent and child."""

    @given(st.lists(st.tuples(st.sampled_from("AFRrtx"), st.binary())))
    def test_round_trip(self, messages: list[tuple[str, bytes]]) -> None:
        """What is written is read, and then comes the end."""
        pipe = BytesIO()
        for kind, body in messages:
            _sphinx_worker.write(pipe, kind.encode(), body)
        pipe.seek(0)
        for kind, body in messages:
            self.assertEqual(_sphinx_worker.read(pipe), (kind.encode(), body))
        self.assertRaises(EOFError, _sphinx_worker.read, pipe)

    def test_broken(self) -> None:
        """A message that breaks off, or is none, is the end."""
        for rest in (b"A", b"A\0\0\0\2a", b"Hello, world"):
            self.assertRaises(EOFError, _sphinx_worker.read, BytesIO(rest))

    def test_failing_decoder(self) -> None:
        """What the decoder raises is answered, and the next request served."""

        class Broken:
            def set_cmn(self, mean: str) -> None:
                raise RuntimeError("no")

        requests, answers = BytesIO(), BytesIO()
        _sphinx_worker.write(requests, _sphinx_worker.FINISH)
        _sphinx_worker.write(requests, _sphinx_worker.RESET)
        requests.seek(0)
        _sphinx_worker.serve(_sphinx_worker.Ear(Broken()), requests, answers)
        self.assertEqual(answers.getvalue(), b"x\0\0\0\2nor\0\0\0\0")
