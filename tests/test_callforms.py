"""What is a call, in a text between two markers and in a value."""

from __future__ import annotations

from typing import Any, Final

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.callforms import calls_in, element, on_offer, shaped
from xiaozhi.tooling import Call

NAMES: Final = frozenset({"get_time", "self_audio_speaker_set_volume"})
GIVEN: Final = {"city": "x"}
CALL: Final = Call("", "get_time", GIVEN)
SHAPES: Final[tuple[tuple[object, list[Call]], ...]] = (
    ({"name": "get_time", "arguments": GIVEN}, [CALL]),
    ({"name": "get_time", "parameters": GIVEN}, [CALL]),
    ({"name": "get_time", "arguments": None}, [Call("", "get_time", None)]),
    ({"name": "get_time", "arguments": '{"city'}, [Call("", "get_time", '{"city')]),
    ({"name": "get_time"}, [Call("", "get_time", {})]),
    ({"name": "get_time", "city": "x"}, [CALL]),
    ({"name": "functions.get_time:3", "arguments": GIVEN}, [CALL]),
    ({"type": "function", "function": "get_time", "args": GIVEN, "id": "7"},
     [Call("7", "get_time", GIVEN)]),
    ({"id": "7", "function": {"name": "get_time", "arguments": GIVEN}},
     [Call("7", "get_time", GIVEN)]),
    ({"function_call": {"name": "get_time", "arguments": GIVEN}}, [CALL]),
    ({"tool_calls": [{"name": "get_time", "arguments": GIVEN}] * 2}, [CALL, CALL]),
    ({"thought": "hm", "action": "get_time", "action_input": GIVEN}, [CALL]),
    ({"tool": "get_time", "input": GIVEN}, [CALL]),
    ({"get_time": GIVEN}, [CALL]),
    ([{"name": "get_time", "arguments": GIVEN}] * 2, [CALL, CALL]),
    ({"name": "get_tide", "arguments": GIVEN}, [Call("", "get_tide", GIVEN)]),
    ({"name": "Bob", "age": 7}, []),
    ({"name": "Bob", "parameters": [1]}, []),
    ({"action": "final_answer", "action_input": {"text": "It is five."}}, []),
    ({"name": 5, "arguments": {}}, []),
    ({"get_time": 5}, []),
    ({"tool_calls": []}, []),
    ([{"name": "get_time", "arguments": GIVEN}, 5], []),
    ({}, []),
    ([], []),
    ("get_time", []),
)  # fmt: skip
"""Values without a marker, and what calls they are."""
BODIES: Final[dict[str, list[Call]]] = {
    '{"name": "get_time", "arguments": {"city": "x"}}': [CALL],
    '\n```json\n{"name": "get_time", "city": "x"}\n```': [CALL],
    '{"name": "no_such", "arguments": {"city": "x"}}': [Call("", "no_such", GIVEN)],
    '{"name": "self.audio_speaker.set_volume", "arguments": {}}': [
        Call("", "self_audio_speaker_set_volume", {})
    ],
    '[{"name": "get_time", "arguments": {"city": "x"}}] and so on': [CALL],
    '{"name": "get_time", "city": "x"}; {"name": "get_time", "city": "x"}': [CALL, CALL],
    '{"name": "get_time", "city": "x"}, {"name": "get_time", "arg': [CALL],
    '{"name": "get_time", "arguments": {"city": "x}}': [Call("", "get_time", '{"city": "x}}')],
    '{"name": "no_such", "arguments": {"city": "x}}': [],
    "{name: get_time, args: {city: x}}": [Call("", "get_time", "{city: x}}")],
    "name = get_time": [Call("", "get_time", "")],
    'get_time{"city": "x"}get_time{"city": "x"}': [CALL, CALL],
    'get_time[ARGS]{"city": "x"}': [CALL],
    "get_time\n```json\n{city: x}": [Call("", "get_time", "{city: x}")],
    'functions.get_time:4<|tool_call_argument_begin|>{"city": "x"}': [
        Call("functions.get_time:4", "get_time", GIVEN)
    ],
    'get_time.call(city="x")': [CALL],
    "[get_time(city='x',), get_time(city = \"x\")]": [CALL, CALL],
    "get_time()": [Call("", "get_time", {})],
    'get_time("x")': [Call("", "get_time", '"x")')],
    "get_time\n<arg_key>city</arg_key>\n<arg_value>x</arg_value>": [CALL],
    "<function=get_time><parameter=city>\nx\n</parameter></function>": [CALL],
    "<function=get_time>\n<parameter=city>\nx\n<parameter=zone>y": [
        Call("", "get_time", GIVEN | {"zone": "y"})
    ],
    '<function="get_time">{"city": "x"}</function>': [Call("", "get_time", '{"city": "x"}')],
    '<invoke name="get_time"><parameter name="city">x</parameter></invoke>': [CALL],
    "\nget_time\n": [Call("", "get_time", {})],
    "<get_time></get_time>": [Call("", "get_time", {})],
    "<get_time/><get_time><city>x</city></get_time>": [Call("", "get_time", {}), CALL],
    "get_tide": [],
    "<get_tide></get_tide>": [],
    "Let me think about it.": [],
    "": [],
}
"""What stands between two markers, and what calls it is."""
CUT: Final[dict[str, list[Call]]] = {
    '{"name": "get_time", "arguments": {"city": "x"}': [CALL],
    '{"name": "get_time", "arguments": {"city": "x': [],
    "<function=get_time><parameter=city>x</parameter>": [CALL],
    "<function=get_time><parameter=city>x": [],
    "<get_time>": [Call("", "get_time", {})],
    "get_time": [],
    'get_time(city="x"': [],
}
"""The same at the end of an answer, without the marker behind it."""


