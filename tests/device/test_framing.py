"""Binary messages of the three versions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.device.errors import Crashed
from xiaozhi.device.framing import pack, unpack


class FramingTest(SynchronousTestCase):
    """The headers, byte by byte, and what the firmware does with wrong ones."""

    def test_headers(self) -> None:
        """Each version has the layout of the firmware's structures, big-endian."""
        self.assertEqual(pack(1, b"ab"), b"ab")
        self.assertEqual(
            pack(2, b"ab", 0x01020304),
            bytes.fromhex("0002 0000 00000000 01020304 00000002") + b"ab",
        )
        self.assertEqual(pack(3, b"ab"), bytes.fromhex("00 00 0002") + b"ab")

    @given(st.sampled_from([1, 2, 3]), st.binary(max_size=2000), st.integers(0, 2**32 - 1))
    def test_round_trip(self, version: int, packet: bytes, timestamp: int) -> None:
        """What is packed is unpacked; only version 2 carries the timestamp."""
        sent = timestamp if version == 2 else 0
        self.assertEqual(unpack(version, pack(version, packet, timestamp)), (packet, sent))

    def test_a_size_beyond_the_message(self) -> None:
        """A header that claims more than there is makes the firmware read out of bounds."""
        for version in (2, 3):
            with self.subTest(version=version):
                self.assertRaises(Crashed, unpack, version, pack(version, b"abc")[:-1])
                self.assertRaises(Crashed, unpack, version, b"\0\0")

    def test_more_than_the_size(self) -> None:
        """What follows the packet is not looked at."""
        self.assertEqual(unpack(3, pack(3, b"ab") + b"more"), (b"ab", 0))

    def test_other_versions(self) -> None:
        """Any other version means no header at all."""
        self.assertEqual(unpack(7, pack(7, b"ab")), (b"ab", 0))
