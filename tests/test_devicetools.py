"""The tools of a device: its dialect, its faults, and its silence."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.fakes import FakeLink
from xiaozhi import messages, wire
from xiaozhi.device.mcp import Server
from xiaozhi.device.mcp import Tool as Own
from xiaozhi.devicetools import (
    ANSWER,
    CALL,
    INTRODUCTION,
    PAGES,
    PHOTO,
    QUEUE,
    TOOLS,
    WAIT,
    DeviceTools,
    Late,
)
from xiaozhi.errors import ServiceError
from xiaozhi.mcpvalues import FAILED
from xiaozhi.services.counters import Counters
from xiaozhi.tooling import Outcome

VISION = {"url": "http://192.168.1.5:8000/mcp/vision/explain", "token": "t"}
VOLUME = "self.audio_speaker.set_volume"
PHOTOGRAPH = "self.camera.take_photo"


class Case(SynchronousTestCase):
    """A device that answers as the simulated one does, or as `answer` says."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.counters = Counters()
        self.link = FakeLink(self.clock)
        self.requests: list[dict[str, Any]] = []
        self.answer: Callable[[dict[str, Any]], Any] = Server().answer
        self.link.write = self._write  # type: ignore[method-assign]
        self.tools = DeviceTools(self.link, self.clock, self.counters, VISION)
        self.addCleanup(self._end)

    def _end(self) -> None:
        self.tools.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def _write(self, payload: bytes, binary: bool) -> None:
        message = json.loads(payload)
        self.assertEqual((message["type"], message["session_id"]), ("mcp", "s1"))
        request = message["payload"]
        if "id" in request:
            self.assertIsInstance(request["params"], dict)
            self.requests.append(request)
        if (answer := self.answer(request)) is not None:
            self.clock.callLater(0.01, self.say, answer)

    def say(self, answer: str) -> None:
        """Reply, through the wire."""
        frame = '{"session_id":"","type":"mcp","payload":' + answer + "}"
        message = wire.decode_text(frame.encode())
        assert isinstance(message, messages.Mcp)
        self.tools.receive(message.payload)

    def reply(self, number: int, result: Any) -> None:
        self.say(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}))

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.01] * 20)
        if seconds > 0.2:
            self.clock.advance(seconds - 0.2)

    def call(self, name: str, **arguments: Any) -> Deferred[Outcome]:
        return Deferred.fromCoroutine(self.tools.call(name, arguments))

    def why(self, called: Deferred[Outcome]) -> str:
        error = self.failureResultOf(called, ServiceError).value
        self.assertEqual(error.stage, "tool")
        self.assertTrue(error.why.startswith(FAILED), error.why)
        return str(error.why.removeprefix(f"{FAILED}: "))

    def counted(self, result: str) -> float:
        return self.counters.value("device_tool_calls", result=result)

    def names(self) -> list[str]:
        return [tool.name for tool in self.tools.tools("aa:01")]


