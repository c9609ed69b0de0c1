"""The tools of one session: names, and calls that always end in words."""

from __future__ import annotations

import contextlib
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.scenes import FakeScene, Kit, call, tool
from xiaozhi.errors import ServiceError
from xiaozhi.services.counters import Counters
from xiaozhi.toolbox import LONGEST, MOST, See, Toolbox
from xiaozhi.tooling import Call, Outcome, Picture, Tool


class Case(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.scene = FakeScene()

    def box(self, *tools: Tool, see: See | None = None) -> Toolbox:
        box = Toolbox([Kit(*tools)], self.clock, Counters(), see)
        box.offered("d1")
        return box

    def run_calls(self, box: Toolbox, *calls: Call) -> Deferred[list[Outcome]]:
        return Deferred.fromCoroutine(box.run(calls, self.scene))

    def told(self, box: Toolbox, *calls: Call) -> list[str]:
        """Do `calls`, and give what the model is told."""
        return [one.text for one in self.successResultOf(self.run_calls(box, *calls))]


class Names(Case):
    def test_legal(self) -> None:
        """A model is told names it accepts, and calls the tools by them; or as they are."""
        box = self.box(tool("self.lamp.on", *[Outcome("lit")] * 2))
        self.assertEqual([one.name for one in box.offered("d1")], ["self_lamp_on"])
        self.assertEqual(self.told(box, call("self_lamp_on"), call("self.lamp.on")), ["lit"] * 2)
        self.assertIsNotNone(box.find("d1", "self.lamp.on"))
        self.assertIsNone(box.find("d1", "self_lamp_on"))

    def test_two_of_one_name(self) -> None:
        """Of two tools with one name both can be called."""
        one, other = Kit(tool("search", Outcome("one"))), Kit(tool("search", Outcome("other")))
        box = Toolbox([one, other], self.clock, Counters())
        self.assertEqual([made.name for made in box.offered("d1")], ["search", "search_2"])
        self.assertEqual(self.told(box, call("search_2"), call("search")), ["other", "one"])

    def test_names_stay(self) -> None:
        """While a model answers, no tool gets the name of another that has vanished."""
        one, other = Kit(tool("search", Outcome("one"))), Kit(tool("search", Outcome("other")))
        box = Toolbox([one, other], self.clock, Counters())
        box.offered("d1")
        one.offered = ()
        self.assertIs(box.find("d1", "search"), other.offered[0])
        self.assertEqual(self.told(box, call("search_2"), call("search")), ["other", "one"])
        self.assertEqual([made.name for made in box.offered("d1")], ["search"])

    def test_found(self) -> None:
        """By the name of its source one is found, those that come first before the others."""
        named, alike = tool("self.lamp.on"), tool("self_lamp_on")
        own = Kit(tool("self.reboot", user_only=True), tool("self.lamp.on"))
        box = self.box(alike, named)
        self.assertIs(box.find("d1", "self.lamp.on"), named)
        self.assertIs(box.find("d1", "self.lamp.on", [own]), own.offered[1])
        self.assertIsNone(box.find("d1", "self.reboot", [own]))

    def test_for_operators(self) -> None:
        """Models never learn of what is for operators only."""
        box = self.box(tool("reboot", Outcome("gone"), user_only=True))
        self.assertEqual(list(box.offered("d1")), [])
        self.assertIn("no tool called 'reboot'", self.told(box, call("reboot"))[0])

    def test_come_and_go(self) -> None:
        """Tools appear and vanish as their source has them."""
        kit = Kit()
        box = Toolbox([kit], self.clock, Counters())
        self.assertEqual(len(box.offered("d1")), 0)
        kit.offered = (tool("new", Outcome("here")),)
        self.assertEqual(len(box.offered("d1")), 1)
        kit.offered = ()
        self.assertEqual(len(box.offered("d1")), 0)


class Calls(Case):
    def test_arguments(self) -> None:
        """Wrong arguments are named, so that the model can try again."""
        schema = {
            "type": "object",
            "properties": {"level": {"type": "integer"}},
            "required": ["level"],
        }
        box = self.box(tool("volume", Outcome("set"), schema=schema))
        (wrong,) = self.successResultOf(self.run_calls(box, call("volume", "{}")))
        self.assertTrue(wrong.bad_arguments and wrong.text.startswith("参数解析失败"))
        self.assertIn("level", wrong.text)
        self.assertEqual(self.told(box, call("volume", '{"level": 5}')), ["set"])

    def test_failures(self) -> None:
        """A tool that fails, or has a mistake, ends in words; the mistake is logged."""
        box = self.box(
            tool("dead", ServiceError("tool", "no answer")), tool("wrong", ZeroDivisionError("x"))
        )
        dead, wrong = self.successResultOf(self.run_calls(box, call("dead"), call("wrong")))
        self.assertEqual((dead.text, dead.failed), ("工具调用失败: dead: no answer", True))
        self.assertEqual(wrong.text, "工具调用失败: wrong has a mistake of its own")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_late(self) -> None:
        """A tool has its time, and is cancelled then."""
        waiting: Deferred[Any] = Deferred()
        box = self.box(tool("slow", waiting, patience=5))
        running = self.run_calls(box, call("slow"))
        self.clock.advance(5)
        (outcome,) = self.successResultOf(running)
        self.assertEqual(outcome.text, "工具调用失败: slow has not answered in 5 s")
        self.assertTrue(waiting.called)

    def test_side_by_side(self) -> None:
        """Calls run side by side, but those that must be alone one after the other, in order."""
        began: list[str] = []
        gates: dict[str, Deferred[Outcome]] = {name: Deferred() for name in "abcd"}

        def slow(name: str, alone: bool) -> Tool:
            async def do(arguments: dict[str, Any], scene: Any) -> Outcome:
                began.append(name)
                return await gates[name]

            return Tool(name, name, do, alone=alone)

        box = self.box(slow("a", True), slow("b", True), slow("c", False), slow("d", False))
        running = self.run_calls(box, *map(call, "abcd"))
        self.assertEqual(began, ["a", "c", "d"])
        for name in "dcab":
            gates[name].callback(Outcome(name))
        self.assertEqual([one.text for one in self.successResultOf(running)], [*"abcd"])
        self.assertEqual(began, ["a", "c", "d", "b"])

    def test_one_end_for_all(self) -> None:
        """Calls that wait for each other, each of them late, have an end together."""
        hanging: list[Deferred[Any]] = [Deferred() for _ in range(MOST)]
        box = self.box(tool("x", *hanging, alone=True, patience=40))
        calls = [call("x")] * MOST
        running = Deferred.fromCoroutine(box.run(calls, self.scene, self.clock.seconds() + 90))
        for _ in range(12):
            self.clock.advance(10)
        told = [one.text for one in self.successResultOf(running)]
        self.assertTrue(all("has not answered in 40 s" in text for text in told[:3]))
        self.assertTrue(all("no time was left for 'x'" in text for text in told[3:]))
        self.assertEqual([one.called for one in hanging], [True] * 3 + [False] * (MOST - 3))

    def test_too_many(self) -> None:
        """One answer cannot call without end; what is too much is refused."""
        box = self.box(tool("x", *[Outcome("done")] * 99))
        told = self.told(box, *[call("x")] * (MOST + 2))
        self.assertEqual(told[:MOST], ["done"] * MOST)
        self.assertTrue(all("too many" in text for text in told[MOST:]))

    def test_cancelled(self) -> None:
        """Who is not waited for any more is cancelled: all of them."""
        waiting: list[Deferred[Any]] = [Deferred(), Deferred()]
        box = self.box(tool("a", waiting[0]), tool("b", waiting[1], alone=True))
        running = self.run_calls(box, call("a"), call("b"))
        running.cancel()
        self.failureResultOf(running, CancelledError)
        for one in waiting:
            self.assertTrue(one.called)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_cancelled_by_another(self) -> None:
        """What a tool waits for may be cancelled behind its back: that is a failure of the tool."""
        waiting: Deferred[Any] = Deferred()
        running = self.run_calls(self.box(tool("a", waiting)), call("a"))
        waiting.cancel()
        (outcome,) = self.successResultOf(running)
        self.assertEqual(outcome.text, "工具调用失败: a: what it was waiting for has ended")

    def test_stubborn(self) -> None:
        """A tool that goes on when it is cancelled keeps nobody waiting."""
        later: Deferred[Any] = Deferred()

        async def stubborn(arguments: dict[str, Any], scene: Any) -> Outcome:
            with contextlib.suppress(CancelledError):
                await Deferred()
            await later
            return Outcome("late")

        box = self.box(Tool("x", "is stubborn", stubborn, patience=5))
        running = self.run_calls(box, call("x"))
        self.clock.advance(5)
        (outcome,) = self.successResultOf(running)
        self.assertIn("has not answered in 5 s", outcome.text)
        later.callback(None)

    def test_long(self) -> None:
        """What is too long for a model is cut, and says so."""
        (text,) = self.told(self.box(tool("x", Outcome("y" * 99_999))), call("x"))
        self.assertTrue(text.endswith("… (cut)") and len(text) < LONGEST + 20)
        whole = Outcome("y" * 99_999, whole=True)
        self.assertEqual(self.told(self.box(tool("x", whole)), call("x")), [whole.text])

    def test_quiet(self) -> None:
        """While a photo is taken nothing may be said."""
        box = self.box(tool("photo", quiet=True), tool("x"))
        self.assertTrue(box.quiet([call("x"), call("photo")]))
        self.assertFalse(box.quiet([call("x"), call("nothing")]))


class Pictures(Case):
    picture = Outcome("a photo", pictures=(Picture("image/png", b"..."),))

    def test_described(self) -> None:
        """A picture is told in words, in the user's language."""

        def see(picture: Picture, language: str) -> Deferred[str]:
            return succeed(f"{picture.mime} in {language}")

        told = self.told(self.box(tool("x", self.picture), see=see), call("x"))
        self.assertEqual(told, ["a photo\n[image: image/png in en]"])

    def test_blind(self) -> None:
        """Where nobody can look at it, that is said."""

        async def fail() -> str:
            raise ServiceError("vision", "no eyes")

        box = self.box(tool("x", self.picture), see=lambda *_: Deferred.fromCoroutine(fail()))
        (text,) = self.told(box, call("x"))
        self.assertEqual(text, "a photo\n[an image that could not be looked at: no eyes]")
        self.assertEqual(self.told(self.box(tool("x", self.picture)), call("x")), ["a photo"])
