"""Who serves: for which purpose, in which role, and what becomes of it when settings change."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent

from tests.configuring import FileTestCase
from tests.fakes import Here, tone
from tests.services.streams import collect
from xiaozhi.engines import Engines
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.services import engine
from xiaozhi.services.counters import Counters
from xiaozhi.services.llm import Message
from xiaozhi.services.standby import UNUSED
from xiaozhi.session import Staff
from xiaozhi.settings import Role
from xiaozhi.staffing import Resources, Staffing

LISTS = """\
asr: whisper
llm:
  - {use: openai, alias: glm, model: glm-4}
  - {use: openai, alias: deep, model: glm-4.5}
  - offline
tts: [espeak, piper]
"""


class FakeEngine(Service):
    """Answers and says what it is called and set to, or fails."""

    languages: Collection[str] = ("*",)
    tools = ()
    rate = 16000

    def __init__(self, kind: str, settings: Any) -> None:
        self.kind = kind
        self.settings = settings
        self.broken = False
        self.warmed = 0
        self.spoken: list[str] = []

    def warm(self) -> None:
        self.warmed += 1

    async def reply(
        self, messages: Sequence[Message], language: str, tools: Any = ()
    ) -> AsyncGenerator[str, None]:
        if self.broken:
            raise ServiceError("llm", "broken")
        yield f"{self.settings.model} {self.settings.threads}"

    async def speak(self, sentence: str, language: str) -> AsyncGenerator[bytes, None]:
        if self.broken:
            raise ServiceError("tts", "broken")
        self.spoken.append(sentence)
        yield tone(0.06)


class StaffingTests(FileTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.made: list[FakeEngine] = []
        self.lacking: set[str] = set()
        self.patch(engine, "make", self.make)
        self.patch(Engines, "workers", lambda engines, kind: Here())
        self.tree = MultiService()
        self.counters = Counters()
        self.engines = Engines(self.tree, "en", self.folder, self.clock, self.counters, 2)
        self.tree.startService()
        self.addCleanup(self.tree.stopService)

    def make(self, kind: str, name: str, settings: Any, workshop: Any) -> FakeEngine:
        if name in self.lacking:
            raise Unavailable(f"no {name}")
        self.made.append(FakeEngine(kind, settings))
        return self.made[-1]

    def staffing(self, text: str) -> Staffing:
        return Staffing(self.engines, self.engines.make(self.load(LISTS + text)), Resources())

    def reload(self, staffing: Staffing, text: str) -> None:
        staffing.replace(self.engines.make(self.load(LISTS + text)))

    def ask(self, staffing: Staffing, purpose: str, role: Role | None = None) -> str:
        wish = role.model if role else None
        answer = staffing.staff().talk.chat.minds(purpose, wish).reply([Message("user", "?")], "en")
        return "".join(map(str, self.successResultOf(Deferred.fromCoroutine(collect(answer)))))

    def roles(self, staffing: Staffing) -> Sequence[Role]:
        return staffing.staff().talk.chat.assistant.roles

    def models(self) -> list[FakeEngine]:
        return [one for one in self.made if one.kind == "llm"]

    def test_purposes(self) -> None:
        """Each purpose is served by its own model, else by the default, else by the usual."""
        staffing = self.staffing("llm_by_mode: {chat: {alias: glm, threads: 4}, memory: deep}")
        self.assertEqual(len(self.models()), 3)
        for purpose, model in (
            ("chat", "glm-4 4"),
            ("dialog.active", "glm-4 4"),
            ("memory", "glm-4.5 1"),
            ("intent", "glm-4 1"),
        ):
            self.assertEqual(self.ask(staffing, purpose), model, purpose)
        self.reload(staffing, "llm_by_mode: {default: deep}")
        for purpose in ("chat", "intent", "whatever"):
            self.assertEqual(self.ask(staffing, purpose), "glm-4.5 1", purpose)

    def test_shared(self) -> None:
        """One engine serves all who wish for the same, made with the first question."""
        same = "{alias: glm, threads: 4}"
        staffing = self.staffing(
            f"llm_by_mode: {{chat: {same}, intent: {{name: glm, overrides: {{threads: 4}}}},"
            f" memory: deep, coding: {{alias: glm, threads: 5}}}}\n"
            f"assistant: {{roles: [{{name: A, model: {same}}}]}}"
        )
        (role,) = self.roles(staffing)
        self.assertEqual(len(self.models()), 3)
        for purpose, wished in (("chat", None), ("intent", None), ("coding", role), ("chat", role)):
            self.assertEqual(self.ask(staffing, purpose, wished), "glm-4 4")
        self.assertEqual(self.ask(staffing, "memory"), "glm-4.5 1")
        self.assertEqual(len(self.models()), 4)
        self.clock.advance(UNUSED)
        self.assertEqual([one.running for one in self.models()], [1, 1, 1, 0])

    def test_missing(self) -> None:
        """Each step that is missing is one warning; the next is taken, at last the usual."""
        with capturedLogs() as logs:
            staffing = self.staffing(
                "llm_by_mode: {chat: gpt, default: {alias: claude, threads: 3}}\n"
                "assistant: {roles: [{name: A, voice: bass, model: gemini}]}"
            )
            (role,) = self.roles(staffing)
            for _ in range(3):
                self.assertEqual(self.ask(staffing, "chat", role), "glm-4 1")
        warned = [formatEvent(event) for event in logs if event["log_level"] >= LogLevel.warn]
        self.assertEqual(
            warned,
            [
                f"{key}: there is no {title} called {alias}, so the next is taken"
                for key, title, alias in (
                    ("llm_by_mode.default", "language model", "claude"),
                    ("llm_by_mode.chat", "language model", "gpt"),
                    ("assistant.roles: A: model", "language model", "gemini"),
                    ("assistant.roles: A: voice", "voice", "bass"),
                )
            ],
        )

    def test_cannot_be_had(self) -> None:
        """What lacks something is warned of once, when it is needed, and tried again later."""
        self.lacking = {"ollama"}
        staffing = self.staffing("llm_by_mode: {chat: ollama, default: deep}")
        with capturedLogs() as logs:
            for _ in range(3):
                self.assertEqual(self.ask(staffing, "chat"), "glm-4.5 1")
        (warned,) = [formatEvent(event) for event in logs if event["log_level"] >= LogLevel.warn]
        self.assertEqual(warned, "language model ollama failed: no ollama")
        self.lacking = set()
        self.clock.advance(1)  # its probe
        self.assertEqual(self.ask(staffing, "chat"), "small: one 1")

    def test_fallback(self) -> None:
        """Behind the one for the purpose stand the default and the usual; health is shared."""
        staffing = self.staffing("llm_by_mode: {chat: {alias: glm, threads: 4}, default: deep}")
        self.assertEqual(self.ask(staffing, "chat"), "glm-4 4")
        _, deep, _, own = self.models()
        own.broken = deep.broken = True
        self.assertEqual(self.ask(staffing, "chat"), "glm-4 1")
        self.assertEqual(self.ask(staffing, "memory"), "glm-4 1")
        fit = {labels[1]: value for labels, value in self.counters.values("engine_fit")}
        self.assertEqual(
            {name: fit[name] for name in ("glm", "glm+threads", "deep", "offline")},
            {"glm": 1, "glm+threads": 0, "deep": 0, "offline": 1},
        )
        self.assertEqual(self.counters.value("engine_failures", kind="llm", engine="deep"), 1)
        own.broken = False
        self.clock.advance(1)
        self.assertEqual(self.ask(staffing, "chat"), "glm-4 4")

    def test_reloaded(self) -> None:
        """What nobody wishes for any more ends; the same wish keeps the same engine."""
        staffing = self.staffing(
            "llm_by_mode: {chat: {alias: glm, threads: 4}, intent: {alias: glm, threads: 5}}"
        )
        for purpose in ("chat", "intent"):
            self.ask(staffing, purpose)
        minds = staffing.staff().talk.chat.minds  # a session has them from before
        *_, chat, intent = self.models()
        self.reload(staffing, "llm_by_mode: {memory: {alias: glm, threads: 4}}")
        self.assertEqual((chat.running, intent.running), (1, 0))
        self.assertEqual(self.ask(staffing, "memory"), "glm-4 4")
        self.assertEqual(minds("chat", None).first, [])
        self.assertEqual(len(self.models()), 5)
        told = {labels for labels, _ in self.counters.values("engine_fit")}
        self.assertIn(("llm", "glm+threads"), told)
        self.reload(staffing, "")
        self.assertEqual(chat.running, 0)
        told = {labels for labels, _ in self.counters.values("engine_fit")}
        self.assertNotIn(("llm", "glm+threads"), told)

    def say(self, staff: Staff, role: Role | None, sentence: str = "Hello.") -> int:
        voice = staff.voice(role)
        packets = collect(voice.speak(sentence, "en"))
        return len(self.successResultOf(Deferred.fromCoroutine(packets)))

    def test_voices(self) -> None:
        """A role speaks with its voice, then with the usual ones; what is kept is not its own."""
        staffing = self.staffing(
            "assistant: {roles: [{name: A, voice: piper}, {name: B, voice: {tts: piper, speed: 2}},"
            " {name: C}]}"
        )
        first, second, third = self.roles(staffing)
        staff = staffing.staff()
        usual, piper = [one for one in self.made if one.kind == "tts"][:2]
        for role in (first, third, None):
            self.assertEqual(self.say(staff, role), 1)
        self.assertEqual((piper.spoken, usual.spoken.count("Hello.")), (["Hello."], 2))
        self.say(staff, second)
        *_, own = self.made
        self.assertEqual((own.settings.speed, own.spoken), (2, ["Hello."]))
        own.broken = True
        self.say(staff, second)
        self.assertEqual((usual.spoken.count("Hello."), len(piper.spoken)), (3, 1))

    def test_kept(self) -> None:
        """Of a role, a phrase that is kept in the usual voice is heard when nobody can speak."""
        staffing = self.staffing("assistant: {roles: [{name: A, voice: piper}]}")
        (role,) = self.roles(staffing)
        staffing._prompts.get = lambda text: (b"1", b"2")  # type: ignore[method-assign]
        staff = staffing.staff()
        for who, packets in ((None, 2), (role, 1)):
            self.assertEqual(self.say(staff, who), packets)
        for one in self.made:
            one.broken = True
        self.assertEqual(self.say(staff, role), 2)

    def test_warm(self) -> None:
        """Whoever will answer gets ready, the one for intents, too, if it will be asked."""
        modes = "llm_by_mode: {intent: {alias: glm, threads: 2}, chat: {alias: glm, threads: 3}}\n"
        roles = "roles: [{name: A, model: deep, voice: piper}]"
        staffing = self.staffing(f"{modes}assistant: {{{roles}}}")
        (role,) = self.roles(staffing)
        usual, deep, _ = self.models()
        staffing.staff().warm(role)
        self.assertEqual((usual.warmed, deep.warmed, len(self.models())), (0, 1, 3))
        staffing.staff().warm(None)
        *_, chat = self.models()
        self.assertEqual((chat.settings.threads, chat.warmed, deep.warmed), (3, 1, 1))
        self.reload(staffing, f"{modes}assistant: {{intent: intent_llm, {roles}}}")
        staffing.staff().warm(None)
        *_, intent = self.models()
        self.assertEqual((intent.settings.threads, intent.warmed, chat.warmed), (2, 1, 2))
