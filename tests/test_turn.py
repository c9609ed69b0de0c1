"""Whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.playbook import Playbook
from tests.turn_table import documented, table
from xiaozhi import events as e
from xiaozhi import turn as t
from xiaozhi.endpointing import Hush, Speech
from xiaozhi.manners import Manners
from xiaozhi.messages import (
    CANCEL_TONE,
    TTS_START,
    TTS_STOP,
    Abort,
    Alert,
    ListenStart,
    ListenStop,
    Sound,
    Stt,
)

START, STOP = e.Send(TTS_START), e.Send(TTS_STOP)
P = b"a packet"


def listening(mode: str = "auto") -> Playbook:
    book = Playbook().on(ListenStart(mode))  # type: ignore[arg-type]
    return book.does(e.Listen(kept=True)).in_state("listening")


def hearing(mode: str = "auto") -> Playbook:
    return listening(mode).on(Speech()).does(e.Open(1)).in_state("hearing")


def thinking(mode: str = "auto") -> Playbook:
    return hearing(mode).on(Hush()).does(e.Transcribe(1)).in_state("thinking")


def answering(mode: str = "auto") -> Playbook:
    book = thinking(mode).on(e.Heard(1, "hello"))
    return book.does(e.Send(Stt("hello")), e.Answer(1, "hello")).in_state("thinking")


def speaking(mode: str = "auto") -> Playbook:
    armed = [e.Listen()] if mode == "realtime" else []
    return answering(mode).on(e.Speaks(1)).does(START, *armed).in_state("speaking")


class Table(SynchronousTestCase):
    def test_documented(self) -> None:
        """ARCHITECTURE.md has the table of every state and event as the code decides it."""
        self.assertEqual(documented().splitlines(), table().splitlines())


class AutoTurn(SynchronousTestCase):
    def test_whole_turn(self) -> None:
        """A spoken question is answered, and the server listens again by itself."""
        book = speaking().on(e.Finished(1)).does(e.Drop(1), STOP, e.Listen())
        book.in_state("listening").on(Speech()).does(e.Open(3))

    def test_sound_goes_where_it_belongs(self) -> None:
        """Sound is kept while idle, heard while listening, and ignored while speaking."""
        Playbook().on(Sound(P)).does(e.Keep(P))
        listening().on(Sound(P)).does(e.Feed(P))
        hearing().on(Sound(P)).does(e.Feed(P))
        thinking().on(Sound(P)).does(e.Feed(P))
        speaking().ignores(Sound(P))

    def test_nothing_said(self) -> None:
        """An utterance without words ends back in listening, and nothing is said."""
        thinking().on(e.Heard(1, "  ")).does(e.Drop(1), e.Listen()).in_state("listening")

    def test_nothing_to_say(self) -> None:
        """A turn with nothing to say sends neither `tts start` nor `tts stop`."""
        answering().on(e.Finished(1)).does(e.Drop(1), e.Listen()).in_state("listening")

    def test_no_recogniser(self) -> None:
        """When nothing can recognise, that is said aloud."""
        book = thinking().on(e.Deaf(1)).does(e.Apologise(1)).on(e.Speaks(1)).does(START)
        book.on(e.Finished(1)).does(e.Drop(1), STOP, e.Listen())

    def test_failure_while_speaking(self) -> None:
        """An answer that breaks off by our fault is still followed by `tts stop`."""
        speaking().on(e.Failed(1)).does(e.Drop(1), STOP, e.Listen()).in_state("listening")

    def test_going_on_after_a_pause(self) -> None:
        """Who goes on before the answer began is heard as one utterance."""
        book = answering().on(Speech()).does(e.Drop(1), e.Open(3, resume=True))
        book.in_state("hearing").ignores(e.Speaks(1), e.Heard(1, "hello"))
        book.on(Hush()).does(e.Transcribe(3))

    def test_no_barge_in_by_voice(self) -> None:
        """In auto mode the microphone hears the answer: voice does not interrupt it."""
        speaking().ignores(Speech(), Hush())

    def test_stop_ends_the_utterance(self) -> None:
        """`listen stop` ends the utterance after the microphone's last frames have come."""
        book = hearing().on(ListenStop()).does(e.Wait(1, 0.15)).in_state("tail")
        book.on(Sound(P)).does(e.Feed(P), e.Wait(1, 0.15))
        book.on(e.Waited(1)).does(e.Transcribe(1))

    def test_endless_tail(self) -> None:
        """A device that streams on after `listen stop` does not put the answer off."""
        book = hearing().on(ListenStop()).does(e.Wait(1, 0.15))
        for _ in range(t.LATE):
            book.on(Sound(P)).does(e.Feed(P), e.Wait(1, 0.15))
        book.on(Sound(P)).does(e.Feed(P))

    def test_silence_in_the_tail(self) -> None:
        """When silence ends the utterance while the last frames come, it is recognised."""
        book = hearing().on(ListenStop()).does(e.Wait(1, 0.15)).on(Hush())
        book.does(e.Transcribe(1)).ignores(e.Waited(1))

    def test_too_long(self) -> None:
        """An utterance that was cut off is answered; going on does not make it longer."""
        book = hearing().on(Hush(cut=True)).does(e.Transcribe(1)).ignores(Speech())
        book.on(e.Heard(1, "hello")).does(e.Send(Stt("hello")), e.Answer(1, "hello"))
        book.ignores(Speech())

    def test_stop_without_an_utterance(self) -> None:
        """`listen stop` with nothing heard ends listening; everything is forgotten."""
        listening().on(ListenStop()).does(e.Clear()).in_state("idle")

    def test_start_repeated(self) -> None:
        """A second `listen start` changes nothing, whatever is under way."""
        for book in (listening(), thinking(), answering(), speaking()):
            book.ignores(ListenStart("auto"), ListenStart(None))
        hearing().on(ListenStart("auto")).does(e.Endpoint(False)).in_state("hearing")


