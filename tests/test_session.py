"""One device's session, from packets to packets."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import provider

from tests.fakes import (
    FakeMinds,
    FakeRecognition,
    FakeSpeech,
    LoudDetector,
    Table,
    packets,
    silence,
    tone,
)
from xiaozhi.ears import Ears
from xiaozhi.endpointing import Limits
from xiaozhi.errors import ServiceError
from xiaozhi.manners import Manners
from xiaozhi.messages import (
    Abort,
    Detect,
    ListenStart,
    ListenStop,
    Sound,
)
from xiaozhi.scope import Scope, current
from xiaozhi.services.asr import Transcript

ANSWER = [
    "stt: hello",
    "tts start",
    "tts sentence_start: I am fine.",
    "20 frames",
    "tts sentence_end: I am fine.",
    "tts sentence_start: And you?",
    "20 frames",
    "tts sentence_end: And you?",
    "tts stop",
]


class Case(SynchronousTestCase):
    """A test with tables, which are cleared at its end."""

    def table(self, *args: Any, **kwargs: Any) -> Table:
        table = Table(*args, **kwargs)
        self.addCleanup(table.session.close)
        return table


class Auto(Case):
    def test_whole_turn(self) -> None:
        """Speech, silence, answer; and the next utterance without a new `listen start`."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        for _ in range(2):
            table.hear(tone(1.2) + silence(1.5))
            table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER * 2)
        self.assertEqual(table.session.state, "listening")
        self.assertEqual(
            [message.content for message in table.minds.asked[1][1:]],
            ["hello", "I am fine. And you?", "hello"],
        )

    def test_pace(self) -> None:
        """`tts start` comes a frame before the sound, five frames at once, then one by one."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.5))
        table.pass_time(4.0)
        start = next(e.time for e in table.link.events if "start" in str(e.what))
        frames = [e.time - start for e in table.link.events if isinstance(e.what, bytes)]
        stop = table.link.events[-1].time - start
        self.assertEqual(len(frames), 40)
        for number, time in enumerate(frames):
            due = 0.06 + max(0, number - 4) * 0.06
            self.assertLess(abs(time - due), 0.021, f"frame {number} left at {time}, due {due}")
        self.assertLess(abs(stop - (0.06 + 40 * 0.06 + 0.12)), 0.03)

    def test_one_sentence_ahead(self) -> None:
        """The next sentence is synthesised while one plays, and the one after that waits."""
        table = self.table(minds=FakeMinds("One. Two. Three. Four. Five."))
        table.session.receive(Detect("count"))
        table.pass_time(0.3)
        self.assertEqual([sentence for sentence, _ in table.speech.sentences], ["One.", "Two."])
        table.pass_time(1.2)
        self.assertEqual(len(table.speech.sentences), 3)

    def test_frame_sizes(self) -> None:
        """Devices send frames of 10, 20, 40 or 60 ms."""
        for frame_ms in (10, 20, 40, 60):
            table = self.table()
            table.session.receive(ListenStart("auto"))
            table.hear(tone(1.2) + silence(1.5), frame_ms)
            table.pass_time(4.0)
            self.assertEqual(table.told(), ANSWER, f"{frame_ms} ms")

    def test_language_of_the_recogniser(self) -> None:
        """Among languages of one script, the recogniser knows which was spoken."""
        table = self.table(FakeRecognition(Transcript("Bonjour", "fr"), "hello"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.5))
        self.assertEqual(table.minds.languages, ["fr"])

    def test_first_words(self) -> None:
        """What was said before `listen start` came is part of the utterance."""
        table = self.table()
        table.hear(tone(0.9))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(0.6) + silence(1.5))
        self.assertGreater(table.recognition.utterances[0].seconds, 1.5)

    def test_whole_utterance_before_start(self) -> None:
        """Even an utterance that was over before `listen start` came is answered."""
        table = self.table()
        table.hear(silence(0.2) + tone(0.6) + silence(1.1))
        table.session.receive(ListenStart("auto"))
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)

    def test_burst(self) -> None:
        """Two seconds that come at once are looked at in small parts, others served in between."""
        table = self.table()
        seen: list[bytes] = []
        probability = LoudDetector.probability

        def look(detector: LoudDetector, pcm: bytes) -> float:
            seen.append(pcm)
            return probability(detector, pcm)

        self.patch(LoudDetector, "probability", look)
        parts: list[int] = []
        go_on = Ears.go_on

        def part(ears: Ears, now: float) -> Iterator[Any]:
            yield from go_on(ears, now)
            parts.append(len(seen))
            seen.clear()

        self.patch(Ears, "go_on", part)
        for packet in packets(tone(1.2) + silence(0.7)):
            table.session.receive(Sound(packet))
        table.session.receive(ListenStart("auto"))
        self.assertEqual(len(parts), 1)  # the others have their turn
        table.pass_time(0.02)
        self.assertEqual(sum(parts), 96)
        self.assertLessEqual(max(parts), 12)
        self.assertEqual(table.session.state, "hearing")
        table.hear(silence(0.6))
        self.assertEqual(table.told()[0], "stt: hello")
        self.assertGreater(table.recognition.utterances[0].seconds, 1.8)

    def test_sound_of_an_earlier_talk(self) -> None:
        """What was kept long ago is not part of the next utterance."""
        table = self.table()
        table.hear(tone(1.0))
        table.pass_time(10.0)
        table.session.receive(ListenStart("auto"))
        table.pass_time(1.0)
        self.assertEqual(table.session.state, "listening")

    def test_onset_is_kept(self) -> None:
        """The sound before speech was detected is recognised with it."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        table.hear(silence(0.6) + tone(1.0) + silence(1.2))
        self.assertGreater(table.recognition.utterances[0].seconds, 2.5)

    def test_going_on(self) -> None:
        """Who goes on while the answer is made is recognised from the beginning on."""
        table = self.table(FakeRecognition(Deferred(), "the whole of it"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.0) + silence(1.3) + tone(1.0) + silence(1.2))
        first, second = table.recognition.utterances
        self.assertTrue(first.cancelled)
        self.assertGreater(second.seconds, 4.0)
        table.pass_time(4.0)
        self.assertEqual(table.told()[0], "stt: the whole of it")
        self.assertEqual(len(table.minds.asked), 1)

    def test_question_that_goes_on_is_asked_once(self) -> None:
        """What was recognised before the user went on is not left in the history."""
        table = self.table(FakeRecognition("tell me", "tell me a story"), FakeMinds(Deferred()))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.0) + silence(1.3) + tone(1.0) + silence(1.2))
        self.assertEqual(
            [[m.content for m in asked[1:]] for asked in table.minds.asked],
            [["tell me"], ["tell me a story"]],
        )

    def test_microphone_is_ignored_while_speaking(self) -> None:
        """In auto mode the microphone hears the answer, which is no utterance."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2) + tone(2.0))
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)

    def test_sound_stops_coming(self) -> None:
        """An utterance whose sound stops coming is answered all the same."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.0))
        table.pass_time(2.9)
        self.assertEqual(table.told(), [])
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)

    def test_nothing_understood(self) -> None:
        """An utterance without words is answered with nothing at all."""
        table = self.table(FakeRecognition("", "hello"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.0) + silence(1.2))
        self.assertEqual((table.told(), table.session.state), ([], "listening"))
        table.hear(tone(1.0) + silence(1.2))
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)

    def test_broken_sound(self) -> None:
        """Empty frames, tiny packets and garbage disturb nothing."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        for garbage in (b"", b"\xff", b"\xff\xff\xff", b"\x00" * 3, bytes(range(256)) * 5):
            table.session.receive(Sound(garbage))
        table.hear(tone(1.2) + silence(1.5))
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)


class Manual(Case):
    def test_whole_turn(self) -> None:
        """Press, speak with a long pause, release; the tail is waited for."""
        table = self.table()
        table.session.receive(ListenStart("manual"))
        table.hear(tone(0.6) + silence(2.4) + tone(0.6))
        table.session.receive(ListenStop())
        table.hear(tone(0.12))
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)
        self.assertEqual(table.session.state, "idle")
        (utterance,) = table.recognition.utterances
        self.assertLess(abs(utterance.seconds - 3.72), 0.1)

    def test_nothing_said(self) -> None:
        """A button pressed in silence asks no recogniser: it would make up words."""
        table = self.table(FakeRecognition())
        table.session.receive(ListenStart("manual"))
        table.hear(silence(1.0))
        table.session.receive(ListenStop())
        table.pass_time(1.0)
        self.assertEqual((table.told(), table.session.state), ([], "idle"))

    def test_lost_release(self) -> None:
        """When a held button's sound stops coming, it is answered after 5 s."""
        table = self.table()
        table.session.receive(ListenStart("manual"))
        table.hear(tone(1.0))
        table.pass_time(4.8)
        self.assertEqual(table.told(), [])
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)


