"""Tools that tell and forget what is known of the user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import attrs
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import ServiceError
from xiaozhi.services.store import Digest, Fact, Recollection, SessionMemory
from xiaozhi.tooling import Outcome, Scene
from xiaozhi.tools import Room
from xiaozhi.tools.memory import Kit, Settings

NOON = 1_800_000_000.0
KNOWN = Recollection(
    (
        Fact("The user's name is Tom.", 1.0),
        Fact("The user does not like tea.", 2.0),
        Fact("用户喜欢咖啡。", 3.0),
    ),
    (Digest("About tea", 9.0),),
)


@attrs.define
class FakeScene:
    """One device's talk; `forgotten` is what it was told to forget."""

    known: bool = True
    language: str = "en"
    device: str = "aa:01"
    last: float | None = None
    forgotten: list[tuple[float | None, str]] = attrs.field(factory=list)

    def forget(self, seconds: float | None, about: str = "") -> None:
        self.forgotten.append((seconds, about))


@attrs.define
class FakeMemories:
    known: Recollection = KNOWN
    failure: ServiceError | None = None
    forgotten: list[tuple[str, float | None, str]] = attrs.field(factory=list)

    def recall(self, device: str) -> Deferred[Recollection]:
        assert device == "aa:01"
        return succeed(self.known)

    def learn(self, memory: SessionMemory, final: bool = False) -> Deferred[None]:
        raise AssertionError("tools learn nothing")

    def forget(self, device: str, since: float | None, about: str = "") -> Deferred[int]:
        self.forgotten.append((device, since, about))
        return succeed(2) if self.failure is None else fail(self.failure)


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.memories = FakeMemories()
        room = Mock(Room, memories=self.memories, now=lambda: datetime.fromtimestamp(NOON, UTC))
        self.kit = Kit(Settings(), room)
        self.scene = FakeScene()

    def use(self, name: str, **arguments: Any) -> Outcome:
        (tool,) = [tool for tool in self.kit.tools if tool.name == name]
        scene: Scene = self.scene  # type: ignore[assignment]  # as much of one as is needed
        return self.successResultOf(Deferred.fromCoroutine(tool.call(arguments, scene)))


class Telling(Case):
    def test_facts(self) -> None:
        """What is known is data for the model, and a sentence for the user."""
        told = self.use("what_do_you_remember")
        self.assertIn('"The user\'s name is Tom."', told.text)
        self.assertEqual(
            told.say,
            "I remember this: your name is Tom; you do not like tea; you like 咖啡.",
        )
        self.scene.language = "zh"
        say = self.use("what_do_you_remember").say
        self.assertEqual(say, "我记得：你叫Tom；你不喜欢tea；你喜欢咖啡。")
        self.memories.known = Recollection((Fact("The user likes tea, and has a cat.", 1.0),))
        say = self.use("what_do_you_remember").say
        self.assertEqual(say, "我记得：you like tea, and has a cat。")

    def test_nothing(self) -> None:
        """Of who is new, or whose device has no name of its own, nothing is known."""
        self.scene.known = False
        for _ in range(2):
            told = self.use("what_do_you_remember")
            self.assertEqual(told.text, "Nothing is known of the user.")
            self.assertEqual(told.say, "I do not remember anything from earlier talks.")
            self.scene.known, self.memories.known = True, Recollection()
        self.memories.known = Recollection((), KNOWN.digests)
        self.assertIn("About tea", self.use("what_do_you_remember").say)


class Forgetting(Case):
    def test_what(self) -> None:
        """The talk under way forgets, and so does the memory, as far back as is asked."""
        for arguments, seconds, since, about in (
            ({"what": "that"}, 120, NOON - 120, ""),
            ({"what": "last_minutes"}, 300, NOON - 300, ""),
            ({"what": "last_minutes", "minutes": 20, "about": "x"}, 1200, NOON - 1200, ""),
            ({"what": "about", "about": " my dog "}, None, None, "my dog"),
            ({"what": "everything", "minutes": 3}, None, None, ""),
        ):
            told = self.use("forget", **arguments)
            self.assertEqual((told.text, told.final, told.failed), ("erased", True, False))
            self.assertEqual(self.scene.forgotten.pop(), (seconds, about))
            self.assertEqual(self.memories.forgotten.pop(), ("aa:01", since, about))
        self.assertEqual(told.say, "Alright, I have forgotten everything about you.")
        self.scene.language = "zh"
        said = self.use("forget", what="last_minutes").say
        self.assertEqual(said, "好的，最近5分钟说的我已经忘了。")

    def test_nameless(self) -> None:
        """Nothing is stored of a device that has no name, so only the talk is forgotten."""
        self.scene.known = False
        self.use("forget", what="that")
        self.assertEqual((self.scene.forgotten, self.memories.forgotten), ([(120, "")], []))

    def test_that(self) -> None:
        """What is meant is what was said last, however long ago."""
        self.scene.last = 500.0
        self.use("forget", what="that")
        self.assertEqual(self.scene.forgotten, [(500.1, "")])
        self.assertEqual(self.memories.forgotten, [("aa:01", NOON - 500.1, "")])

    def test_wrong(self) -> None:
        """What is not understood erases nothing, and the model is told why."""
        for arguments in (
            {}, {"what": "some"}, {"what": "about"}, {"what": "about", "about": " "},
            {"what": "last_minutes", "minutes": 0}, {"what": "last_minutes", "minutes": "5"},
            {"what": ["that"]},
        ):  # fmt: skip
            told = self.use("forget", **arguments)
            self.assertTrue(told.failed and told.text)
        self.assertEqual((self.scene.forgotten, self.memories.forgotten), ([], []))

    def test_fails(self) -> None:
        """If the store fails, that is not kept from the user; the talk is forgotten."""
        self.memories.failure = ServiceError("store", "locked")
        told = self.use("forget", what="that")
        self.assertTrue(told.failed and told.final)
        self.assertIn("cannot be erased now", told.say)
        self.assertEqual(self.scene.forgotten, [(120, "")])
