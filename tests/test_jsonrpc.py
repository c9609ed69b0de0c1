"""Requests, and the replies that belong to them."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.jsonrpc import LONGEST, Calls, Fault, Full, Reply, notification


class CallsTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.calls: Calls[str] = Calls(most=3)

    def call(self, kept: str, deadline: float = 10.0) -> int:
        number: int = self.calls.call("m", {}, kept, deadline)["id"]
        return number

    def test_requests(self) -> None:
        """Ids are small numbers that increase, and params an object, always."""
        made = [self.calls.call("tools/list", {}, "a", 1), self.calls.call("x", {"k": 1}, "b", 1)]
        self.assertEqual(
            made,
            [
                {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}},
                {"jsonrpc": "2.0", "id": 2, "method": "x", "params": {"k": 1}},
            ],
        )
        self.assertEqual(notification("n"), {"jsonrpc": "2.0", "method": "n"})

    def test_replies(self) -> None:
        """A reply finds its call, whatever the order, and only once."""
        first, second = self.call("first"), self.call("second")
        self.assertEqual(
            self.calls.take({"id": second, "result": {"x": 1}}), Reply("second", {"x": 1})
        )
        self.assertEqual(self.calls.take({"id": first, "result": None}), Reply("first", None))
        self.assertIsNone(self.calls.take({"id": first, "result": 1}))
        self.assertEqual(len(self.calls), 0)

    def test_ids_as_they_come_back(self) -> None:
        """An id may come back as a float, or in quotes."""
        for write in (float, str):
            number = self.call("a")
            self.assertIsNotNone(self.calls.take({"id": write(number), "result": 1}))

    def test_no_replies(self) -> None:
        """Requests, notifications, and replies to nothing of ours are nothing."""
        self.call("a")
        odd: Any
        for odd in (None, True, "1x", "9" * 40, 1.5, float("inf"), [], 77, -1):
            self.assertIsNone(self.calls.take({"id": odd, "result": 1}), odd)
        self.assertIsNone(self.calls.take({"id": 1, "method": "ping"}))
        self.assertIsNone(self.calls.take({}))
        self.assertEqual(len(self.calls), 1)

    def test_faults(self) -> None:
        """An error has a reason, and perhaps a code; what is neither result nor error is one."""
        for message, fault in (
            ({"error": {"message": "no such tool"}}, Fault("no such tool")),
            ({"error": {"code": -32603, "message": "x"}}, Fault("x", -32603)),
            ({"error": {"code": "x"}}, Fault("no reason was given")),
            ({"error": {"code": True, "message": ""}}, Fault("no reason was given")),
            ({"error": "broken"}, Fault("broken")),
            ({"error": {"message": "x" * 9999}}, Fault("x" * LONGEST)),
            ({"error": {"message": "x"}, "result": 1}, Fault("x")),
            ({"error": None, "result": 1}, 1),
            ({}, Fault("the reply has neither a result nor an error")),
        ):
            number = self.call("a")
            told: dict[str, Any] = {"id": number, **message}
            self.assertEqual(self.calls.take(told), Reply("a", fault))

    def test_bound(self) -> None:
        """One call too many is refused; an answered one makes room."""
        numbers = [self.call(name) for name in "abc"]
        self.assertRaises(Full, self.call, "d")
        self.calls.take({"id": numbers[1], "result": 1})
        self.call("d")

    def test_deadlines(self) -> None:
        """Calls are given up when they are overdue, and a late reply is nothing."""
        self.assertIsNone(self.calls.next_at())
        self.call("late", 20.0)
        first = self.call("soon", 10.0)
        self.assertEqual(self.calls.next_at(), 10.0)
        self.assertEqual(self.calls.expire(9.9), [])
        self.assertEqual(self.calls.expire(10.0), ["soon"])
        self.assertIsNone(self.calls.take({"id": first, "result": 1}))
        self.assertEqual(self.calls.next_at(), 20.0)

    def test_clear(self) -> None:
        """All can be given up."""
        self.call("a")
        self.call("b")
        self.assertEqual(self.calls.clear(), ["a", "b"])
        self.assertEqual((self.calls.clear(), len(self.calls)), ([], 0))

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(("jsonrpc", "id", "method", "result", "error")),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda some: st.lists(some) | st.dictionaries(st.text(), some),
                max_leaves=5,
            ),
        )
    )
    def test_anything(self, message: dict[str, Any]) -> None:
        """Whatever comes is a reply or nothing, and takes away one call at most."""
        calls: Calls[str] = Calls(most=3)
        calls.call("m", {}, "a", 1.0)
        reply = calls.take(message)
        self.assertEqual(len(calls), 0 if reply else 1)
