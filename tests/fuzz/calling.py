"""Answers with calls in them: sifted alike however they are cut; arguments fit, or are refused.

What must hold: nothing fails; the sieve lets the same text and calls through, however the answer
was cut; no marker and no thought is let through; and what `understood` gives is an object
that can be written as JSON.
"""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any, Final

from tests.fuzz.dice import ODD, Dice
from tests.fuzz.watching import Defect
from xiaozhi.arguments import BadArguments, understood
from xiaozhi.toolcalls import Sieve
from xiaozhi.tooling import Call

_NAMES: Final = ("get_time", "play_music")
_GIVEN: Final = '{"city": "x", "level": 5}'
_PLAIN: Final = f'{{"name": "get_time", "arguments": {_GIVEN}}}'
_PARTS: Final = (
    "Well. ", " ", "\n", "a < b ", "it's ", "get_time", "(", ")", "{", "}", "[", "]", '"', "'",
    "\\", ":", ",", "`", "```", "```json\n", "```\n", "<think>", "</think>", "<tool_call>",
    "</tool_call>", "<function_call>", "<|tool_call|>", "<|python_tag|>", "<|eom_id|>",
    "[TOOL_CALLS]", "[ARGS]", "<function=get_time>", "</function>", "<parameter=city>",
    "</parameter>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>",
    "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "functions.", "functions.get_time:0",
    "<arg_key>", '<invoke name="get_time">', "<tool_response>", _GIVEN, _PLAIN, _PLAIN[:-1],
    f"[{_PLAIN}]", '{"name": ', '{"tool_calls": [', '"arguments": ', '[get_time(city="x")]',
    "[THINK]", "[/THINK]", "◁think▷", "◁/think▷", "<|channel|>analysis<|message|>", "<|end|>",
    "<|start|>assistant", "<|channel|>final<|message|>", " to=functions.get_time json", "<|call|>",
    "Thought: ", "\nAction: get_time\nAction Input: ", "\nObservation: ", "\nFinal Answer: ",
    "analysisWe", "assistantfinal", "<get_time>", "</get_time>", "<b>", "hm " * 100,
    "🙂", "\ud83d", "\x00", "{'a': 'it\\'s', b: True,}", "[" * 50,
)  # fmt: skip
_MARKERS: Final = (
    "<tool_call>",
    "</tool_call>",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<function=",
    "<think>",
)
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["x", "y"]},
        "level": {"type": "integer", "minimum": 0, "maximum": 9},
        "days": {"type": "array", "items": {"type": "number"}},
        "name": {"type": ["string", "null"]},
        "arguments": {"type": "object", "properties": {"a": {"type": "boolean"}}},
    },
    "required": ["city"],
}


def one(data: bytes) -> None:
    """Sift an answer, and read the arguments of its calls; or read some that are none."""
    dice = Dice(data)
    if dice.below(2):
        text = "".join(dice.pick(_PARTS) for _ in range(1 + dice.below(12)))
        for call in _sifted(text, 1 + dice.below(9)):
            _understood(call.arguments, dice)
    else:
        _understood(_raw(dice), dice)


def _sifted(text: str, size: int) -> list[Call]:
    whole = _sift([text])
    for length in (1, size):
        if _sift([text[at : at + length] for at in range(0, len(text), length)]) != whole:
            raise Defect(f"cut to {length}, another thing is sifted: {text!r}")
    said, calls = whole
    if any(marker in said for marker in _MARKERS):
        raise Defect(f"a marker would be spoken: {said!r}")
    return calls


def _sift(parts: list[str]) -> tuple[str, list[Call]]:
    sieve = Sieve(_NAMES)
    out = [piece for part in parts for piece in sieve.feed(part)] + sieve.flush()
    said = "".join(piece for piece in out if isinstance(piece, str))
    return said, [piece for piece in out if isinstance(piece, Call)]


def _raw(dice: Dice) -> object:
    """Make arguments: an object, text, or something else; with what nobody would expect in it."""
    raw: dict[str, Any] = json.loads(_PLAIN) | json.loads(_GIVEN)
    for _ in range(dice.below(4)):
        raw[dice.pick([*_SCHEMA["properties"], "b", ""])] = deepcopy(dice.pick(ODD))
    match dice.below(4):
        case 0:
            return raw
        case 1:
            return dice.pick(ODD)
        case 2:
            return json.dumps(raw)
        case _:
            text = json.dumps(raw, ensure_ascii=False)
            at = dice.below(len(text) + 1)
            return text[:at] + dice.pick(_PARTS) + text[at + dice.below(5) :]


def _understood(raw: object, dice: Dice) -> None:
    schema = deepcopy(_SCHEMA)
    if dice.rarely(3):
        about = schema["properties"][dice.pick([*schema["properties"]])]
        about[dice.pick(["type", "enum", "items", "properties", "minimum"])] = dice.pick(ODD)
    try:
        fitted = understood(raw, schema)
    except BadArguments as error:
        str(error).encode("utf-8", "strict")
        return
    json.dumps(fitted, ensure_ascii=False, allow_nan=False).encode("utf-8", "strict")