class Interrupted(Case):
    def speaking(self, mode: str = "auto") -> Table:
        table = self.table(speech=FakeSpeech(3.0))
        table.session.receive(ListenStart(mode))  # type: ignore[arg-type]
        table.hear(tone(1.2) + silence(1.2))
        table.pass_time(0.5)
        self.assertEqual(table.session.state, "speaking")
        return table

    def test_abort(self) -> None:
        """After `abort` no frame leaves, and `tts stop` is the next message."""
        table = self.speaking()
        before = len(table.link.events)
        table.session.receive(Abort())
        table.pass_time(5.0)
        self.assertEqual(len(table.link.events), before + 1)
        self.assertEqual(table.told()[-1], "tts stop")
        self.assertEqual((table.minds.closed, table.session.state), (1, "listening"))

    def test_only_what_was_heard(self) -> None:
        """The history keeps the words that can have been played, and no more."""
        table = self.table(minds=FakeMinds("One two three four five six seven eight nine ten."))
        table.speech.seconds = 6.0
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        table.pass_time(2.7)
        table.session.receive(Abort())
        table.session.receive(Detect("go on"))
        heard = table.minds.asked[1][2].content
        self.assertIn(heard, ("One two three four…", "One two three four five…"))

    def test_abort_while_thinking(self) -> None:
        """`abort` stops the model where it works; the question is forgotten."""
        table = self.table(minds=FakeMinds(Deferred()))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        self.assertEqual((table.session.state, table.minds.closed), ("thinking", 0))
        table.session.receive(Abort())
        self.assertEqual((table.told(), table.minds.closed), (["stt: hello", "tts stop"], 1))

    def test_abort_while_synthesising(self) -> None:
        """`abort` stops the speaker where it works."""
        table = self.table()
        table.speech.wait = Deferred()
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        self.assertEqual(table.session.state, "speaking")
        table.session.receive(Abort())
        self.assertEqual((table.speech.closed, table.minds.closed), (1, 1))

    def test_barge_in_on_typed_text(self) -> None:
        """In realtime, a voice that began before the answer did interrupts it all the same."""
        table = self.table(speech=FakeSpeech(3.0))
        table.session.receive(ListenStart("realtime"))
        table.session.receive(Detect("sing"))
        table.hear(tone(1.2))
        self.assertEqual(table.told()[-1], "tts stop")
        self.assertEqual(table.session.state, "hearing")

    def test_barge_in(self) -> None:
        """In realtime, voice stops the answer and is heard from its first sound on."""
        table = self.speaking("realtime")
        table.hear(silence(0.3) + tone(0.24))
        self.assertEqual(table.told()[-1], "tts stop")
        table.hear(tone(0.9) + silence(1.2))
        self.assertGreater(table.recognition.utterances[1].seconds, 1.3)
        self.assertEqual(len(table.minds.asked), 2)

    def test_typed_text(self) -> None:
        """Typed text is answered at once, whatever was being said."""
        table = self.speaking()
        table.session.receive(Abort())
        table.session.receive(Detect("sing"))
        table.pass_time(0.2)
        told = table.told()
        self.assertEqual(told[told.index("tts stop") :][:3], ["tts stop", "stt: sing", "tts start"])


