"""The engine `openai`, against the real API on loopback."""

from __future__ import annotations

import struct
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import tone
from tests.google_tts import TONE
from tests.openai_tts import BREAK, STALL, Asked, SpeechServer
from tests.services.streams import collect, within
from tests.services.tts import contract
from tests.services.tts.contract import SENTENCE
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.pool import Workers
from xiaozhi.services.tts._pcm import Unwrapper
from xiaozhi.services.tts.openai import Settings, Speaker

PCM = tone(0.5, 24000)


def wav(
    pcm: bytes, rate: int = 24000, channels: int = 1, size: int | None = None, extra: bytes = b""
) -> bytes:
    """Make a WAV file."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * rate, 2 * channels, 16)
    size = len(pcm) if size is None else size
    return b"RIFF\xff\xff\xff\xffWAVE" + form + extra + struct.pack("<4sI", b"data", size) + pcm


class OpenAITests(contract.SpeakerContract):
    def setUp(self) -> None:
        self.server = SpeechServer(PCM[:5001], PCM[5001:])
        self.addCleanup(self.server.stop)

    def speaker(self, **settings: Any) -> Speaker:
        given = {"base_url": self.server.url, "api_key": "k3y", **settings}
        return self.started(Speaker(Settings(**given), self.workshop()))

    async def heard(self, *script: Any, kind: str = "") -> bytes:
        """Let the server answer with `script`; return the sound."""
        self.server.script, self.server.kind = script, kind
        return b"".join(await collect(self.speaker().speak(SENTENCE, "en")))

    async def refused(self, *script: Any, kind: str = "") -> str:
        """Let the server answer with `script`; return why that is a failure."""
        self.server.script, self.server.kind = script, kind
        return await self.failure(self.speaker())

    async def test_request(self) -> None:
        """The server is asked for PCM, with the key, the model and the voice."""
        await collect(self.speaker(model="tts-9", voice="nova").speak("你好", "zh"))
        await collect(self.speaker(api_key="", instructions="Whisper.").speak("hi", "en"))
        body = {"input": "你好", "model": "tts-9", "voice": "nova", "response_format": "pcm"}
        other = {
            "input": "hi",
            "model": "gpt-4o-mini-tts",
            "voice": "alloy",
            "response_format": "pcm",
            "instructions": "Whisper.",
        }
        self.assertEqual(self.server.asked, [Asked(body, "k3y"), Asked(other, "none")])

    async def test_same_sound(self) -> None:
        """The samples are those the server sent, however they were cut."""
        self.assertEqual(await self.heard(PCM[:1], PCM[1:4], PCM[4:777], PCM[777:]), PCM)

    async def test_streamed(self) -> None:
        """The first samples are there while the server is still at work."""
        self.server.script = (PCM[:999], PCM[999:2999], STALL)
        async with aclosing(self.speaker().speak(SENTENCE, "en")) as pieces:
            self.assertEqual(await anext(pieces), PCM[:2998])

    async def test_closing_closes_upstream(self) -> None:
        """When the sentence is closed the server sees that its client has left."""
        self.server.script = (PCM[:3000], STALL)
        async with aclosing(self.speaker().speak(SENTENCE, "en")) as pieces:
            await anext(pieces)
        await within(self.server.gone)

    async def test_nothing_is_sent_for_nothing(self) -> None:
        """A text without a word is not sent."""
        self.assertEqual(await collect(self.speaker().speak("... 😀", "en")), [])
        self.assertEqual(self.server.asked, [])

    async def test_wav(self) -> None:
        """A WAV file is unwrapped, also one whose length nobody knew, or with notes in it."""
        note = struct.pack("<4sI", b"LIST", 5) + b"noted\0"
        for answer in (
            wav(PCM),
            wav(PCM, size=0xFFFFFFFF),
            wav(PCM, extra=note),
            wav(PCM) + note,
        ):
            self.assertEqual(await self.heard(answer[:30], answer[30:], kind="audio/wav"), PCM)

    async def test_wrong_wav(self) -> None:
        """A WAV file of another format is a ServiceError that says what to set."""
        self.assertIn("set rate to 16000", await self.refused(wav(PCM, 16000), kind="audio/wav"))
        self.assertIn("2 channels", await self.refused(wav(PCM, channels=2), kind="audio/wav"))

    async def test_no_sound(self) -> None:
        """An answer that is no PCM is a ServiceError, and not spoken."""
        for answer, kind, why in (
            (b'{"error": {"message": "no voice"}}', "application/json", "application/json"),
            (b"<html>Welcome</html>", "text/html; charset=utf-8", "text/html"),
            (b"ID3\x04tune", "audio/mpeg", "audio/mpeg"),
            (b"ID3\x04tune", "audio/pcm", "MP3 instead"),
            (TONE, "audio/pcm", "MP3 instead"),
            (TONE[TONE.index(b"\xff\xf3") :], "application/octet-stream", "MP3 instead"),
            (b"<!DOCTYPE html><title>Welcome", "application/octet-stream", "a web page instead"),
            (b'{"detail": "no voice"}', "application/octet-stream", "JSON instead"),
            (b"", "audio/pcm", "without sound"),
            (b"R", "audio/pcm", "without sound"),
            (wav(b""), "audio/wav", "without sound"),
            (wav(PCM)[:40], "audio/wav", "without sound"),
        ):
            self.assertIn(why, await self.refused(answer, kind=kind))

    async def test_refusals(self) -> None:
        """An HTTP error is a ServiceError with its number, and never with the key."""
        for status in (400, 401, 403, 404, 429, 500, 503):
            self.server.status = status
            why = await self.failure(self.speaker())
            self.assertIn(f"HTTP {status}", why)
            self.assertNotIn("k3y", why)

    async def test_broken_off(self) -> None:
        """A connection that breaks in the middle is a ServiceError, after what was heard."""
        self.server.script = (PCM[:3000], BREAK)
        pieces = []
        with self.assertRaises(ServiceError):
            async for piece in self.speaker().speak(SENTENCE, "en"):
                pieces.append(piece)
        self.assertEqual(b"".join(pieces), PCM[:3000])

    async def test_kept(self) -> None:
        """Ten sentences, one after the other, come over one connection."""
        speaker = self.speaker()
        for _ in range(10):
            await collect(speaker.speak(SENTENCE, "en"))
        self.assertEqual(self.server.connections, 1)

    async def test_stalled(self) -> None:
        """A server that keeps silent for too long has failed."""
        self.server.script = (STALL,)
        self.assertTrue(await self.failure(self.speaker(timeout_s=0.05)))

    async def test_no_connection(self) -> None:
        """A connection that is refused is a ServiceError."""
        await self.server.stop()
        self.assertTrue(await self.failure(self.speaker()))

    async def test_impossible_key(self) -> None:
        """A key that cannot be sent is a ServiceError."""
        self.assertTrue(await self.failure(self.speaker(api_key="ключ")))


class UnwrapperTests(SynchronousTestCase):
    def unwrap(self, data: bytes, cuts: list[int]) -> bytes:
        unwrapper = Unwrapper(24000)
        places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
        pieces = [unwrapper.feed(data[a:b]) for a, b in pairwise(places) if b > a]
        pieces.append(unwrapper.finish())
        self.assertTrue(all(len(piece) % 2 == 0 for piece in pieces))
        return b"".join(pieces)

    @given(st.lists(st.integers(0, 10000), max_size=8))
    def test_cuts(self, cuts: list[int]) -> None:
        """The samples are the same however the answer is cut."""
        self.assertEqual(self.unwrap(PCM, cuts), PCM)
        self.assertEqual(self.unwrap(wav(PCM), cuts), PCM)
        self.assertEqual(self.unwrap(b"RI", cuts), b"RI")

    @given(st.binary(max_size=200), st.booleans(), st.lists(st.integers(0, 200), max_size=4))
    def test_anything(self, data: bytes, riff: bool, cuts: list[int]) -> None:
        """Any bytes are whole samples or a ServiceError."""
        try:
            self.unwrap(b"RIFF....WAVE" * riff + data, cuts)
        except ServiceError as error:
            self.assertEqual(error.stage, "tts")


class UnavailableTests(SynchronousTestCase):
    def test_nothing_set(self) -> None:
        """Without a key and an address there is no voice."""
        workshop = Workshop(None, Workers(None, "tts"), Path(), "en")
        with self.assertRaisesRegex(Unavailable, "OPENAI_TTS_API_KEY"):
            Speaker(Settings(base_url="", api_key=""), workshop)