class ManualTurn(SynchronousTestCase):
    def pressed(self) -> Playbook:
        book = Playbook().on(ListenStart("manual")).does(e.Open(1, by_device=True))
        return book.in_state("hearing")

    def test_whole_turn(self) -> None:
        """Press, speak, release, answer, idle."""
        book = self.pressed().on(Sound(P)).does(e.Feed(P)).on(ListenStop()).does(e.Wait(1, 0.15))
        book.on(e.Waited(1)).does(e.Transcribe(1)).ignores(Sound(P), Speech())
        book.on(e.Heard(1, "hi")).does(e.Send(Stt("hi")), e.Answer(1, "hi"))
        book.on(e.Speaks(1)).does(START).on(e.Finished(1)).does(e.Drop(1), STOP, e.Clear())
        book.in_state("idle").on(Sound(P)).does(e.Keep(P))

    def test_button_bounces(self) -> None:
        """Released and pressed again at once: the same utterance goes on."""
        book = self.pressed().on(ListenStop()).does(e.Wait(1, 0.15))
        book.on(ListenStart("manual")).does(e.Endpoint(True)).in_state("hearing")
        book.ignores(e.Waited(1))

    def test_press_interrupts(self) -> None:
        """Pressing the button while the server speaks stops it and begins an utterance."""
        book = speaking().on(ListenStart("manual"))
        book.does(e.Drop(1), STOP, e.Open(3, by_device=True)).in_state("hearing")

    def test_lost_release(self) -> None:
        """When the sound of a held button stops coming, the utterance ends all the same."""
        self.pressed().on(Hush()).does(e.Transcribe(1)).in_state("thinking")

    def test_change_of_mind(self) -> None:
        """A device that goes over to auto while it is heard is endpointed by silence."""
        self.pressed().on(ListenStart("auto")).does(e.Endpoint(False)).in_state("hearing")


class RealtimeTurn(SynchronousTestCase):
    def test_barge_in(self) -> None:
        """Voice stops the answer, and is heard."""
        book = speaking("realtime").on(Sound(P)).does(e.Feed(P))
        book.on(Speech()).does(e.Drop(1), STOP, e.Open(3)).in_state("hearing")

    def test_listens_without_being_told(self) -> None:
        """After `tts stop` the server listens without a new `listen start`."""
        book = speaking("realtime").on(e.Finished(1)).does(e.Drop(1), STOP, e.Listen())
        book.on(Speech()).does(e.Open(3))


