"""The talk with one device, as whole turns: tools, roles, music, goodbye."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeMinds, FakeSpeech, Table, tone
from tests.scenes import Kit, Steps, call, tool
from xiaozhi.choices import Wish
from xiaozhi.errors import ServiceError
from xiaozhi.events import Due
from xiaozhi.messages import Abort, Detect, ListenStart
from xiaozhi.services.store import Fact, Recollection
from xiaozhi.settings import Assistant, Role
from xiaozhi.tooling import Clip, Outcome, Scene, Tool

LONG = "is a thing that takes many words to tell, " * 4


class Case(SynchronousTestCase):
    def table(self, *steps: Any, tools: tuple[Tool, ...] = (), **more: Any) -> Table:
        minds: Any = Steps(*steps)
        table = Table(minds=minds, sources=[Kit(*tools)], **more)
        self.addCleanup(table.session.close)
        table.session.receive(ListenStart("auto"))
        return table

    def ask(self, table: Table, text: str, seconds: float = 4.0) -> list[str]:
        """Type a question; give what the device is told within so many seconds."""
        before = len(table.told())
        table.session.receive(Detect(text))
        table.pass_time(seconds)
        return table.told()[before:]


class Hands:
    """The tools of a device, which may be at work."""

    busy: Deferred[None] | None = None
    strange: Deferred[None] | None = None
    """Whether it has not told yet what it can do."""

    def __init__(self, *more: Tool) -> None:
        self.more = more

    def tools(self, device: str) -> list[Tool]:
        return [] if self.strange is not None else [tool(f"of_{device}"), *self.more]

    def introduced(self) -> Deferred[None]:
        return self.strange or succeed(None)

    def free(self) -> Deferred[None]:
        return self.busy or succeed(None)


class Tools(Case):
    def test_never_read_aloud(self) -> None:
        """A call is done, and what is spoken is the answer made of it."""
        table = self.table(
            ["Let me see. ", call("x")], ["It is seven."], tools=(tool("x", Outcome("7")),)
        )
        self.ask(table, "how much", 6)
        spoken = [sentence for sentence, _ in table.speech.sentences]
        self.assertEqual(spoken, ["Let me see.", "It is seven."])
        (_, answer) = table.session.said()
        self.assertEqual(answer.text, "Let me see. It is seven.")

    def test_slow_tool(self) -> None:
        """A slow tool is excused once by whoever has it work, and not by the voice as well."""
        waiting: Deferred[Outcome] = Deferred()
        table = self.table([call("x")], ["Seven."], tools=(tool("x", waiting),))
        self.ask(table, "how much", 6.5)
        spoken = [sentence for sentence, _ in table.speech.sentences]
        self.assertEqual(spoken, ["Let me see."])
        waiting.callback(Outcome("7"))
        table.pass_time(3)
        self.assertEqual(table.speech.sentences[-1][0], "Seven.")
        self.assertEqual(table.session.said()[-1].text, "Seven.")

    def test_interrupted(self) -> None:
        """Who interrupts a tool hears nothing of it, and the next question is answered."""
        waiting: Deferred[Outcome] = Deferred()
        table = self.table([call("x")], ["Hello."], tools=(tool("x", waiting),))
        self.ask(table, "how much", 1)
        table.session.receive(Abort())
        self.assertTrue(waiting.called)
        self.assertIn("tts sentence_start: Hello.", self.ask(table, "hi"))

    def test_all_interrupted(self) -> None:
        """Who interrupts several ends each of them; those that waited for one never begin."""
        one, two, beside = (Deferred[Any]() for _ in range(3))
        tools = (tool("one", one, alone=True), tool("two", two, alone=True), tool("x", beside))
        table = self.table([call("one"), call("two"), call("x")], ["Hello."], tools=tools)
        self.ask(table, "how much", 1)
        table.session.receive(Abort())
        self.assertEqual((one.called, two.called, beside.called), (True, False, True))
        self.assertEqual(table.told()[-1], "tts stop")
        self.assertIn("tts sentence_start: Hello.", self.ask(table, "hi"))

    def test_closed(self) -> None:
        """A close ends whatever an answer waits for: a patient tool, a model in its call."""
        waiting: Deferred[Any] = Deferred()
        streaming: Deferred[Any] = Deferred()
        for steps in ([call("x")], ["Let me ", streaming, call("x")]):
            table = self.table(steps, tools=(tool("x", waiting, patience=300),))
            self.ask(table, "how much", 20)
            table.session.close()
            self.assertEqual(table.clock.getDelayedCalls(), [])
            self.assertIsNone(table.session._work)
        self.assertTrue(waiting.called and streaming.called)

    def test_own_tools(self) -> None:
        """What one device's source has is offered to it alone."""
        table = self.table(["Hello."])
        table.talk._own = (Hands(),)
        table.talk.engage(table.talk._talk)
        self.ask(table, "hi")
        minds: Any = table.minds
        self.assertEqual(minds.offered, [["of_d1"]])

    def test_own_tool_first(self) -> None:
        """A tool of the house that turns the device's knobs gets the device's own, and no other."""
        knob, other = tool("self.knob", Outcome("turned")), tool("self.knob", Outcome("no"))
        table = self.table(tools=(tool("self_knob", Outcome("no")), other))
        table.talk._own = (Hands(knob),)
        self.assertTrue(table.talk.offers("self.knob") and not table.talk.offers("self_knob_2"))
        used = Deferred.fromCoroutine(table.talk.use("self.knob", {}))
        self.assertEqual(self.successResultOf(used).text, "turned")
        missing = Deferred.fromCoroutine(table.talk.use("self.nothing", {}))
        self.assertTrue(self.successResultOf(missing).failed)

    def test_at_once(self) -> None:
        """Who asks before the device has told its tools has them in the answer all the same."""
        table = self.table(["Hello."])
        hands = Hands()
        strange: Deferred[None] = Deferred()
        hands.strange = strange
        table.talk._own = (hands,)
        table.talk.engage(table.talk._talk)
        self.assertNotIn("tts sentence_start: Hello.", self.ask(table, "hi", 0.5))
        hands.strange = None
        strange.callback(None)
        table.pass_time(2)
        minds: Any = table.minds
        self.assertEqual(minds.offered, [["of_d1"]])
        self.assertIn("tts sentence_start: Hello.", table.told())

    def test_busy_device(self) -> None:
        """A device that is at work for somebody else is not spoken to until it is done."""
        table = self.table(["Hello."])
        hands = Hands()
        hands.busy = Deferred()
        table.talk._own = (hands,)
        self.assertEqual(self.ask(table, "hi"), ["stt: hi"])
        hands.busy.callback(None)
        table.pass_time(3)
        self.assertIn("tts sentence_start: Hello.", table.told())


