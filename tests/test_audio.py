"""Opus, resampling and WAV files."""

from __future__ import annotations

import shutil
import struct
import tempfile
import threading
import wave
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.audio import (
    FRAME_MS,
    Decoder,
    Encoder,
    Resampler,
    packet_duration_ms,
    read_wav,
    resample,
    write_wav,
)
from xiaozhi.errors import BadMessage


def tone(rate: int, seconds: float, hertz: float = 440.0) -> bytes:
    """Make a sine wave."""
    at = np.arange(round(rate * seconds)) / rate
    return (np.sin(2 * np.pi * hertz * at) * 12000).astype("<i2").tobytes()


def pitch(rate: int, pcm: bytes) -> float:
    """Find the loudest frequency, in Hz."""
    samples = np.frombuffer(pcm, "<i2")
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


def encoded(rate: int, frame_ms: int, pcm: bytes) -> list[bytes]:
    """Encode all of `pcm`."""
    encoder = Encoder(rate, frame_ms)
    step = encoder.frame_bytes
    return [encoder.encode(pcm[at : at + step]) for at in range(0, len(pcm), step)]


class OpusTest(SynchronousTestCase):
    """What goes in comes out, and rubbish does no harm."""

    def test_a_tone_survives_at_another_rate(self) -> None:
        """A 24 kHz stream decoded at 16 kHz keeps its length and its pitch."""
        decoder = Decoder(16000)
        pcm = b"".join(decoder.decode(p) for p in encoded(24000, 60, tone(24000, 1.2)))
        self.assertEqual(len(pcm), 1200 * 16 * 2)
        self.assertLess(abs(pitch(16000, pcm) - 440), 3)

    def test_every_duration(self) -> None:
        """A packet of each duration tells and holds that duration."""
        for frame_ms in FRAME_MS:
            with self.subTest(frame_ms=frame_ms):
                (packet,) = encoded(16000, frame_ms, tone(16000, frame_ms / 1000))
                self.assertEqual(packet_duration_ms(packet), frame_ms)
                self.assertEqual(len(Decoder(16000).decode(packet)), frame_ms * 16 * 2)

    def test_a_short_frame_is_padded(self) -> None:
        """Less than a frame is followed by silence, not by what lies behind it in memory."""
        decoder = Decoder(16000)
        packets = encoded(16000, 60, tone(16000, 0.065))
        pcm = b"".join(decoder.decode(p) for p in packets)
        self.assertEqual(len(pcm), 120 * 16 * 2)
        quiet = np.frombuffer(pcm[-30 * 16 * 2 :], "<i2")
        self.assertLess(int(np.abs(quiet).max()), 300)

    def test_a_long_frame_is_refused(self) -> None:
        """More than a frame would lose sound, so it is refused."""
        with self.assertRaises(ValueError):
            Encoder(16000, 20).encode(bytes(642))

    def test_impossible_settings_are_refused(self) -> None:
        """Rates and durations Opus has not are refused by name."""
        self.assertRaisesRegex(ValueError, "44100", Decoder, 44100)
        self.assertRaisesRegex(ValueError, "44100", Encoder, 44100, 60)
        self.assertRaisesRegex(ValueError, "30 ms", Encoder, 16000, 30)

    def test_an_empty_packet_holds_nothing(self) -> None:
        """An empty packet decodes to nothing."""
        self.assertEqual(Decoder().decode(b""), b"")

    def test_silence_sent_with_dtx(self) -> None:
        """In a silence packets shrink to a byte or two and still hold their duration."""
        encoder, decoder = Encoder(16000, 60, None, 0, False, dtx=True), Decoder(16000)
        packets = [encoder.encode(b"") for _ in range(20)]
        self.assertLessEqual(min(map(len, packets)), 2)
        self.assertEqual({len(decoder.decode(p)) for p in packets}, {1920})

    def test_after_a_corrupt_packet(self) -> None:
        """A corrupt packet is refused, and the next good one is decoded as if it were the first."""
        packets = encoded(16000, 60, tone(16000, 0.3))
        decoder = Decoder(16000)
        decoder.decode(packets[0])
        with self.assertRaises(BadMessage):
            decoder.decode(b"\xff\xff\xff\xff")
        self.assertEqual(decoder.decode(packets[1]), Decoder(16000).decode(packets[1]))

    def test_encoding_begins_anew_after_reset(self) -> None:
        """After `reset` an encoder makes the packets a new one would make."""
        pcm = tone(16000, 0.06)
        encoder = Encoder(16000, 60)
        first = encoder.encode(pcm)
        encoder.encode(tone(16000, 0.06, 880))
        encoder.reset()
        self.assertEqual(encoder.encode(pcm), first)

    def test_in_a_thread(self) -> None:
        """A codec made in one thread works in another."""
        decoder, packets = Decoder(), encoded(16000, 60, tone(16000, 0.12))
        decoded: list[bytes] = []
        thread = threading.Thread(target=lambda: decoded.extend(map(decoder.decode, packets)))
        thread.start()
        thread.join(5)
        self.assertEqual([len(p) for p in decoded], [1920, 1920])

    @settings(deadline=None, max_examples=300)
    @given(st.binary(max_size=300))
    def test_any_bytes(self, rubbish: bytes) -> None:
        """Any bytes decode to at most 120 ms of sound or are refused, and so is their duration."""
        try:
            duration = packet_duration_ms(rubbish)
        except BadMessage:
            duration = None
        try:
            pcm = Decoder(16000).decode(rubbish)
        except BadMessage:
            return
        self.assertLessEqual(len(pcm), 120 * 16 * 2)
        if pcm:
            self.assertEqual(len(pcm) / 32, duration)