class Learning(Case):
    def test_hello(self) -> None:
        """A device is told where its photos go, and lists its tools with those for its user."""
        self.tools.begin()
        self.wait(1)
        first, second = self.requests
        self.assertEqual(first["method"], "initialize")
        self.assertEqual(first["params"]["capabilities"], {"vision": VISION})
        self.assertEqual(
            (second["method"], second["params"]), ("tools/list", {"withUserTools": True})
        )
        only = {tool.name: tool.user_only for tool in self.tools.tools()}
        self.assertEqual(
            only,
            {
                "self.get_device_status": False,
                VOLUME: False,
                "self.screen.set_brightness": False,
                "self.get_system_info": True,
            },
        )
        tool = self.tools.tools()[1]
        self.assertEqual(tool.schema["required"], ["volume"])
        self.assertTrue(tool.alone)
        self.assertGreater(tool.patience, CALL + WAIT)

    def test_introduced(self) -> None:
        """Who asks at once waits for the list; who gives up does not."""
        self.successResultOf(self.tools.introduced())  # it says no hello that tells of tools
        self.tools.begin()
        waiting, impatient = self.tools.introduced(), self.tools.introduced()
        self.assertNoResult(waiting)
        impatient.cancel()
        self.failureResultOf(impatient, CancelledError)
        self.wait(0.2)
        self.successResultOf(waiting)
        self.assertIn(VOLUME, self.names())
        self.successResultOf(self.tools.introduced())

    def test_no_introduction(self) -> None:
        """A device that does not tell is waited for once, and in all a second."""
        self.answer = lambda request: None
        self.tools.begin()
        self.clock.advance(0.4)
        waiting = self.tools.introduced()
        self.clock.advance(INTRODUCTION - 0.5)
        self.assertNoResult(waiting)
        self.clock.advance(0.1)
        self.successResultOf(waiting)
        self.successResultOf(self.tools.introduced())

    def test_gone_at_once(self) -> None:
        """Nobody waits for a device that has gone."""
        self.answer = lambda request: None
        self.tools.begin()
        waiting = self.tools.introduced()
        self.tools.close()
        self.successResultOf(waiting)

    def test_once(self) -> None:
        """A second hello asks nothing."""
        self.tools.begin()
        self.wait(1)
        self.tools.begin()
        self.wait(1)
        self.assertEqual(len(self.requests), 2)

    def test_pages(self) -> None:
        """A long list comes page by page."""
        self.answer = Server([Own(f"self.t{n}", "x" * 900, lambda _: "") for n in range(20)]).answer
        self.tools.begin()
        self.wait(1)
        cursors = [request["params"].get("cursor") for request in self.requests[1:]]
        self.assertEqual(cursors, [None, "self.t8", "self.t16"])
        self.assertEqual(self.names(), [f"self.t{n}" for n in range(20)])

    def listing(self, page: Callable[[int], Any]) -> None:
        """Learn from a device that answers its pages so."""
        pages = 0

        def answer(request: dict[str, Any]) -> str | None:
            nonlocal pages
            if "id" not in request:
                return None
            pages += request["method"] == "tools/list"
            result = {} if request["method"] == "initialize" else page(pages)
            return json.dumps({"jsonrpc": "2.0", "id": request["id"], "result": result})

        self.answer = answer
        self.tools.begin()
        for _ in range(10):
            self.wait(1)

    def test_no_end(self) -> None:
        """Neither pages nor tools are asked for without end."""
        self.listing(lambda n: {"tools": [{"name": f"t{n}"}], "nextCursor": f"c{n}"})
        self.assertEqual(len(self.names()), PAGES)
        self.assertEqual(len(self.requests), 1 + PAGES)

    def test_in_circles(self) -> None:
        """A cursor that was there before is the end; so is a tool that was."""
        self.listing(lambda n: {"tools": [{"name": "a"}, {"name": "a"}, 5], "nextCursor": "c"})
        self.assertEqual((self.names(), len(self.requests)), (["a"], 3))

    def test_too_many(self) -> None:
        """There is a number of tools, and a number of bytes."""
        self.listing(lambda n: {"tools": [{"name": f"t{m}"} for m in range(200)]})
        self.assertEqual(len(self.names()), TOOLS)

    def test_too_long(self) -> None:
        """Long descriptions count."""
        self.listing(
            lambda n: {"tools": [{"name": f"t{m}", "description": "x" * 1990} for m in range(90)]}
        )
        self.assertEqual(len(self.names()), 64)

    def test_nonsense(self) -> None:
        """A device whose list is none is asked once more; then it has no tools."""
        page: Any
        for page in (None, [], {"tools": {}}, "x"):
            self.setUp()
            self.listing(lambda n, page=page: page)  # type: ignore[misc]
            methods = [request["method"] for request in self.requests]
            self.assertEqual(methods, ["initialize", "tools/list"] * 2)
            self.assertEqual(self.names(), [])
            self.assertEqual(self.link.events, [])

    def test_silence(self) -> None:
        """One that does not answer is asked once more, and nothing else is lost."""
        self.answer = lambda request: None
        self.tools.begin()
        self.wait(ANSWER)
        self.assertEqual(len(self.requests), 2)
        self.wait(ANSWER)
        self.wait(60)
        self.assertEqual(len(self.requests), 2)
        self.assertEqual(self.names(), [])

    def test_second_time(self) -> None:
        """One that answers the second time has its tools."""
        self.answer = lambda request: None
        self.tools.begin()
        self.wait(ANSWER - 1)
        self.answer = Server().answer
        self.wait(1.5)
        self.wait(1)
        self.assertEqual(len(self.names()), 4)

    def test_closed_meanwhile(self) -> None:
        """When the connection goes nothing is left to be done."""
        self.answer = lambda request: None
        self.tools.begin()
        self.tools.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.tools.begin()
        self.assertEqual(len(self.requests), 1)