class Languages(Case):
    def test_of_the_question(self) -> None:
        """Tools answer in the language of the question, whatever the device is set to."""
        languages: list[str] = []

        async def note(arguments: dict[str, Any], scene: Scene) -> Outcome:
            languages.append(scene.language)
            return Outcome("", say="OK.", final=True)

        steps = [[call("note")]] * 2
        table = self.table(*steps, tools=(Tool("note", "notes", note),), language="en")
        self.ask(table, "你好吗")
        self.ask(table, "how are you")
        self.assertEqual(languages, ["zh", "en"])
        self.assertEqual(table.session.language, "en")


class Goodbye(Case):
    def test_phrase(self) -> None:
        """Who says goodbye is told so, and the connection ends when it was heard."""
        table = self.table()
        told = self.ask(table, "Goodbye!")
        self.assertIn("tts sentence_start: Goodbye.", told)
        self.assertEqual(told[-2:], ["tts stop", "close 1000"])

    def test_tool(self) -> None:
        """A tool can end the talk, too."""

        async def leave(arguments: dict[str, Any], scene: Scene) -> Outcome:
            scene.part()
            return Outcome("", say="Bye.", final=True)

        table = self.table([call("leave")], tools=(Tool("leave", "leaves", leave),))
        self.assertEqual(self.ask(table, "that was it")[-2:], ["tts stop", "close 1000"])

    def test_polite(self) -> None:
        """A name or a pleasantry around it does not matter; a longer sentence is no goodbye."""
        for text in ("再见小智", "好的再见", "okay goodbye"):
            self.assertEqual(self.ask(self.table(), text)[-1], "close 1000", text)
        told = self.ask(self.table(["No."]), "how do you say goodbye in French")
        self.assertEqual(told[-1], "tts stop")

    def test_taken_back(self) -> None:
        """Who interrupts the goodbye stays."""
        table = self.table(["Hello."])
        self.ask(table, "goodbye", 0.5)
        table.session.receive(Abort())
        self.assertEqual(self.ask(table, "hello")[-1], "tts stop")