class AbortedTurn(SynchronousTestCase):
    def test_every_state(self) -> None:
        """`abort` ends what is under way, and the next message is `tts stop`."""
        Playbook().on(Abort()).does(STOP).in_state("idle")
        listening().on(Abort()).does(STOP, e.Listen()).in_state("listening")
        hearing().on(Abort()).does(e.Drop(1), STOP, e.Listen()).in_state("listening")
        answering().on(Abort()).does(e.Drop(1), STOP, e.Listen()).in_state("listening")
        speaking().on(Abort()).does(e.Drop(1), STOP, e.Listen()).in_state("listening")

    def test_results_come_too_late(self) -> None:
        """After `abort` no result of the turn counts."""
        book = speaking().on(Abort()).does(e.Drop(1), STOP, e.Listen())
        book.ignores(e.Heard(1, "x"), e.Speaks(1), e.Finished(1), e.Failed(1), e.Deaf(1))

    def test_typed_text_follows(self) -> None:
        """`abort` followed at once by typed text is answered."""
        book = speaking().on(Abort()).does(e.Drop(1), STOP, e.Listen())
        book.on(e.Detected("sing")).does(e.Send(Stt("sing")), e.Answer(3, "sing"))


class WokenTurn(SynchronousTestCase):
    def woken(self) -> Playbook:
        book = Playbook().on(Sound(P)).does(e.Keep(P))
        book.on(e.Detected("Hi ESP", follows_sound=True)).does(e.Listen(), e.Wait(1, 1.0))
        return book.in_state("waking").ignores(ListenStart("auto"), Speech(), Hush())

    def test_greeting(self) -> None:
        """A wake word alone is answered with a greeting."""
        book = self.woken().on(Sound(P)).does(e.Feed(P))
        book.on(e.Waited(1, voiced=0.1)).does(e.Greet(1)).in_state("thinking")
        book.on(e.Speaks(1)).does(START).on(e.Finished(1)).does(e.Drop(1), STOP, e.Listen())

    def test_slow_to_begin(self) -> None:
        """Who begins just before the greeting would is let speak, and not greeted."""
        book = self.woken().on(e.Waited(1, voiced=0.1, speaking=True)).does(e.Wait(1, 0.3))
        book.on(e.Waited(1, voiced=0.4, speaking=True)).does(e.Drop(1), e.Open(3))

    def test_speech_before_the_greeting(self) -> None:
        """Who begins before the greeting is heard makes it needless."""
        book = self.woken().on(e.Waited(1, voiced=0.1)).does(e.Greet(1)).on(Speech())
        book.does(e.Drop(1), e.Open(3)).on(Hush()).does(e.Transcribe(3))
        book.on(e.Heard(3, "Hi ESP sing")).does(e.Send(Stt("sing")), e.Answer(3, "sing"))

    def test_said_twice(self) -> None:
        """A wake word that is told twice is one wake."""
        self.woken().ignores(e.Detected("Hi ESP"))

    def test_silent_wake(self) -> None:
        """Without a greeting the server just listens."""
        book = Playbook(Manners(wakeup_words=("hey jarvis",), greets=False))
        book.on(e.Detected("Hey, Jarvis!")).does(e.Listen(), e.Wait(1, 1.0))
        book.on(e.Waited(1)).does(e.Drop(1), e.Listen()).in_state("listening")

    def test_speech_goes_straight_on(self) -> None:
        """Speech that follows the wake word is the utterance; the wake word is cut off."""
        book = self.woken().on(e.Waited(1, voiced=0.5)).does(e.Drop(1), e.Open(3)).on(Hush())
        book.does(e.Transcribe(3)).on(e.Heard(3, "Hi ESP, what time is it?"))
        book.does(e.Send(Stt("what time is it?")), e.Answer(3, "what time is it?"))

    def test_wake_word_alone_recognised(self) -> None:
        """If the utterance was but the wake word, nothing is answered."""
        book = self.woken().on(e.Waited(1, voiced=0.5)).does(e.Drop(1), e.Open(3)).on(Hush())
        book.does(e.Transcribe(3)).on(e.Heard(3, "hi, ESP.")).does(e.Drop(3), e.Listen())

    def test_wake_word_while_speaking(self) -> None:
        """A wake word stops the answer."""
        book = speaking().on(e.Detected("hey jarvis"))
        book.does(e.Drop(1), STOP, e.Listen(), e.Wait(2, 1.0)).in_state("waking")

    def test_wake_word_while_heard(self) -> None:
        """A wake word that is being heard as speech interrupts nothing, and is cut off."""
        book = hearing().on(e.Detected("hey jarvis")).does().in_state("hearing").on(Hush())
        book.does(e.Transcribe(1)).on(e.Heard(1, "hey jarvis sing"))
        book.does(e.Send(Stt("sing")), e.Answer(1, "sing"))

    def test_button_while_waking(self) -> None:
        """A button pressed after the wake word begins the utterance at once."""
        book = self.woken().on(ListenStart("manual"))
        book.does(e.Drop(1), e.Open(3, by_device=True))
        book.ignores(e.Waited(1, voiced=0.5))

    def test_stop_while_waking(self) -> None:
        """A device that stops listening after the wake word is not greeted."""
        book = self.woken().on(ListenStop()).does(e.Drop(1), e.Clear()).in_state("idle")
        book.ignores(e.Waited(1))


