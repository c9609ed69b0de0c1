"""Noise and music alone start no turn that says something, and a voice among them is answered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from twisted.internet.defer import Deferred, gatherResults

from tests import sounds
from tests.sounds import RATE, Sound
from tests.system.judge import likeness
from tests.system.server import ServerCase
from xiaozhi.audio import resample
from xiaozhi.device import voice
from xiaozhi.device.turns import Turn

QUESTION = "What time is it now?"
ALONE = 5.0
"""Seconds of noise before anybody speaks."""


def question() -> Sound:
    """Ask as loudly as somebody across a table."""
    rate, pcm = voice._piper(QUESTION)
    return sounds.at(sounds.sound(resample(pcm, rate, RATE)), -26)


class Noise(ServerCase):
    async def listen(self, port: int, rooms: Mapping[str, Sound]) -> None:
        """Put a device into each room: it must say nothing until the question, then answer it."""
        asked = ALONE + len(question()) / RATE

        async def live(name: str, room: Sound) -> Turn:
            device = self.device(port, language="en", device_id=name)
            turn = await device.say_pcm(sounds.pcm(room), RATE, timeout=60)
            self.assertEqual((device.complaints, device.firmware.turns.unasked), ([], []))
            return turn

        lives = [Deferred.fromCoroutine(live(*room)) for room in rooms.items()]
        for turn, name in zip(await gatherResults(lives, consumeErrors=True), rooms, strict=True):
            why = f"in {name}: {turn.summary()}\n{self.process.text}"
            # What was said first is the answer, and nothing else was heard.
            self.assertGreaterEqual(likeness(QUESTION, turn.heard), 0.8, why)
            self.assertRegex(turn.answer, r"^It is \d+:\d\d [AP]M", why)
            assert turn.heard_at is not None
            self.assertGreater(turn.heard_at - turn.began_at, asked, why)
            # The end of the question was found while the noise went on.
            self.assertLess(turn.heard_at - turn.began_at, len(rooms[name]) / RATE, why)

    async def test_by_default(self) -> None:
        """With the default detector noise and music go on and on, and are not heard."""
        port = await self.server(
            "asr: [{use: whisper}, {use: pocketsphinx}]\n"
            "llm: [{use: offline}]\ntts: [{use: espeak}]\n"
        )
        before, spoken = np.zeros(int(ALONE * RATE)), question()
        said = np.concatenate((before, spoken, np.zeros(25 * RATE)))
        seconds = len(said) / RATE
        await self.listen(
            port,
            {
                name: said + sounds.at(make(seconds + 1), -36)[: len(said)]
                for name, make in sounds.NOISES.items()
            },
        )

    async def test_fooled(self) -> None:
        """Where the detector is fooled, the words that pocketsphinx finds in noise are not said."""
        port = await self.server(
            "vad: {use: webrtc}\nasr: [{use: pocketsphinx}]\n"
            "llm: [{use: offline}]\ntts: [{use: espeak}]\n"
        )
        pause, spoken = np.zeros(2 * RATE), question()
        rooms = {}
        for name in ("white", "pink", "hum", "clicks"):
            noise = sounds.at(sounds.NOISES[name](ALONE - 2), -24)
            rooms[name] = np.concatenate((noise, pause, spoken, np.zeros(25 * RATE)))
        await self.listen(port, rooms)
