"""The command `xiaozhi device`, against a scripted server."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
import wave

from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SynchronousTestCase

from tests.device.cases import SPEECH, DeviceCase, converse, reactor
from tests.device.scripted import Script, ScriptedServer, Talk
from xiaozhi.audio import write_wav
from xiaozhi.device import errors
from xiaozhi.device.cli import language_tag, main, parser
from xiaozhi.device.show import Show
from xiaozhi.device.talk import run


class CommandTest(DeviceCase):
    """One command, run in this process."""

    async def command(self, *words: str, server: ScriptedServer | None = None) -> int:
        """Run a command; `out` is what it printed and `wrong` what it complained of."""
        server = server or self.serve(converse)
        options = parser().parse_args([*words, "--ota", server.url + "/ota/", "--frame", "20"])
        options.language = "en-US"
        self.out: list[str] = []
        self.wrong: list[str] = []
        show = Show(self.out.append, as_json=options.json)
        return await run(options, reactor, show, self.wrong.append)

    async def test_play(self) -> None:
        """A file is played, the answer heard, and kept."""
        source, answer = self.scratch(), self.scratch()
        write_wav(source, 16000, SPEECH)
        self.assertEqual(await self.command("play", source, "--save", answer), 0)
        self.assertEqual(self.out[2:4], ["heard     hello\n", "answer    Good day.\n"])
        self.assertEqual(self.wrong, [])
        with wave.open(answer) as file:
            self.assertEqual((file.getframerate(), file.getnframes()), (24000, 2400))

    async def test_say_in_json(self) -> None:
        """A text is spoken by an offline voice; every event is a line of JSON."""
        server = self.serve(converse)
        self.assertEqual(await self.command("say", "你好", "--json", server=server), 0)
        told = {event["event"]: event for event in map(json.loads, self.out)}
        self.assertEqual((told["stt"]["text"], told["turn"]["heard"]), ("hello", "hello"))
        self.assertEqual(told["turn"]["frames"], 5)
        self.assertGreater(len(server.talks[0].inbox), 5)

    async def test_type(self) -> None:
        """Typed text need not be repeated by the server."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start")
            await talk.expect("listen", state="detect", text="hi")
            await talk.answer("Hello.", 1)

        self.assertEqual(await self.command("type", "hi", server=self.serve(script)), 0)

    def scratch(self) -> str:
        """Name a file that does not exist, in a folder that is gone after the test."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        return os.path.join(folder, "sound.wav")

    async def refuses(
        self, kind: type[errors.DeviceError], *words: str, script: Script = converse
    ) -> None:
        """Check that a command fails so, in one line."""
        code = await self.command(*words, server=self.serve(script))
        self.assertEqual((code, len(self.wrong)), (kind.code, 1))

    async def test_bad_files(self) -> None:
        """A file that is missing, no sound or empty, and one that cannot be written."""
        empty = self.scratch()
        write_wav(empty, 16000, b"")
        for path in (empty, __file__, self.scratch()):
            await self.refuses(errors.BadFile, "play", path)
        await self.refuses(errors.BadFile, "say", "你好", "--save", "/nowhere/x.wav")

    async def test_no_sound_in_the_answer(self) -> None:
        """A turn without sound is not a whole one."""

        async def script(talk: Talk) -> None:
            await talk.greet()
            await talk.expect("listen", state="start")
            await talk.answer("…", 0)

        await self.refuses(errors.NoAnswer, "type", "hi", script=script)

    async def test_no_answer(self) -> None:
        """A server that says nothing is given up in time."""

        async def script(talk: Talk) -> None:
            await talk.greet()

        await self.refuses(errors.NoAnswer, "type", "hi", "--timeout", "0.4", script=script)

    async def test_no_microphone(self) -> None:
        """Without sound hardware `mic` and `--speaker` say so."""
        self.patch(sys, "modules", {**sys.modules, "sounddevice": None})
        await self.refuses(errors.NoSound, "mic")
        await self.refuses(errors.NoSound, "type", "hi", "--speaker")

    async def test_the_whole_command(self) -> None:
        """As a process of its own it talks Chinese where the user does, and exits with 0 or not."""
        server = self.serve(converse)
        source = self.scratch()
        write_wav(source, 16000, SPEECH)
        code = "import sys; from xiaozhi.device.cli import main; sys.exit(main())"
        environment = {**os.environ, "LC_ALL": "zh_CN.UTF-8", "PYTHONUTF8": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        for url, expected, said in (
            (server.url + "/ota/", 0, "听到      hello"),
            ("http://127.0.0.1:1/", errors.Unreachable.code, "连不上服务器"),
        ):
            words = ["-c", code, "play", source, "--ota", url]
            ran: Deferred[tuple[bytes, bytes, int]] = getProcessOutputAndValue(
                sys.executable, words, environment
            )
            out, err, status = await ran
            self.assertEqual(status, expected, err)
            self.assertIn(said, (out + err).decode())
        (_, headers, _), *_ = server.asked
        self.assertEqual(headers["accept-language"], "zh-CN")


class ArgumentsTest(SynchronousTestCase):
    """What the command line takes."""

    def test_the_language(self) -> None:
        """The user's language is that of the first variable that is set."""
        for environment, tag in (
            ({}, "en-US"),
            ({"LANG": "zh_TW.UTF-8"}, "zh-CN"),
            ({"LANG": "zh_CN", "LC_ALL": "de_DE.UTF-8"}, "de-DE"),
            ({"LANG": "C.UTF-8"}, "en-US"),
            ({"LC_ALL": "", "LANG": "POSIX"}, "en-US"),
        ):
            with self.subTest(environment=environment):
                self.assertEqual(language_tag(environment), tag)

    def test_wrong_ones(self) -> None:
        """What no device can do is refused before anything is done."""
        self.patch(sys, "stderr", io.StringIO())
        for words in ([], ["mic", "--mode", "manual"], ["say"], ["say", "x", "--frame", "30"]):
            with self.subTest(words=words):
                with self.assertRaises(SystemExit) as caught:
                    main(words)
                self.assertEqual(caught.exception.code, 2)
