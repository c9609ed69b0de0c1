"""Who is wanted before the others: aliases in every spelling, with other settings or without."""

from __future__ import annotations

from typing import cast

from tests.configuring import FakeSettings, FileTestCase
from xiaozhi.choices import Chosen, Wish
from xiaozhi.config import load
from xiaozhi.services.logs.masking import secrets_in

LISTS = """\
llm:
  - {use: openai, alias: glm, model: glm-4, threads: 2}
  - {use: openai, alias: GLM-4.5}
  - offline
tts: [espeak, {use: piper, alias: 老人, speed: 0.8}]
"""


def chosen(wish: Wish | None) -> Chosen:
    """Give the engine that is wished for: there must be one."""
    assert wish is not None
    assert wish.chosen is not None
    return wish.chosen


class Spellings(FileTestCase):
    """What a purpose may be given."""

    def wish(self, said: str) -> Wish | None:
        return self.load(f"{LISTS}llm_by_mode: {{chat: {said}}}\n").llm_by_mode.chat

    def test_nothing(self) -> None:
        """Nothing is wished for by default, nor by what is empty."""
        self.assertEqual(load(None, {}).llm_by_mode.chain("chat"), [])
        for said in ("", "''", '"${NO_SUCH:-}"', "{alias: '', threads: 3}"):
            self.assertIsNone(self.wish(said), said)

    def test_alias(self) -> None:
        """An alias, by itself or under one of four names, is the entry of the list."""
        config = self.load(LISTS)
        for said in ("glm", "{alias: glm}", "{name: glm}", "{module: glm}", "{llm: glm}"):
            self.assertEqual(self.wish(said), Wish("glm", config.llm[0]), said)
        for said, place in (("GLM-4.5", 1), ("offline", 2), ("{name: offline}", 2)):
            self.assertEqual(chosen(self.wish(said)), config.llm[place])

    def test_overrides(self) -> None:
        """Settings that are others stand beside the alias, below `overrides`, or in both."""
        found = []
        for said in (
            "{alias: glm, threads: 3, speed: 2}",
            "{name: glm, overrides: {threads: 3, speed: 2}}",
            "{module: glm, threads: 3, overrides: {speed: 2}}",
            '{llm: glm, overrides: {speed: 2, threads: 3, model: "glm-4"}, fast:, seed: }',
        ):
            found.append(chosen(self.wish(said)))
            settings = cast(FakeSettings, found[-1].settings)
            self.assertEqual((settings.model, settings.threads, settings.speed), ("glm-4", 3, 2))
        self.assertEqual([one.called for one in found], ["glm+speed+threads"] * 4)
        self.assertEqual(found, [found[0]] * 4)

    def test_no_difference(self) -> None:
        """Settings that are the same make no other engine."""
        wish = self.wish("{alias: glm, model: glm-4, overrides: {threads: 2}}")
        self.assertEqual(chosen(wish), self.load(LISTS).llm[0])

    def test_not_in_the_list(self) -> None:
        """An engine that is not in the list has its defaults, from the environment, too."""
        text = f"{LISTS}llm_by_mode: {{default: {{alias: ollama, speed: 2}}, memory: openai}}"
        modes = self.load(text, FAKE_KEY="k").llm_by_mode
        for wish, called, speed in (
            (modes.default, "ollama+speed", 2),
            (modes.memory, "openai", 1),
        ):
            settings = cast(FakeSettings, chosen(wish).settings)
            self.assertEqual(chosen(wish).called, called)
            self.assertEqual((settings.api_key, settings.speed), ("k", speed))

    def test_unknown(self) -> None:
        """An alias that nobody has is no mistake: it is warned of where it is missed."""
        for said in ("gpt", "{alias: gpt, temperature: 3}", "'4711'"):
            wish = self.wish(said)
            assert wish is not None
            self.assertIsNone(wish.chosen)

    def test_roles(self) -> None:
        """A role names its voice and its model in the same ways."""
        config = self.load(
            f"{LISTS}assistant: {{roles: [{{name: A, voice: 老人, model: glm}},"
            " {name: B, voice: {tts: 老人, speed: 0.7}, model: {alias: glm, seed: 1}},"
            " {name: C, voice: '', model: }]}"
        )
        first, second, third = config.assistant.roles
        self.assertEqual(chosen(first.voice), config.tts[1])
        self.assertEqual(chosen(first.model), config.llm[0])
        self.assertEqual(chosen(second.voice).called, "老人+speed")
        self.assertEqual(chosen(second.model).called, "glm+seed")
        self.assertEqual((third.voice, third.model), (None, None))

    def test_wrong(self) -> None:
        """What is wrong is told with its line, and its key where it is known."""
        found = self.problems("""\
            llm:
              - {use: openai, alias: "a b"}
              - {use: openai, alias: x}
              - use: offline
                alias: x
            asr: {use: whisper, alias: ears}
            llm_by_mode:
              default: [x]
              chat:
                speed: 2
              intent:
                alias: x
                thread: 2
                overrides:
                  speed: 0
                  model: ""
              memory:
                alias: x
                speed: 1
                overrides: {speed: 2, fast: true}
              coding: {alias: x, fast: true, speed: 0.5}
              meeting: {alias: x, overrides: 3}
              working: 3
              talking: x
            """)
        odd = "must be an alias: letters, digits, . _ and -, 60 of them at most"
        self.assertEqual(
            [
                f"2: llm.openai.alias: {odd}",
                "5: llm.offline.alias: another is called so",
                "6: asr.whisper.alias: unknown key",
                f"8: llm_by_mode.default: {odd}",
                "10: llm_by_mode.chat: must be an alias, or a mapping that has it under one of"
                " alias, name, module, llm",
                "13: llm_by_mode.intent.thread: unknown key; did you mean threads?",
                "15: llm_by_mode.intent.speed: must be a number above 0 to 4",
                "16: llm_by_mode.intent.model: must be text, not empty",
                "20: llm_by_mode.memory.speed: was given before, in line 19",
                "21: llm_by_mode.coding: fast and a speed below 1 do not go together",
                "22: llm_by_mode.meeting.overrides: must be a mapping, not a single value",
                f"23: llm_by_mode.working: {odd}",
                "24: llm_by_mode.talking: unknown key",
            ],
            found,
        )

    def test_secrets(self) -> None:
        """A key that is another for a purpose is kept out of the log like any."""
        config = self.load(f"{LISTS}llm_by_mode: {{chat: {{alias: glm, api_key: sk-other}}}}")
        self.assertIn("sk-other", set(secrets_in(config)))
        self.assertNotIn("sk-other", repr(config))


class Chains(FileTestCase):
    """Purpose, default, and then the list."""

    def chain(self, purpose: str) -> list[str]:
        modes = self.load(f"{LISTS}llm_by_mode: {{default: offline, chat: glm, coding: gpt}}")
        return [wish.alias for wish in modes.llm_by_mode.chain(purpose)]

    def test_chain(self) -> None:
        """What has no model of its own has the default; dialog is chat."""
        for purpose, chain in (
            ("chat", ["glm", "offline"]),
            ("dialog", ["glm", "offline"]),
            ("dialog.active", ["glm", "offline"]),
            ("coding", ["gpt", "offline"]),
            ("memory", ["offline"]),
            ("no such thing", ["offline"]),
            ("chain", ["offline"]),
        ):
            self.assertEqual(self.chain(purpose), chain, purpose)