class Music(Case):
    def clip(
        self,
        seconds: float,
        over: list[Any],
        error: bool = False,
        stall: Deferred[None] | None = None,
    ) -> Tool:
        """Make a tool that plays a tone of so many seconds, and then waits for `stall`."""

        async def pcm() -> AsyncGenerator[bytes, None]:
            try:
                for _ in range(round(seconds * 2)):
                    yield tone(0.5, 24000)
                if stall is not None:
                    await stall
                if error:
                    raise ServiceError("tool", "the radio is off")
            finally:
                over.append("closed")

        async def play(arguments: dict[str, Any], scene: Scene) -> Outcome:
            scene.play(Clip("A Song", 24000, pcm, lambda *how: over.append(how)))
            return Outcome("playing", say="Here you are.", final=True)

        return Tool("play", "plays", play)

    def test_after_the_answer(self) -> None:
        """Music follows the answer, and is no part of what was said."""
        over: list[Any] = []
        table = self.table([call("play")], tools=(self.clip(3, over),))
        told = self.ask(table, "music", 6)
        self.assertEqual(
            told[3:],
            [
                "20 frames",
                "tts sentence_end: Here you are.",
                "tts sentence_start: A Song",
                "50 frames",
                "tts sentence_end: A Song",
                "tts stop",
            ],
        )
        ((seconds, whole),) = (how for how in over if how != "closed")
        self.assertEqual((round(seconds, 1), whole), (3.0, True))
        self.assertEqual(table.session.said()[-1].text, "Here you are.")

    def test_gives_way_to_what_is_due(self) -> None:
        """Music is broken off by a timer; the answer before it is not, and nothing comes back."""
        over: list[Any] = []
        table = self.table([call("play")], tools=(self.clip(60, over),))
        self.ask(table, "music", 0.5)
        told: list[bool] = []
        table.session.post(Due("The tea is ready.", "en", "Timer", told=told.append))
        self.assertNotIn("closed", over)
        table.pass_time(4)
        ((seconds, whole),) = (how for how in over if how != "closed")
        self.assertLess(seconds, 0.2)
        spoken = [sentence for sentence, _ in table.speech.sentences]
        self.assertEqual(spoken, ["Here you are.", "The tea is ready."])
        self.assertEqual((told, table.told()[-1], whole), ([True], "tts stop", False))

    def test_stopped(self) -> None:
        """Who interrupts it stops it: the source is closed, and told how far it came."""
        over: list[Any] = []
        table = self.table([call("play")], tools=(self.clip(60, over),))
        self.ask(table, "music", 5)
        table.session.receive(Abort())
        ((seconds, whole),) = (how for how in over if how != "closed")
        self.assertTrue(2.5 < seconds < 4.5 and not whole, seconds)
        self.assertIn("closed", over)
        self.assertEqual(table.told()[-1], "tts stop")

    def test_breaks_off(self) -> None:
        """A source that fails ends the music with a word about it."""
        over: list[Any] = []
        table = self.table([call("play")], tools=(self.clip(1, over, error=True),))
        told = self.ask(table, "music", 8)
        self.assertEqual(told[-2:], ["tts sentence_end: Sorry, I lost my thread.", "tts stop"])

    def test_stalls(self) -> None:
        """A source that says nothing for long is given up: it would keep the turn for ever."""
        over: list[Any] = []
        stall: Deferred[None] = Deferred()
        table = self.table([call("play")], tools=(self.clip(1, over, stall=stall),))
        self.assertNotIn("tts stop", self.ask(table, "music", 15))
        table.pass_time(15)
        self.assertTrue(stall.called)
        self.assertEqual(
            table.told()[-2:], ["tts sentence_end: Sorry, I lost my thread.", "tts stop"]
        )
        ((seconds, whole),) = (how for how in over if how != "closed")
        self.assertEqual((round(seconds), whole), (1, True))

    def test_empty(self) -> None:
        """One without any sound ends like any other."""
        over: list[Any] = []
        table = self.table([call("play")], tools=(self.clip(0, over),))
        self.assertEqual(self.ask(table, "music")[-1], "tts stop")
        self.assertEqual(over, ["closed", (0.0, True)])