class Parting(SynchronousTestCase):
    def parting(self, book: Playbook) -> Playbook:
        return book.on(e.Farewell()).does(e.Part(book.turn.number)).in_state("thinking")

    def test_goodbye(self) -> None:
        """Goodbye is said, and then the connection closed, whether a button begins turns or not."""
        book = self.parting(listening()).on(e.Speaks(0)).does(START)
        book.on(e.Finished(0)).does(e.Drop(0), STOP, e.Listen(), e.Leave())
        self.parting(Playbook()).on(e.Failed(0)).does(e.Drop(0), e.Listen(), e.Leave())

    def test_silent(self) -> None:
        """Where no goodbye is said the connection is closed at once."""
        Playbook(Manners(farewell=False)).on(e.Farewell()).does(e.Leave())

    def test_somebody_is_there(self) -> None:
        """Whoever speaks, types or aborts before the end of it stays."""
        book = self.parting(listening()).on(Speech()).does(e.Drop(0), e.Open(2))
        book.on(Hush()).does(e.Transcribe(2)).on(e.Heard(2, "")).does(e.Drop(2), e.Listen())
        book = self.parting(listening("realtime")).on(e.Speaks(0)).does(START, e.Listen())
        book.on(Speech()).does(e.Drop(0), STOP, e.Open(2)).in_state("hearing")
        book = self.parting(listening()).on(Abort()).does(e.Drop(0), STOP, e.Listen())
        self.parting(book).on(e.Detected("sing")).does(
            e.Drop(1), e.Send(Stt("sing")), e.Answer(2, "sing")
        )

    def test_lapse(self) -> None:
        """When nobody goes on, a badge is told that the dialog is over, and not heard any more."""
        book = listening().on(e.Lapsed()).does(e.Send(CANCEL_TONE), e.Clear()).in_state("idle")
        book.ignores(e.Lapsed()).on(Sound(P)).does(e.Keep(P))


class TypedTurn(SynchronousTestCase):
    def test_every_state(self) -> None:
        """Typed text is a turn of its own, in every state."""
        text = e.Detected("sing")
        said = e.Send(Stt("sing"))
        Playbook().on(text).does(said, e.Answer(1, "sing")).in_state("thinking")
        listening().on(text).does(said, e.Answer(1, "sing"))
        hearing().on(text).does(e.Drop(1), said, e.Answer(2, "sing"))
        answering().on(text).does(e.Drop(1), said, e.Answer(2, "sing"))
        speaking().on(text).does(e.Drop(1), STOP, said, e.Answer(2, "sing"))

    def test_not_resumed(self) -> None:
        """Noise does not drop the answer to typed text."""
        listening().on(e.Detected("sing")).does(e.Send(Stt("sing")), e.Answer(1, "sing")).ignores(
            Speech(), Hush()
        )

    def test_empty(self) -> None:
        """An empty text is nothing."""
        listening().ignores(e.Detected("  "))

    def test_sound_while_listening_is_no_wake(self) -> None:
        """Text typed while the microphone streams is not mistaken for a wake word."""
        listening().on(e.Detected("sing", follows_sound=True)).does(
            e.Send(Stt("sing")), e.Answer(1, "sing")
        )


NUMBERS = st.integers(0, 12)
EVENTS = st.one_of(
    st.builds(Sound, st.just(P)),
    st.builds(ListenStart, st.sampled_from(["auto", "manual", "realtime", None])),
    st.just(ListenStop()),
    st.builds(e.Detected, st.sampled_from(["", "hey jarvis", "sing"]), st.booleans()),
    st.just(Abort()),
    st.just(Speech()),
    st.builds(Hush, st.booleans()),
    st.builds(e.Waited, NUMBERS, st.sampled_from([0.0, 0.5]), st.booleans()),
    st.builds(e.Heard, NUMBERS, st.sampled_from(["", "hello", "hey jarvis"])),
    st.builds(e.Deaf, NUMBERS),
    st.builds(e.Speaks, NUMBERS),
    st.builds(e.Plays, NUMBERS),
    st.builds(e.Finished, NUMBERS),
    st.builds(e.Failed, NUMBERS),
    st.just(e.Farewell()),
    st.just(e.Lapsed()),
    st.builds(e.Due, st.sampled_from(["tea", "cake"]), st.just("en"), again=st.booleans()),
)
CURRENT = st.sampled_from([e.Waited, e.Heard, e.Deaf, e.Speaks, e.Plays, e.Finished, e.Failed])
"""Results of the turn under way."""
WORK = (e.Open, e.Transcribe, e.Answer, e.Greet, e.Apologise, e.Part, e.Announce, e.Wait)


