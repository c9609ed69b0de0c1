"""Streamed calls, put together from the pieces that servers make of them."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.openai_llm import CALLED, called
from xiaozhi.services.llm.deltas import LONGEST, Calls
from xiaozhi.services.openai_errors import BadAnswer
from xiaozhi.tooling import Call


def put_together(*deltas: Any) -> tuple[list[Call], list[Call]]:
    """Return the calls that are known to be complete before the end, and those after it."""
    calls = Calls()
    complete = [call for delta in deltas for call in calls.add(delta)]
    return complete, list(calls.rest())


class DeltasTests(SynchronousTestCase):
    def test_servers(self) -> None:
        """However a server streams a call, it is one, and known as soon as it is complete."""
        for kind, told in CALLED.items():
            (call,), rest = put_together(*called(told))
            self.assertEqual(
                (call.name, call.arguments, rest), ("get_time", '{"city":"x"}', []), kind
            )
            self.assertEqual(call.id, "call_1" if "call_1" in told else "", kind)

    def test_several(self) -> None:
        """Several calls are several: by index, by id, or by being complete."""
        for told in (
            '0:a:f:{"x": 1:b:g: 0:::1} 1:::{}',
            '0:a:f:{"x":1} 0:b:g:{}',
            '-:a:f:{"x":1} -:b:g:{}',
            '-::f:{"x":1} -::g:{}',
        ):
            complete, rest = put_together(*called(told))
            self.assertEqual(
                [(c.name, c.arguments) for c in complete], [("f", '{"x":1}'), ("g", "{}")]
            )
            self.assertEqual(rest, [])
        complete, rest = put_together(*called("-::f: -::g: -::g:"))
        self.assertEqual([call.name for call in complete + rest], ["f", "g"])

    def test_at_the_end(self) -> None:
        """What is not complete is a call at the end: without arguments, or with broken ones."""
        told = '0:a:f: 1:b:g:{"x 2:c:h:[1] 3:d:: 4:e:i:' + "[" * 99
        complete, rest = put_together(*called(told))
        self.assertEqual((complete, [call.name for call in rest]), ([], ["f", "g", "h", "i"]))
        self.assertEqual([call.arguments for call in rest[:3]], ["", '{"x', "[1]"])
        complete, rest = put_together(*called("0:e:i:" + "{[" * 99))
        self.assertEqual((complete, len(rest)), ([], 1))

    def test_objects(self) -> None:
        """Arguments that are an object are taken as they are."""
        function = {"name": "f", "arguments": {"x": 1}}
        self.assertEqual(
            put_together({"tool_calls": [{"id": "a", "function": function}]}),
            ([Call("a", "f", {"x": 1})], []),
        )

    def test_old_servers(self) -> None:
        """The `function_call` of old servers is a call."""
        deltas = ({"name": "f", "arguments": ""}, {"arguments": '{"x":'}, {"arguments": "1}"})
        self.assertEqual(
            put_together(*({"function_call": delta} for delta in deltas)),
            ([Call("", "f", '{"x":1}')], []),
        )

    def test_garbage(self) -> None:
        """What is no piece of a call is nothing."""
        garbage: Any
        for garbage in (None, 7, "x", [], [None], [7], [{}], [{"function": None}], {"a": 1}):
            self.assertEqual(put_together({"tool_calls": garbage}), ([], []))
        odd = {"index": "x", "id": 5, "function": {"name": ["f"], "arguments": None}}
        self.assertEqual(put_together({"tool_calls": [odd]}, None, "x", 5), ([], []))

    def test_endless(self) -> None:
        """Arguments without end are no answer."""
        with self.assertRaises(BadAnswer):
            put_together(*called("0:a:f:{" + "x" * LONGEST))