class TooLong(Case):
    def test_endless_speech(self) -> None:
        """Speech without end is cut, answered, and recognised once, not over and over."""
        table = self.table(limits=Limits(longest=5.0), speech=FakeSpeech(3.0))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(9.0))
        self.assertEqual(len(table.recognition.utterances), 1)
        self.assertEqual(table.told()[0], "stt: hello")

    def test_bounce_with_silence(self) -> None:
        """Silence that ends the utterance just as the button bounces leaves nothing stuck."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        table.hear(tone(0.9) + silence(0.96))
        table.session.receive(ListenStop())
        table.hear(silence(0.12))
        table.session.receive(ListenStart("auto"))
        table.hear(silence(1.0))
        table.pass_time(4.0)
        self.assertEqual(table.told(), ANSWER)

    def test_late_frames(self) -> None:
        """Frames that were queued when the button was released are all heard."""
        table = self.table()
        table.session.receive(ListenStart("manual"))
        table.hear(tone(1.2))
        table.session.receive(ListenStop())
        for packet in packets(tone(1.2)):
            table.session.receive(Sound(packet))
            table.pass_time(0.02)
        table.pass_time(0.5)
        self.assertGreater(table.recognition.utterances[0].seconds, 2.0)


class Broken(Case):
    def turn(self, table: Table) -> list[str]:
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        table.pass_time(6.0)
        self.assertEqual(table.session.state, "listening")
        return table.told()

    def test_no_recogniser(self) -> None:
        """When nothing can recognise, the user is told so, aloud."""
        told = self.turn(self.table(FakeRecognition(ServiceError("asr", "gone"))))
        self.assertEqual(told[0], "tts start")
        self.assertIn("cannot hear", told[1])

    def test_no_model(self) -> None:
        """When no model can answer, the user is told so, in their language."""
        table = self.table(FakeRecognition("你好吗"), FakeMinds(ServiceError("llm", "gone")))
        told = self.turn(table)
        self.assertIn("抱歉", told[2])
        self.assertEqual(told[-1], "tts stop")

    def test_model_breaks_off(self) -> None:
        """An answer that breaks off is closed with a sentence."""
        told = self.turn(self.table(minds=FakeMinds("Well. And", ServiceError("llm", "gone"))))
        said = [line for line in told if "sentence_start" in line]
        self.assertEqual(
            [line.partition(": ")[2] for line in said], ["Well.", "And", "Sorry, I lost my thread."]
        )

    def test_one_sentence_cannot_be_spoken(self) -> None:
        """A sentence that no speaker can say is shown, and the next one is said."""
        speech = FakeSpeech()
        speech.failures = [ServiceError("tts", "odd text")]
        self.assertEqual(
            self.turn(self.table(speech=speech)),
            [
                "stt: hello",
                "tts start",
                "tts sentence_start: I am fine.",
                "tts sentence_end: I am fine.",
                "tts sentence_start: And you?",
                "20 frames",
                "tts sentence_end: And you?",
                "tts stop",
            ],
        )

    def said(self, speech: FakeSpeech, *pieces: str) -> list[str]:
        """Tell which sentences of an answer are shown, and which have sound."""
        told = self.turn(self.table(speech=speech, minds=FakeMinds(*pieces)))
        said = []
        for line, after in itertools.pairwise(told):
            if "sentence_start" in line:
                said.append(line.partition(": ")[2] + (" <" if "frames" in after else ""))
        self.assertEqual(told[-1], "tts stop")
        return said

    def test_last_sentence_cannot_be_spoken(self) -> None:
        """An answer whose end is missing is closed with a sentence."""
        for failure in ("half", ServiceError("tts", "odd text")):
            speech = FakeSpeech()
            speech.failures = [None, failure]
            said = self.said(speech, "One. Two.")
            self.assertEqual(said[0], "One. <")
            self.assertEqual(said[2], "Sorry, I lost my thread. <")

    def test_no_voice(self) -> None:
        """When no voice can, the answer is shown; two are tried; then the user is told, aloud."""
        speech = FakeSpeech()
        speech.failures = [ServiceError("tts", "gone")] * 2
        self.assertEqual(
            self.said(speech, "One. Two. Three. Four."),
            ["One.", "Two.", "Three.", "Four.", "Sorry, something is wrong with my voice. <"],
        )
        self.assertEqual(len(speech.sentences), 3)

    def test_no_voice_at_all(self) -> None:
        """Where even that cannot be said, the turn ends all the same."""
        speech = FakeSpeech()
        speech.failures = [ServiceError("tts", "gone")] * 3
        self.assertEqual(len(self.said(speech, "One. Two. Three.")), 4)

    def test_endless_answer(self) -> None:
        """An answer without end is closed after some minutes' worth of text, and not asked on."""
        minds = FakeMinds(*["This goes on and on. "] * 1000)
        table = self.table(minds=minds, speech=FakeSpeech(0.06))
        table.session.receive(Detect("tell me everything"))
        table.pass_time(30)
        shown = [line for line in table.told() if "sentence_start" in line]
        self.assertEqual(shown[-1], "tts sentence_start: Let me stop here.")
        self.assertLess(len(shown), 170)
        self.assertEqual((minds.closed, table.session.state), (1, "listening"))

    def test_slow_answer(self) -> None:
        """Who waits for four seconds hears that it is being thought about; it is no answer."""
        wait: Deferred[None] = Deferred()
        minds = FakeMinds(wait, "Yes.")
        table = self.table(minds=minds)
        table.session.receive(Detect("are you there?"))
        table.pass_time(3.9)
        self.assertEqual(table.told(), ["stt: are you there?"])
        table.pass_time(2.0)
        self.assertEqual(table.told()[2], "tts sentence_start: Hmm, let me think.")
        wait.callback(None)
        table.pass_time(3.0)
        self.assertEqual(table.told()[-1], "tts stop")
        table.session.receive(Detect("sure?"))
        asked = [message.content for message in minds.asked[1][1:]]
        self.assertEqual(asked, ["are you there?", "Yes.", "sure?"])

    def test_very_slow_answer(self) -> None:
        """Who goes on waiting is told so once more, and then left in peace."""
        table = self.table(minds=FakeMinds(Deferred(), "Yes."))
        table.session.receive(Detect("are you there?"))
        table.pass_time(11.9)
        self.assertEqual(len([line for line in table.told() if "sentence_start" in line]), 1)
        table.pass_time(60.0)
        shown = [line.partition(": ")[2] for line in table.told() if "sentence_start" in line]
        self.assertEqual(shown, ["Hmm, let me think.", "Still thinking, one moment please."])

    def test_slow_answer_given_up(self) -> None:
        """Who gives up before, or while it is being thought about, ends it all."""
        for seconds in (1.0, 4.5, 8.0):
            minds = FakeMinds(Deferred(), "Yes.")
            table = self.table(minds=minds)
            table.session.receive(Detect("are you there?"))
            table.pass_time(seconds)
            table.session.receive(Abort())
            table.pass_time(5.0)
            self.assertEqual((table.told()[-1], minds.closed), ("tts stop", 1))

    def test_slow_failure(self) -> None:
        """Who was told that it is being thought about is told, too, that it came to nothing."""
        wait: Deferred[None] = Deferred()
        table = self.table(minds=FakeMinds(wait, ServiceError("llm", "gone")))
        table.session.receive(Detect("are you there?"))
        table.pass_time(5.0)
        wait.callback(None)
        table.pass_time(3.0)
        shown = [line for line in table.told() if "sentence_start" in line]
        self.assertIn("cannot think of an answer", shown[1])

    def test_empty_answer(self) -> None:
        """A turn with nothing to say sends neither `tts start` nor `tts stop`."""
        self.assertEqual(
            self.turn(self.table(minds=FakeMinds("<think>hm</think> 🙂"))), ["stt: hello"]
        )

    def test_cancelled_by_nobody(self) -> None:
        """A model that says it was cancelled, when it was not, does not leave the turn hanging."""
        self.assertEqual(self.turn(self.table(minds=FakeMinds(CancelledError()))), ["stt: hello"])

    def test_fault_after_a_result(self) -> None:
        """A fault of ours in what follows a late result ends the turn as well."""
        text: Deferred[str] = Deferred()
        table = self.table(FakeRecognition(text, "hello"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        table.minds.reply = None  # type: ignore[assignment, method-assign]
        text.callback("hello")
        table.pass_time(0.1)
        self.assertEqual(table.session.state, "listening")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_fault_in_a_timer(self) -> None:
        """A fault of ours in a timer closes the connection, as one in a message does."""
        table = self.table()
        table.session.receive(ListenStart("manual"))
        self.patch(table.session, "_waited", lambda number: 1 / 0)
        table.session.receive(ListenStop())
        table.pass_time(0.3)
        self.assertEqual(table.told()[-1], "close 1011")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_unheard_sound(self) -> None:
        """Sound that could not be sent was not heard."""
        table = self.table()
        table.session.receive(Detect("hi"))
        table.link.pauseProducing()
        table.pass_time(1.0)
        table.link.resumeProducing()
        table.session.receive(Abort())
        table.session.receive(Detect("go on"))
        self.assertEqual([m.content for m in table.minds.asked[1][1:]], ["go on"])

    def test_our_fault(self) -> None:
        """A fault of ours ends the turn, not the session."""
        table = self.table(minds=FakeMinds(ZeroDivisionError()))
        self.assertEqual(self.turn(table), ["stt: hello"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_our_fault_later(self) -> None:
        """The same, when the model was waited for; it is said once."""
        for seconds in (1.0, 5.0):
            wait: Deferred[None] = Deferred()
            table = self.table(minds=FakeMinds(wait, ZeroDivisionError()))
            table.session.receive(Detect("hi"))
            table.pass_time(seconds)
            wait.callback(None)
            table.pass_time(5.0)
            self.assertEqual((table.session.state, table.minds.closed), ("listening", 1))
            gc.collect()
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_our_fault_in_a_voice(self) -> None:
        """A fault of ours while a sentence is spoken ends the turn, and closes what it was about.

        Also if that is the phrase said meanwhile, with the model's answer still to come.
        """
        for wait in ([], [Deferred[None]()]):
            table = self.table(minds=FakeMinds(*wait, "Yes. No."))
            self.patch(table.speech, "speak", lambda sentence, language: 1 / 0)
            table.session.receive(Detect("hi"))
            table.pass_time(5.0)
            self.assertEqual((table.told()[1], table.told()[-1]), ("tts start", "tts stop"))
            self.assertEqual((table.session.state, table.minds.closed), ("listening", 1))
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Early(Case):
    """The text is looked for in the pause that may be the end."""

    def test_in_time(self) -> None:
        """A recogniser that takes less than the rest of the silence costs no time."""
        text: Deferred[str] = Deferred()
        table = self.table(FakeRecognition(text))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(0.6))
        self.assertEqual(len(table.recognition.texts), 0)
        text.callback("hello")
        table.hear(silence(0.3))
        self.assertEqual((table.told(), table.session.state), ([], "hearing"))
        table.hear(silence(0.18))
        self.assertEqual(table.told()[:2], ["stt: hello", "tts start"])
        self.assertEqual(len(table.recognition.utterances), 1)

    def test_what_was_kept(self) -> None:
        """Of an utterance that was over, or nearly, before it was listened to, no less."""
        table = self.table(FakeRecognition(Deferred()))
        for packet in packets(tone(0.5) + silence(0.7)):
            table.session.receive(Sound(packet))
            table.pass_time(0.06)
        table.session.receive(ListenStart("auto"))
        table.hear(silence(0.06))
        self.assertEqual((table.session.state, table.recognition.texts), ("hearing", []))

    def test_goes_on(self) -> None:
        """Who goes on is heard from the beginning, by another; what the first says is nothing."""
        first: Deferred[str] = Deferred()
        table = self.table(FakeRecognition(first, "the whole of it"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(0.8) + tone(1.2) + silence(1.2))
        one, two = table.recognition.utterances
        self.assertTrue(one.cancelled)
        self.assertGreater(two.seconds, 4.1)
        self.assertEqual(table.told()[0], "stt: the whole of it")

    def test_not_for_ever(self) -> None:
        """Who pauses again and again is recognised in vain three times, not more."""
        table = self.table(FakeRecognition(*["in vain"] * 3, "all"))
        table.session.receive(ListenStart("auto"))
        for _ in range(6):
            table.hear(tone(0.6) + silence(0.6))
        self.assertEqual(table.recognition.texts, ["all"])
        table.hear(silence(0.6))
        self.assertEqual(table.told()[0], "stt: all")

    def test_no_time_to_spare(self) -> None:
        """While recognisers are busy, nothing is recognised that may be in vain."""
        table = self.table()
        table.recognition.spare = False
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(0.9))
        self.assertEqual(len(table.recognition.texts), 9)

    def test_fails_early(self) -> None:
        """A recognition that failed early is a failure when it is asked for, and not before."""
        table = self.table(FakeRecognition(ServiceError("asr", "gone")))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(0.9))
        self.assertEqual(table.told(), [])
        table.hear(silence(0.2))
        self.assertIn("cannot hear", table.told()[1])

    def test_fails_for_nobody(self) -> None:
        """A recognition that failed early, and was in vain, is nobody's failure."""
        table = self.table(FakeRecognition(ServiceError("asr", "gone"), "hello"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(0.7) + tone(0.6) + silence(1.2))
        self.assertEqual(table.told()[0], "stt: hello")

    def test_engines_get_ready(self) -> None:
        """While the user speaks, the engines get ready."""
        table = self.table()
        table.session.receive(ListenStart("auto"))
        table.hear(tone(0.3))
        self.assertEqual(table.warmed, [None])


class Faces(Case):
    def test_emotion(self) -> None:
        """The first emoji becomes one face, after `tts start`; no emoji is read aloud."""
        table = self.table(minds=FakeMinds("😂 That is ", "funny! 😢 Bye."))
        table.session.receive(Detect("joke"))
        table.pass_time(6.0)
        told = table.told()
        self.assertEqual([line for line in told if line.startswith("llm")], ["llm funny: 😂"])
        self.assertGreater(told.index("llm funny: 😂"), told.index("tts start"))
        self.assertNotIn("😢", "".join(sentence for sentence, _ in table.speech.sentences))


class Woken(Case):
    def test_greeting(self) -> None:
        """The wake word's own sound is no utterance; it is answered with a greeting."""
        table = self.table()
        table.hear(tone(0.9))
        table.session.receive(Detect("hi ESP"))
        table.session.receive(ListenStart("auto"))
        table.hear(silence(0.96))
        table.pass_time(3.0)
        self.assertEqual(
            table.told()[0:2], ["tts start", "tts sentence_start: Hello, I am listening."]
        )
        self.assertEqual((table.recognition.utterances, table.session.state), ([], "listening"))

    def test_speech_goes_on(self) -> None:
        """Speech that goes straight on is one utterance with the wake word, which is cut off."""
        table = self.table(FakeRecognition("Hi ESP, sing a song"))
        table.hear(tone(0.9))
        table.session.receive(Detect("hi ESP"))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.5) + silence(1.2))
        table.pass_time(0.2)
        self.assertEqual(table.told()[0], "stt: sing a song")
        self.assertGreater(table.recognition.utterances[0].seconds, 3.0)

    def test_stray_packet(self) -> None:
        """A packet that came late does not make typed text a wake word."""
        table = self.table()
        table.hear(tone(0.06))
        table.session.receive(Detect("what time is it"))
        self.assertEqual(table.told()[0], "stt: what time is it")

    def test_greeting_language(self) -> None:
        """The greeting is in the language of the device's user."""
        table = self.table(language="zh")
        table.session.receive(Detect("hey jarvis"))
        table.pass_time(1.5)
        self.assertEqual(table.speech.sentences[0][1], "zh")

    def test_silent(self) -> None:
        """With greetings off, the server just listens."""
        table = self.table(manners=Manners(wakeup_words=("hey jarvis",), greets=False))
        table.session.receive(Detect("Hey Jarvis!"))
        table.pass_time(2.0)
        self.assertEqual((table.told(), table.session.state), ([], "listening"))


class Rest(Case):
    def test_stutter(self) -> None:
        """The same text twice at once is asked once; later it is asked again."""
        table = self.table()
        for pause in (0.1, 0.1, 0.5, 0.0):
            table.session.receive(Detect("sing"))
            table.pass_time(pause)
        self.assertEqual(len(table.minds.asked), 2)

    def test_account(self) -> None:
        """What went wrong on the wire is counted."""
        table = self.table()
        table.session.receive(Sound(b"\xff" * 9))
        self.assertIn("1 corrupt", table.session.account())

    def test_closed_at_any_moment(self) -> None:
        """Closing ends everything, whatever is under way; nothing happens afterwards."""
        for seconds in (0.0, 0.5, 1.2, 1.9, 2.4, 3.0):
            table = self.table()
            table.session.receive(ListenStart("auto"))
            table.hear((tone(1.2) + silence(2.4))[: int(seconds * 32000)])
            table.session.close()
            events = len(table.link.events)
            self.assertEqual(table.clock.getDelayedCalls(), [], f"after {seconds} s")
            table.session.receive(ListenStart("auto"))
            table.hear(tone(0.5))
            table.session.close()
            table.pass_time(1.0)
            self.assertEqual(len(table.link.events), events)
            for utterance in table.recognition.utterances:
                self.assertTrue(utterance.cancelled)

    def test_closed_from_outside(self) -> None:
        """Whoever closes it, a stop of the server too: what was said is told as the session's."""
        table = self.table()
        table.link.scope = Scope("session", "device")
        table.session.receive(Detect("tell me"))
        table.pass_time(1.0)
        told: list[Scope | None] = []

        @provider(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event["log_format"].startswith("said"):
                told.append(current())

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        table.session.close()
        self.assertEqual(told, [table.link.scope])

    def test_closed_while_a_result_is_due(self) -> None:
        """A text that arrives after the close is nobody's."""
        text: Deferred[str] = Deferred()
        table = self.table(FakeRecognition(text))
        table.session.receive(ListenStart("auto"))
        table.hear(tone(1.2) + silence(1.2))
        table.session.close()
        self.assertTrue(text.called)
        self.assertEqual(table.minds.asked, [])