class Announcements(SynchronousTestCase):
    TEA = e.Due("The tea is ready.", "en", "Timer")
    AGAIN = e.Due("The tea is ready.", "en", "Timer", again=True)
    ANSWERED = e.Answered(TEA)
    ALERT = e.Send(Alert("Timer", "The tea is ready.", "neutral"))

    def announcing(self, book: Playbook, number: int) -> Playbook:
        book.on(self.TEA).does(self.ALERT, e.Announce(number, self.TEA))
        return book.in_state("thinking")

    def test_at_once(self) -> None:
        """What is due is shown and said at once where nobody is at it, idle or listening."""
        book = self.announcing(Playbook(), 0).on(e.Speaks(0)).does(START)
        told = e.Told(self.TEA)
        book.on(e.Finished(0)).does(told, e.Drop(0), STOP, e.Listen()).in_state("listening")
        self.announcing(listening(), 0)

    def test_manual(self) -> None:
        """A device with a button is idle again afterwards."""
        book = hearing("auto").on(Abort())
        book.does(e.Drop(1), e.Send(TTS_STOP), e.Listen())
        book.on(ListenStart("manual")).does(e.Open(3, by_device=True)).on(Abort())
        book.does(e.Drop(3), STOP, e.Clear())
        self.announcing(book, 4).on(e.Finished(4)).does(e.Told(self.TEA), e.Drop(4), e.Clear())

    def test_waits(self) -> None:
        """It never cuts anybody off: it waits until who speaks was answered."""
        for book in (hearing(), thinking(), speaking()):
            book.ignores(self.TEA)
        book = speaking().on(self.TEA).does().on(e.Finished(1))
        book.does(e.Drop(1), STOP, e.Listen(), self.ALERT, e.Announce(2, self.TEA))

    def test_gives_way(self) -> None:
        """Who speaks before it is heard is answered first; then it is announced again."""
        book = self.announcing(listening(), 0).on(Speech())
        book.does(e.Drop(0), self.ANSWERED, e.Open(2))
        book.on(Hush()).does(e.Transcribe(2)).on(e.Heard(2, ""))
        book.does(e.Drop(2), e.Listen(), self.ALERT, e.Announce(3, self.TEA))

    def test_broken_off(self) -> None:
        """Who breaks it off, at any time, has noticed: it is told."""
        told = e.Told(self.TEA)
        aborted = (told, e.Drop(0), self.ANSWERED, STOP, e.Listen())
        self.announcing(listening(), 0).on(Abort()).does(*aborted)
        book = self.announcing(listening(), 0).on(e.Speaks(0)).does(START)
        book.on(e.Detected("hey jarvis")).does(
            e.Drop(0), told, STOP, self.ANSWERED, e.Listen(), e.Wait(1, 1.0)
        ).in_state("waking")
        book = self.announcing(listening(), 0).on(e.Speaks(0)).does(START).on(Abort())
        book.does(told, e.Drop(0), STOP, self.ANSWERED, e.Listen())

    def test_music_gives_way(self) -> None:
        """Music, which may never end, is broken off by what is due; the answer before it is not."""
        book = speaking().on(e.Plays(1)).does().on(self.TEA)
        book.does(e.Drop(1), STOP, self.ALERT, e.Announce(2, self.TEA)).in_state("thinking")
        book = speaking().on(self.TEA).does().on(e.Plays(1))
        book.does(e.Drop(1), STOP, self.ALERT, e.Announce(2, self.TEA)).on(e.Speaks(2))
        book.does(START).on(e.Finished(2)).does(e.Told(self.TEA), e.Drop(2), STOP, e.Listen())

    def test_voiceless(self) -> None:
        """What nobody can speak is not tried for ever: it was shown."""
        book = self.announcing(listening(), 0).on(e.Failed(0))
        book.does(e.Told(self.TEA), e.Drop(0), e.Listen()).in_state("listening")

    def test_again(self) -> None:
        """It is said again to who says nothing, and no more once anything was said."""
        book = self.announcing(listening(), 0)
        book.on(e.Finished(0)).does(e.Told(self.TEA), e.Drop(0), e.Listen())
        book.on(self.AGAIN).does(self.ALERT, e.Announce(1, self.AGAIN)).on(e.Finished(1))
        book.does(e.Told(self.AGAIN), e.Drop(1), e.Listen()).on(Speech())
        book.does(e.Answered(self.AGAIN), e.Open(3))
        book.on(Hush()).does(e.Transcribe(3)).on(Abort())  # that was noted before
        book.does(e.Drop(3), e.Send(TTS_STOP), e.Listen())

    def test_answered_meanwhile(self) -> None:
        """What waits to be said again is not, if the user answers what was said at first."""
        book = self.announcing(listening(), 0).on(e.Finished(0))
        book.does(e.Told(self.TEA), e.Drop(0), e.Listen()).on(self.AGAIN)
        book.does(self.ALERT, e.Announce(1, self.AGAIN)).on(Speech()).does(
            e.Drop(1), e.Told(self.AGAIN, spoken=False), e.Answered(self.AGAIN), e.Open(3)
        )
        book.on(Hush()).does(e.Transcribe(3)).on(e.Heard(3, "")).does(e.Drop(3), e.Listen())

    def test_one_after_the_other(self) -> None:
        """Two things that are due are said in their order."""
        cake = e.Due("The cake, too.", "en", "Timer")
        book = self.announcing(listening(), 0).on(cake).does().on(e.Finished(0))
        alert = e.Send(Alert("Timer", "The cake, too.", "neutral"))
        book.does(e.Told(self.TEA), e.Drop(0), e.Listen(), alert, e.Announce(1, cake))

    def test_after_a_wake_word_taken_back(self) -> None:
        """What became due after a wake word is announced when the device stops listening."""
        book = Playbook().on(e.Detected("hey jarvis")).does(e.Listen(), e.Wait(1, 1.0))
        book.on(self.TEA).does().on(ListenStop())
        book.does(e.Drop(1), e.Clear(), self.ALERT, e.Announce(2, self.TEA))


