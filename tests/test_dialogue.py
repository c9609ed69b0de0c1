"""What was said."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.dialogue import LONGEST, Dialogue, Entry, Excess, cut
from xiaozhi.tokens import tokens


class History(SynchronousTestCase):
    def test_render(self) -> None:
        """Questions and answers alternate."""
        talk = Dialogue()
        talk.ask("a")
        talk.answer("b")
        talk.ask("c")
        self.assertEqual(
            talk.render(), [Entry("user", "a"), Entry("assistant", "b"), Entry("user", "c")]
        )

    def test_interrupted(self) -> None:
        """Of an answer that was cut off, what was heard is kept, and marked."""
        talk = Dialogue()
        talk.ask("a")
        talk.answer("once upon", whole=False)
        self.assertEqual(talk.render()[-1], Entry("assistant", "once upon…"))

    def test_unheard_answer(self) -> None:
        """An answer of which nothing was heard was not given."""
        talk = Dialogue()
        talk.ask("a")
        talk.answer("", whole=False)
        self.assertEqual(talk.render(), [Entry("user", "a")])

    def test_retract(self) -> None:
        """A question that goes on is asked anew; an answered one stays."""
        talk = Dialogue()
        talk.retract()
        talk.ask("tell me")
        talk.retract()
        self.assertEqual(talk.render(), [])
        talk.ask("tell me a story")
        talk.answer("no")
        talk.retract()
        self.assertEqual(len(talk.render()), 2)

    def test_same_speaker_twice(self) -> None:
        """Servers insist on alternation: what one speaker said in a row is one entry."""
        talk = Dialogue()
        talk.answer("hello")
        talk.ask("a")
        talk.ask("b")
        talk.answer("c")
        talk.answer("d")
        self.assertEqual(talk.render(), [Entry("user", "a\nb"), Entry("assistant", "c\nd")])

    def test_turns(self) -> None:
        """Where turns are bounded, too, there are never more of them before the question."""
        talk = Dialogue(turns=2)
        for number in range(4):
            talk.ask(f"q{number}")
            talk.answer(f"a{number}")
        self.assertEqual([entry.text for entry in talk.render()], ["q2", "a2", "q3", "a3"])
        self.assertEqual(talk.summary, "q0\nq1")
        for entries in (Dialogue(turns=0), Dialogue(budget=0)):
            for number in range(3):
                entries.ask(f"q{number}")
                self.assertEqual(entries.render(), [Entry("user", f"q{number}")])
                entries.answer("yes")


def converse(talk: Dialogue, turns: int, first: int = 0) -> list[list[Entry]]:
    """Hold a long conversation; give what was rendered at each question."""
    rendered = []
    for number in range(first, first + turns):
        talk.ask(f"Question number {number}: what about the weather?", at=float(number))
        rendered.append(talk.render())
        talk.answer(f"It will be fine, as I said {number} times.", at=number + 0.5)
    return rendered


def overfull() -> tuple[Dialogue, Excess]:
    """Make a talk of nine questions, and tell what there is to be condensed of it."""
    talk = Dialogue(budget=150)
    converse(talk, 9)
    excess = talk.excess
    assert excess is not None
    return talk, excess


class Bounds(SynchronousTestCase):
    def test_prefix(self) -> None:
        """What a model is told is bounded, and only grows at its end for many turns in a row."""
        talk = Dialogue(budget=400)
        rendered = converse(talk, 100)
        kept = 0
        for before, after in pairwise(rendered):
            self.assertLessEqual(sum(tokens(entry.text) for entry in after), 400)
            kept += after[: len(before)] == before
        self.assertGreater(kept, 80)
        self.assertEqual(rendered[-1][-1].text, "Question number 99: what about the weather?")
        self.assertEqual(len(talk.said()), 200)

    def test_no_slower(self) -> None:
        """The hundredth turn costs no more work than an early one: nothing grows with it."""
        talk = Dialogue(budget=400)
        sizes = [len(entries) for entries in converse(talk, 300)]
        self.assertEqual(max(sizes[200:]), max(sizes[:50]))
        self.assertLessEqual(tokens(talk.summary), 100)

    def test_one_long_question(self) -> None:
        """The question itself is kept whole, however long; nothing else then."""
        talk = Dialogue(budget=100)
        converse(talk, 2)
        long = "word " * 400
        talk.ask(long)
        self.assertEqual(talk.render(), [Entry("user", long)])

    def test_long_session(self) -> None:
        """Of what is kept of a session, the oldest is dropped; what the model is told is not."""
        talk = Dialogue(budget=100)
        for number in range(100):
            talk.ask(f"{number} " + "a" * 1000, at=float(number))
            if number == 90:
                excess = talk.excess
        assert excess is not None
        self.assertLess(sum(len(entry.text) for entry in talk.said()), LONGEST)
        talk.condense(excess, "many letters")
        self.assertTrue(talk.summary.startswith("many letters"), talk.summary)
        self.assertTrue(talk.render()[-1].text.startswith("99 "))

    def test_greeted_first(self) -> None:
        """What was said begins with the user."""
        talk = Dialogue()
        talk.answer("Good morning!")
        self.assertEqual((talk.said(), talk.render()), ([], []))
        talk.ask("Hello", at=2.0)
        self.assertEqual(talk.said(), [Entry("user", "Hello", 2.0)])


class Summary(SynchronousTestCase):
    def test_extract(self) -> None:
        """Until it is condensed, what the user said is summed up without a model."""
        talk = Dialogue(budget=150)
        self.assertEqual((talk.summary, talk.excess), ("", None))
        talk.ask("My\n dog  is called Bello, " + "and he barks " * 9)
        talk.answer("Dogs do that. " * 50)
        talk.ask("What else?")
        self.assertTrue(talk.summary.startswith("My dog is called Bello, and he barks"))
        self.assertTrue(talk.summary.endswith("…"))
        self.assertLess(len(talk.summary), 100)

    def test_condensed(self) -> None:
        """What a model makes of it takes its place; what is taken out later is added."""
        talk = Dialogue(budget=150)
        converse(talk, 8)
        first = talk.excess
        assert first is not None
        converse(talk, 6, 8)  # the model takes its time
        talk.condense(first, " The user asked\nabout the weather. ")
        self.assertTrue(talk.summary.startswith("The user asked about the weather.\nQuestion"))
        second = talk.excess
        assert second is not None
        self.assertEqual(second.summary, "The user asked about the weather.")
        self.assertEqual(second.entries[0].at, first.entries[-1].at + 0.5)
        talk.condense(second, "More weather.")
        talk.condense(first, "Late.")
        self.assertEqual((talk.summary, talk.excess), ("More weather.", None))

    def test_bounded(self) -> None:
        """However much a model writes, and however much is added, there is no more of it."""
        talk, excess = overfull()
        talk.condense(excess, "weather " * 500)
        self.assertLessEqual(tokens(talk.summary), 37)
        converse(talk, 30, 9)
        self.assertLessEqual(tokens(talk.summary), 38)
        self.assertTrue(talk.summary.startswith("weather weather"))
        self.assertIn("Question", talk.summary)


class Forget(SynchronousTestCase):
    def test_last(self) -> None:
        """What was said since is gone, and nothing before."""
        talk = Dialogue()
        converse(talk, 5)
        talk.forget(since=3.0)
        self.assertEqual(
            talk.said()[-1], Entry("assistant", "It will be fine, as I said 2 times.", 2.5)
        )
        self.assertEqual(len(talk.render()), 6)
        talk.answer("Forgotten.")
        talk.forget(since=99.0)
        self.assertEqual(talk.render()[-1].text.splitlines()[-1], "Forgotten.")

    def test_everything(self) -> None:
        talk, excess = overfull()
        talk.forget()
        talk.condense(excess, "The weather, which was to be forgotten.")
        self.assertEqual((talk.said(), talk.render(), talk.summary), ([], [], ""))
        converse(talk, 1)
        self.assertEqual(len(talk.render()), 2)

    def test_condensed(self) -> None:
        """What was condensed since goes, too; what was said before is summed up anew."""
        talk, excess = overfull()
        talk.condense(excess, "The last one was about a secret.")
        talk.forget(since=excess.entries[-1].at)
        self.assertNotIn("secret", talk.summary)
        self.assertIn("Question number", talk.summary)
        self.assertEqual(talk.render(), [])
        again = talk.excess
        assert again is not None
        self.assertEqual(again.entries, excess.entries[:-2])

    def test_about(self) -> None:
        """What mentions a thing goes from where the model is told it, and from before."""
        talk, excess = overfull()
        talk.condense(excess, "The secret, in other words.")
        told, said = len(talk.render()), talk.said()
        gone = [excess.entries[2], said[-1]]
        talk.forget(mentions=lambda text: text in {entry.text for entry in gone})
        self.assertEqual(talk.said(), [*said[:2], *said[4:-2]])
        self.assertEqual(len(talk.render()), told - 2)
        self.assertNotIn("secret", talk.summary)
        talk.condense(excess, "The secret.")
        again = talk.excess
        assert again is not None
        self.assertEqual(again.entries, (*excess.entries[:2], *excess.entries[4:]))
        converse(talk, 9, 9)
        self.assertLessEqual(sum(tokens(entry.text) for entry in talk.render()), 150)

    def test_condensed_before(self) -> None:
        """What was condensed of what was said before stays."""
        talk, excess = overfull()
        talk.condense(excess, "The weather.")
        talk.forget(since=8.0)
        self.assertEqual(talk.summary, "The weather.")

    def test_retracted_after_it_was_condensed(self) -> None:
        """What is asked in the place of questions that were retracted is summed up, too."""
        for late in (False, True):
            talk = Dialogue(20)
            for number, word in enumerate(("one", "two", "three")):
                talk.ask(f"{word} " * 20, "", number)
            excess = talk.excess
            assert excess is not None
            for step in (talk.retract, talk.retract, talk.condense)[:: -1 if late else 1]:
                step(*(excess, "one, two") if step == talk.condense else ())
            talk.ask("four", "", 4)
            talk.ask("five " * 20, "", 5)
            assert talk.excess is not None
            self.assertEqual([entry.text for entry in talk.excess.entries], ["four"])


class Language(SynchronousTestCase):
    def test_device_setting(self) -> None:
        """The user's own setting stays; the answer is in the language of the question."""
        talk = Dialogue(language="zh")
        self.assertEqual(talk.ask("what time is it"), "en")
        self.assertEqual(talk.language, "zh")

    def test_last_utterance(self) -> None:
        """Without a setting, the language last spoken is the user's."""
        talk = Dialogue(otherwise="en")
        self.assertEqual(talk.language, "en")
        self.assertEqual(talk.ask("现在几点了"), "zh")
        self.assertEqual(talk.language, "zh")
        self.assertEqual(talk.ask("3 + 5"), "zh")


class Cut(SynchronousTestCase):
    def test_words(self) -> None:
        """A word that was not finished was not heard."""
        text = "The quick brown fox"
        self.assertEqual(cut(text, 1.0), text)
        self.assertEqual(cut(text, 0.5), "The quick")
        self.assertEqual(cut(text, 0.6), "The quick")
        self.assertEqual(cut(text, 0.0), "")
        self.assertEqual(cut(text, -1.0), "")
        self.assertEqual(cut("don't stop", 0.3), "")
        self.assertEqual(cut("Tôi không biết", 0.6), "Tôi")

    def test_characters(self) -> None:
        """Chinese is cut after a character."""
        self.assertEqual(cut("今天天气很好", 0.5), "今天天")
        self.assertEqual(cut("我喜欢 Python 语言", 0.5), "我喜欢")
