"""What users say of themselves, found without a model."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.memory import _extract
from xiaozhi.services.store import Entry

SAID = {
    "My name is Tom and I live in Berlin.": [
        "The user's name is Tom.",
        "The user lives in Berlin.",
    ],
    "hi my name's anna maria": ["The user's name is anna maria."],
    "I'm allergic to peanuts, and I really like jazz": [
        "The user is allergic to peanuts.",
        "The user likes jazz.",
    ],
    "Call me Captain, please!": ["The user wants to be called Captain."],
    "I do not like spinach because it is green": ["The user does not like spinach."],
    "I'm no longer allergic to nuts": ["The user is not allergic to nuts."],
    "Oh, I come from Paris": ["The user comes from Paris."],
    "你好，我叫小明，我住在上海。": ["用户叫小明。", "用户住在上海。"],
    "以后叫我老板就行了": ["用户希望被称为老板。"],
    "我最喜欢喝茶": ["用户喜欢喝茶。"],
    "其实我不太喜欢香菜": ["用户不喜欢香菜。"],
    "我对花生过敏": ["用户对花生过敏。"],
    "我对花生不过敏了": ["用户对花生不过敏。"],
    "我来自四川": ["用户来自四川。"],
}
NOTHING = (
    "Call me back later",
    "call me an ambulance",
    "I like it",
    "I love you",
    "Do I like tea?",
    "if I live in a house",
    "What do you like",
    "Forget that I like tea",
    "My name is not important",
    "I like " + "very " * 50 + "long words",
    "明天七点叫我起床",
    "我叫你别说了",
    "我喜欢你",
    "你喜欢茶吗",
    "我叫什么名字",
    "我住在哪里",
    "我女儿对牛奶过敏",
)


class Facts(SynchronousTestCase):
    def notes(self, *said: str) -> list[str]:
        return [fact.text for fact in _extract.facts([Entry("user", text) for text in said])]

    def test_said(self) -> None:
        """Name, home, likes, allergies and the like, in both languages."""
        for said, noted in SAID.items():
            self.assertEqual(self.notes(said), noted, said)

    def test_not_said(self) -> None:
        """Questions, requests, and what is said of others or of nothing in particular."""
        for said in NOTHING:
            self.assertEqual(self.notes(said), [], said)

    def test_users_alone(self) -> None:
        """What the assistant says is nothing about the user; each note has its time."""
        entries = [
            Entry("assistant", "My name is Xiaozhi", 1.0),
            Entry("user", "My name is Tom", 2.0),
            Entry("user", "no, my name is Tim", 3.0),
        ]
        told = [(fact.text, fact.said_at, fact.topic) for fact in _extract.facts(entries)]
        self.assertEqual(
            told,
            [("The user's name is Tom.", 2.0, "name"), ("The user's name is Tim.", 3.0, "name")],
        )

    def test_topics(self) -> None:
        """Liking and disliking are about the same."""
        for said in (("I like tea", "I don't like tea"), ("我喜欢茶", "我不喜欢茶")):
            first, second = _extract.facts([Entry("user", text) for text in said])
            self.assertEqual(first.topic, second.topic)


class DigestTests(SynchronousTestCase):
    def test_topics(self) -> None:
        """A talk was about what most was said of, and not about commands."""
        for said, told in (
            (
                "call change_role Tom | Tell me about whales. | volume 30 | and how deep do they "
                "dive? | ok | set a timer for 5 minutes | are they fish?",
                "Tell me about whales; and how deep do they dive?; are they fish?",
            ),
            (
                "嗯 | 给我讲讲恐龙。 | 音量调到30 | 它们为什么灭绝了？ | 取消静音",
                "给我讲讲恐龙；它们为什么灭绝了？",
            ),
            ("volume 30 | stop | what timers do I have | that's all", ""),
            ("再见。 | 退下吧 | 你退下吧！ | Bye bye. | That is all.", ""),
            ("", ""),
        ):
            entries = [Entry("user", text) for text in said.split(" | ") if text]
            self.assertEqual(_extract.digest(entries), told)

    def test_last_topics(self) -> None:
        """Of what is equally long the last counts; it is cut short."""
        entries = [Entry(role, f"{role} {n}") for n in range(5) for role in ("user", "assistant")]
        self.assertEqual(_extract.digest(entries), "user 2; user 3; user 4")
        long = _extract.digest([Entry("user", "tell me\nmore " * 100)])
        self.assertLess(len(long), 100)
        self.assertTrue(long.startswith("tell me more tell me"))