ROUGH = Wish("rough")


class Roles(Case):
    assistant = Assistant(roles=(Role(name="Pirate", prompt="Arr, {role}!", voice=ROUGH),))

    def test_become(self) -> None:
        """A role has its prompt from the next answer on; the usual one comes back by name."""
        table = self.table(*[["Hello."]] * 3, assistant=self.assistant)
        for role, known in (("pirate", True), ("nobody", False)):
            self.assertEqual(table.talk.become(role), known)
        self.ask(table, "hi")
        self.assertIs(table.talk.role, self.assistant.roles[0])
        minds: Any = table.minds
        self.assertTrue(minds.asked[0][0].content.startswith("Arr, Pirate!"))
        self.assertTrue(table.talk.become("Xiaozhi"))
        self.ask(table, "hi")
        self.assertTrue(minds.asked[1][0].content.startswith("You are Xiaozhi"))

    def test_model_and_voice(self) -> None:
        """A role thinks with its model, speaks with its voice, and has both get ready."""
        (role,) = roles = (Role(name="Pirate", voice=ROUGH, model=Wish("deep")),)
        table = self.table(*[["Hello."]] * 2, assistant=Assistant(roles=roles))
        self.ask(table, "hi")
        table.talk.become("Pirate")
        self.ask(table, "hi")
        self.assertEqual(table.wishes, [None, role.model])
        self.assertEqual(table.roles, [None, role])
        table.session.receive(ListenStart("auto"))
        table.hear(tone(0.3))
        self.assertEqual(table.warmed, [role])

    def test_kept(self) -> None:
        """What the user asks for is kept for the next talk, in which they may ask for another."""
        kept: list[tuple[str, str]] = []
        for known, asked in ((True, [("d1", "Pirate"), ("d1", "")]), (False, [])):
            table = self.table(assistant=self.assistant)
            table.talk._known = known
            keep = attrs.evolve(table.talk._talk, keep_role=lambda *told: kept.append(told))
            table.talk.engage(keep)
            table.talk.begin_as("Pirate")
            table.talk.engage(keep)
            self.assertEqual((table.talk.role, kept), (self.assistant.roles[0], []))
            for name in ("pirate", "nobody", "default"):
                table.talk.become(name)
            self.assertEqual(kept, asked)
            table.talk.begin_as("Pirate")  # the store was slow
            self.assertIsNone(table.talk.role)
            kept.clear()
        table = self.table(assistant=self.assistant)
        table.talk.begin_as("somebody who was there before")
        self.assertIsNone(table.talk.role)

    def test_taken_away(self) -> None:
        """A role that the settings have no more is left with the next question."""
        table = self.table(assistant=self.assistant)
        table.talk.become("Pirate")
        table.talk.engage(table.talk._talk)
        self.assertIs(table.talk.role, self.assistant.roles[0])
        other = Table(minds=FakeMinds("x"), speech=FakeSpeech())
        self.addCleanup(other.session.close)
        table.talk.engage(other.talk._talk)
        self.assertIsNone(table.talk.role)