class Calling(Case):
    def test_values(self) -> None:
        """A value comes back as a text."""
        called = self.call(VOLUME, volume=30)
        self.assertTrue(self.tools.busy)
        self.wait(0)
        self.assertEqual(self.successResultOf(called), Outcome("true"))
        self.assertEqual(self.requests[0]["params"], {"name": VOLUME, "arguments": {"volume": 30}})
        self.assertFalse(self.tools.busy)
        self.assertEqual(self.counted("done"), 1)
        self.assertEqual(self.counters.value("device_tool_call"), 1)

    def test_as_a_tool(self) -> None:
        """The same through the tool that was listed."""
        self.tools.begin()
        self.wait(1)
        scene: Any = None
        called = Deferred.fromCoroutine(self.tools.tools()[1].call({"volume": 30}, scene))
        self.wait(0)
        self.assertEqual(self.successResultOf(called), Outcome("true"))

    def test_errors(self) -> None:
        """An error has no code, and its text may break the JSON."""
        for name, why in (
            ("self.nothing", "Unknown tool: self.nothing"),
            ('a"b\n', 'Unknown tool: a"b\n'),
        ):
            called = self.call(name)
            self.wait(0)
            self.assertEqual(self.why(called), why)
        self.assertEqual(self.counted("failed"), 2)

    def test_told_failures(self) -> None:
        """A result that says it is an error has failed."""
        self.answer = lambda request: None
        called = self.call("take_photo")
        self.reply(1, {"content": [{"type": "text", "text": "no camera"}], "isError": True})
        self.assertEqual(self.successResultOf(called), Outcome(f"{FAILED}: no camera", failed=True))
        self.assertEqual(self.counted("failed"), 1)

    def test_late(self) -> None:
        """A call has half a minute, a photo five seconds more; a late reply is ignored."""
        self.answer = lambda request: None
        for number, (name, seconds) in enumerate(((VOLUME, CALL), (PHOTOGRAPH, PHOTO)), 1):
            called = self.call(name)
            self.wait(seconds - 0.1)
            self.assertNoResult(called)
            self.wait(0.1)
            self.assertEqual(self.why(called), f"the device did not reply within {seconds:g} s")
            self.reply(number, {"content": []})
        self.assertEqual((self.counted("late"), self.tools.busy), (2, False))

    def test_one_at_a_time(self) -> None:
        """The next call goes out when the one before it is answered, or overdue."""
        self.answer = lambda request: None
        called = [self.call(name) for name in "abc"]
        self.assertEqual([request["params"]["name"] for request in self.requests], ["a"])
        self.reply(1, "first")
        self.assertEqual([request["params"]["name"] for request in self.requests], ["a", "b"])
        self.reply(2, "second")
        self.reply(2, "again")
        self.reply(3, "third")
        texts = [self.successResultOf(one).text for one in called]
        self.assertEqual(texts, ["first", "second", "third"])

    def test_waiting_has_an_end(self) -> None:
        """Behind a call that is not answered a call waits ten seconds more than it may take."""
        self.answer = lambda request: None
        first, second = self.call(PHOTOGRAPH), self.call(VOLUME)
        self.wait(PHOTO)
        self.failureResultOf(first, Late)
        self.assertEqual(len(self.requests), 2)
        self.wait(CALL + WAIT - PHOTO + 0.1)
        self.failureResultOf(second, Late)
        self.wait(CALL)

    def test_queue(self) -> None:
        """There is an end to the calls that wait."""
        self.answer = lambda request: None
        called = [self.call("x") for _ in range(1 + QUEUE)]
        self.assertEqual(self.why(self.call("x")), "too many calls wait for the device")
        self.tools.close()
        for one in called:
            self.assertEqual(self.why(one), "the device has gone")
        self.assertEqual(self.why(self.call("x")), "the device has gone")

    def test_impatient(self) -> None:
        """Who interrupts again and again while the device hangs is not in the way of themselves."""
        self.answer = lambda request: None
        hangs = self.call("x")
        for _ in range(3 * QUEUE):
            interrupted = self.call("x")
            interrupted.cancel()
            self.failureResultOf(interrupted, CancelledError)
        waits = self.call("y")
        self.assertNoResult(waits)
        self.assertLessEqual(len(self.tools._waiting), QUEUE)
        self.tools.close()
        for one in (hangs, waits):
            self.assertEqual(self.why(one), "the device has gone")

    def test_cancelled(self) -> None:
        """Who waits no longer may go; the device is not asked anew before it has replied."""
        self.answer = lambda request: None
        first, second, third = self.call("a"), self.call("b"), self.call("c")
        first.cancel()
        second.cancel()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(second, CancelledError)
        self.assertTrue(self.tools.busy)
        self.assertEqual(len(self.requests), 1)
        self.reply(1, "too late")
        self.assertEqual([request["params"]["name"] for request in self.requests], ["a", "c"])
        self.reply(2, "third")
        self.assertEqual(self.successResultOf(third).text, "third")
        self.assertEqual(self.counted("dropped"), 2)

    def test_free(self) -> None:
        """Who wants to speak waits until the device has ears for it."""
        self.answer = lambda request: None
        self.successResultOf(self.tools.free())
        called = self.call(PHOTOGRAPH)
        free, dropped = self.tools.free(), self.tools.free()
        dropped.cancel()
        self.failureResultOf(dropped, CancelledError)
        self.assertNoResult(free)
        self.reply(1, "a cat")
        self.successResultOf(free)
        self.successResultOf(called)

    def test_awake(self) -> None:
        """A device whose user does something runs no tool, though it may never say so."""
        self.answer = lambda request: None
        called, free = self.call(PHOTOGRAPH), self.tools.free()
        self.tools.awake()
        self.successResultOf(free)
        self.assertFalse(self.tools.busy)
        self.reply(1, "a cat")
        self.successResultOf(called)
        again = self.call(PHOTOGRAPH)
        self.assertTrue(self.tools.busy)
        again.cancel()
        self.failureResultOf(again, CancelledError)

    def test_free_at_the_end(self) -> None:
        """The end of the connection frees whoever waits."""
        self.answer = lambda request: None
        called, free = self.call(PHOTOGRAPH), self.tools.free()
        self.tools.close()
        self.successResultOf(free)
        self.why(called)
