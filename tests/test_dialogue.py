"""What was said."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.dialogue import Dialogue, Entry, cut


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

    def test_bounded(self) -> None:
        """Only the last turns are remembered."""
        talk = Dialogue(turns=2)
        for number in range(9):
            talk.ask(f"q{number}")
            talk.answer(f"a{number}")
        self.assertEqual([entry.text for entry in talk.render()], ["q7", "a7", "q8", "a8"])
        for entries in (Dialogue(turns=0), talk):
            entries.ask("now")
            self.assertEqual(entries.render()[-1], Entry("user", "now"))


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
