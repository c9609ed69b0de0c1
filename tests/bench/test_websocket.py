"""The bench's frames, against Autobahn's and cut at every byte."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from bench import websocket
from bench.websocket import BINARY, PING, TEXT, Reader, frame


def served(opcode: int, payload: bytes) -> bytes:
    """Build a server's frame: not masked."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    width, mark = (2, 126) if size < 65536 else (8, 127)
    return bytes((0x80 | opcode, mark)) + size.to_bytes(width, "big") + payload


class Frames(SynchronousTestCase):
    sent = [
        (TEXT, b"{}"),
        (BINARY, b"x" * 125),
        (BINARY, b"y" * 126),
        (PING, b""),
        (BINARY, b"z" * 70000),
    ]

    def test_whole(self) -> None:
        """Many frames that come at once are told apart."""
        data = b"".join(served(*each) for each in self.sent)
        self.assertEqual(list(Reader().feed(data)), self.sent)

    def test_cut_anywhere(self) -> None:
        """Frames are the same wherever what comes is cut in two."""
        data = b"".join(served(*each) for each in self.sent[:4])
        for cut in range(len(data)):
            reader = Reader()
            found = [*reader.feed(data[:cut]), *reader.feed(data[cut:])]
            self.assertEqual(found, self.sent[:4], cut)

    def test_client_frames(self) -> None:
        """What is built is final, masked with zeros, and says its length, however short or long."""
        for size in (0, 125, 126, 4000):
            built = frame(BINARY, b"a" * size)
            head = 2 if size < 126 else 4
            self.assertEqual(built[0], 0x82)
            self.assertTrue(built[1] & 0x80)
            if head == 4:
                self.assertEqual(int.from_bytes(built[2:4], "big"), size)
            else:
                self.assertEqual(built[1] & 0x7F, size)
            self.assertEqual(built[head:], bytes(4) + b"a" * size)
        self.assertEqual(websocket.frame(TEXT)[0], 0x81)