class Forgetting(Case):
    def test_last_minutes(self) -> None:
        """What was said in the last minutes can be dropped, or all of it."""
        table = self.table(*[["Hello."]] * 3)
        self.ask(table, "one")
        table.pass_time(60)
        self.ask(table, "two")
        table.talk.forget(30)
        self.assertEqual([entry.text for entry in table.session.said()], ["one", "Hello."])
        table.talk.forget(None)
        self.assertEqual(table.session.said(), [])

    def test_last_said(self) -> None:
        """What came before the question that is being answered began so long ago."""
        table = self.table(*[["Hello."]] * 2)
        self.ask(table, "one")
        self.assertIsNone(table.talk.last)
        table.pass_time(60)
        self.ask(table, "two")
        assert table.talk.last is not None
        table.talk.forget(table.talk.last + 0.1)
        self.assertEqual(table.session.said(), [])

    def test_about(self) -> None:
        """What is about something goes with its question or answer, and all else stays."""
        table = self.table(["Nice."], ["Good evening."], ["Your dog Rex."], ["Forgotten."])
        for text in ("I have a dog", "hello", "who is Rex?", "forget all about my dog"):
            self.ask(table, text)
            table.pass_time(5)
        table.talk.forget(None, "my dog")
        self.assertEqual([one.text for one in table.session.said()], ["hello", "Good evening."])


class Remembering(Case):
    def test_recalled(self) -> None:
        """What is known of the user is told to the model, once asked for; later for a new talk."""
        asked: list[str] = []
        known = Recollection((Fact("The user likes tea.", 1.0),))

        def recall(device: str) -> Deferred[Recollection]:
            asked.append(device)
            return succeed(known)

        table = self.table(*[["Hello."]] * 3)
        table.talk.engage(attrs.evolve(table.talk._talk, recall=recall))
        for _ in range(2):
            self.ask(table, "hi")
        minds: Any = table.minds
        for messages in minds.asked:
            self.assertIn("likes tea", messages[0].content)
        self.assertEqual(asked, ["d1"])
        table.talk.forget(60)
        self.ask(table, "hi")
        self.assertEqual(asked, ["d1", "d1"])

    def test_summed_up(self) -> None:
        """What is too old to be told whole is summed up while nobody waits; or an extract does."""
        waiting: Deferred[None] = Deferred()
        asked: list[str] = []

        async def think(instruction: str, text: str, language: str) -> AsyncGenerator[str, None]:
            asked.append(text)
            await waiting
            yield "They told numbers."

        about = Assistant(history_tokens=160)
        table = self.table(*[["Hello."]] * 12, assistant=about)
        table.talk.engage(attrs.evolve(table.talk._talk, think=think))
        for number in range(4):
            self.ask(table, f"My number {number} {LONG}")
        self.assertEqual(len(asked), 1)
        minds: Any = table.minds
        self.assertIn("My number", minds.asked[-1][0].content)
        waiting.callback(None)
        self.ask(table, "hi")
        self.assertIn("They told numbers.", minds.asked[-1][0].content)

    def test_given_up(self) -> None:
        """With the connection ends what is summed up for it; where there is no mind, nothing is."""
        waiting: Deferred[None] = Deferred()

        async def think(*asked: str) -> AsyncGenerator[str, None]:
            await waiting
            yield ""

        for with_mind in (True, False):
            table = self.table(*[["Hello."]] * 9, assistant=Assistant(history_tokens=60))
            if with_mind:
                table.talk.engage(attrs.evolve(table.talk._talk, think=think))
            for _ in range(3):
                self.ask(table, f"This {LONG}")
            table.session.close()
            self.assertTrue(waiting.called)


class Badges(Case):
    def test_words_of_the_user(self) -> None:
        """A badge is sent no `stt`, which it would speak; other devices show it."""
        table = self.table(["Hello."], ["Hello."])
        self.assertEqual(self.ask(table, "hi")[0], "stt: hi")
        table.link.badge = True
        self.assertEqual(self.ask(table, "hi")[0], "tts start")