class AnyEvents(SynchronousTestCase):
    @settings(deadline=None, max_examples=400)
    @given(st.lists(st.one_of(EVENTS, CURRENT), max_size=60))
    def test_invariants(self, events: Sequence[Any]) -> None:  # noqa: C901, PLR0912 - a checklist
        """Whatever happens in whatever order, the turn stays well-formed."""
        turn = t.Turn(Manners(wakeup_words=("hey jarvis",)))
        spoken = False
        """Whether `tts start` was sent, and no `tts stop` since."""
        owned: set[int] = set()
        """Turns with work that was not dropped."""
        due = 0
        """Things that are due and were not told."""
        for event in events:
            if isinstance(event, type):
                event = event(turn.number, *(["hello"] if event is e.Heard else []))
            stale = getattr(event, "turn", turn.number) != turn.number
            before = turn.state
            commands = list(turn.receive(event))
            if stale:
                self.assertEqual((commands, turn.state), ([], before))
            sends = [command for command in commands if isinstance(command, e.Send)]
            for command in commands:
                if command == START:
                    self.assertFalse(spoken, "a second `tts start`")
                    spoken = True
                if command == STOP:
                    spoken = False
                if isinstance(command, e.Drop):
                    owned.discard(command.turn)
                if isinstance(command, WORK):
                    self.assertEqual(command.turn, turn.number, "work for a turn that is over")
                    owned.add(command.turn)
            if isinstance(event, Abort):
                self.assertEqual(sends[0], STOP)
                self.assertEqual([one for one in sends[1:] if one.message.TYPE != "alert"], [])
            due += isinstance(event, e.Due)
            due -= sum(isinstance(command, e.Told) for command in commands)
            self.assertGreaterEqual(due, 0, "told twice")
            if e.Leave() in commands:
                return  # the connection is closed
            if turn.state in ("idle", "listening"):
                self.assertEqual(due, 0, "nobody tells what is due")
            self.assertEqual(spoken, turn.state == "speaking")
            if turn.state in ("hearing", "tail", "thinking", "waking"):
                self.assertIn(turn.number, owned, "nothing is under way that could end this state")
            if turn.state in ("idle", "listening"):
                self.assertEqual(owned, set(), "something is left under way")