GIVEN_TEXT: Final = '{"city": "x"}'
ELEMENTS: Final[dict[str, object]] = {
    GIVEN_TEXT: GIVEN_TEXT,
    f"\n```json\n{GIVEN_TEXT}\n```\n": GIVEN_TEXT,
    f'{{"name": "get_time", "arguments": {GIVEN_TEXT}}}': GIVEN,
    '{"name": "Bob", "parameters": {}}': '{"name": "Bob", "parameters": {}}',
    "{city: x}": "{city: x}",
    "<city> x </city>": GIVEN,
    "<city>x</city><zone>y": GIVEN | {"zone": "y"},
    '<parameter name="city">x</parameter>': GIVEN,
    f"<arguments>{GIVEN_TEXT}</arguments>": GIVEN_TEXT,
    "<input>x</input>": {"input": "x"},
    "": {"a": "b"},
}
"""What stands in an element that is called as a tool, and the arguments it is."""


class CallFormsTests(SynchronousTestCase):
    maxDiff = None

    def test_shapes(self) -> None:
        """A value is a call by its keys and a name that is known, or by its very shape."""
        for value, calls in SHAPES:
            self.assertEqual(shaped(value, NAMES, marked=False), calls, repr(value))

    def test_no_tools(self) -> None:
        """Where there are no tools, a value is none but a value."""
        for name in ("get_time", "no_such"):
            value: Any = {"name": name, "arguments": {}}
            self.assertEqual(shaped(value, (), marked=False), [])

    def test_bodies(self) -> None:
        """Between markers, everything that has a name is a call."""
        self.assertEqual({text: calls_in(text, NAMES) for text in BODIES}, BODIES)

    def test_elements(self) -> None:
        """An element that is called as a tool has its arguments in any of the ways there are."""
        for inside, given in ELEMENTS.items():
            calls = element("get_time", '<get_time a="b">', inside, NAMES)
            self.assertEqual(calls, [Call("", "get_time", given)], inside)
        self.assertEqual(element("get_time", "<get_time/>", "", NAMES), [Call("", "get_time", {})])
        self.assertEqual(element("get_time", "<get_time>", "<city>x", NAMES, whole=False), [])

    def test_cut(self) -> None:
        """What has no end is a call only if nothing of it can be missing."""
        self.assertEqual({text: calls_in(text, NAMES, whole=False) for text in CUT}, CUT)

    def test_on_offer(self) -> None:
        """A tool is known by the name the model was told, and by those it was made of."""
        for name in ("get_time", " get_time", "functions.get_time", "get_time:0", "get_time.call"):
            self.assertEqual(on_offer(name, NAMES), "get_time")
        self.assertEqual(on_offer("get", NAMES), "")