class ResamplerTest(SynchronousTestCase):
    """A stream in pieces is the same stream at another rate."""

    def test_pieces_make_the_whole(self) -> None:
        """Fed in uneven pieces, a sound keeps its exact length and its pitch."""
        pcm, resampler = tone(22050, 1.0), Resampler(22050, 24000)
        pieces = [resampler.feed(pcm[at : at + 1234]) for at in range(0, len(pcm), 1234)]
        whole = b"".join([*pieces, resampler.feed(b"", last=True)])
        self.assertEqual(len(whole), 48000)
        self.assertLess(abs(pitch(24000, whole) - 440), 2)

    def test_a_second_stream(self) -> None:
        """After the last piece of one stream another begins, untouched by the first."""
        resampler = Resampler(24000, 16000)
        first = resampler.feed(tone(24000, 0.5), last=True)
        second = resampler.feed(tone(24000, 0.5), last=True)
        self.assertEqual(len(second), len(first))
        apart = np.frombuffer(second, "<i2") - np.frombuffer(first, "<i2")
        self.assertLessEqual(int(np.abs(apart).max()), 2, "more than dither apart")

    def test_equal_rates(self) -> None:
        """Equal rates pass sound through untouched."""
        self.assertEqual(Resampler(16000, 16000).feed(b"abcd"), b"abcd")

    def test_half_a_sample(self) -> None:
        """Half a sample is refused: it would turn all that follows into noise."""
        self.assertRaises(ValueError, Resampler(16000, 24000).feed, b"abc")
        self.assertRaises(ValueError, Resampler(16000, 16000).feed, b"abc")

    def test_all_at_once(self) -> None:
        """A whole sound is changed in one call."""
        self.assertEqual(len(resample(tone(48000, 0.1), 48000, 16000)), 3200)


class WavTest(SynchronousTestCase):
    """WAV files of every width come in as 16-bit mono."""

    def setUp(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = Path(folder, "sound.wav")

    def write(self, width: int, channels: int, frames: bytes) -> None:
        with self.path.open("wb") as target, wave.open(target) as file:
            file.setnchannels(channels)
            file.setsampwidth(width)
            file.setframerate(8000)
            file.writeframes(frames)

    def test_round_trip(self) -> None:
        """What is written is read back."""
        write_wav(self.path, 24000, tone(24000, 0.1))
        self.assertEqual(read_wav(self.path), (24000, tone(24000, 0.1)))

    def test_every_width(self) -> None:
        """Samples of 8, 16, 24 and 32 bits keep their height and sign."""
        high, low = 0x4000, -0x2000
        files = {
            1: bytes([128 + 0x40, 128 - 0x20]),
            2: struct.pack("<hh", high, low),
            3: struct.pack("<ii", high << 8, low << 8)[0:3] + struct.pack("<i", low << 8)[0:3],
            4: struct.pack("<ii", high << 16, low << 16),
        }
        for width, frames in files.items():
            with self.subTest(width=width):
                self.write(width, 1, frames)
                self.assertEqual(read_wav(self.path), (8000, struct.pack("<hh", high, low)))

    def test_stereo_is_mixed_down(self) -> None:
        """Two channels become their mean, without overflow."""
        self.write(2, 2, struct.pack("<hhhh", 1000, 3000, 32767, 32767))
        self.assertEqual(read_wav(self.path), (8000, struct.pack("<hh", 2000, 32767)))

    def test_an_extensible_header(self) -> None:
        """A header of the extensible kind, as other tools write for 24 bits, is read too."""
        frames = struct.pack("<h", 77)
        kind = struct.pack("<HHIIHHHHIH", 0xFFFE, 1, 8000, 16000, 2, 16, 22, 16, 4, 1)
        kind += bytes.fromhex("000000001000800000aa00389b71")
        body = b"WAVEfmt " + struct.pack("<I", len(kind)) + kind
        body += b"data" + struct.pack("<I", 2) + frames
        self.path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
        self.assertEqual(read_wav(self.path), (8000, frames))

    def test_what_is_no_wav_file(self) -> None:
        """Anything else is refused by the file's name."""
        for rubbish in (b"", b"RIFF", b"ID3" + bytes(100), b"RIFF\x04\0\0\0WAVE", b"fmt " * 9):
            with self.subTest(rubbish=rubbish[:8]):
                self.path.write_bytes(rubbish)
                self.assertRaisesRegex(ValueError, self.path.name, read_wav, self.path)

    def test_a_missing_file(self) -> None:
        """A file that is not there is an OSError."""
        self.assertRaises(OSError, read_wav, self.path)
