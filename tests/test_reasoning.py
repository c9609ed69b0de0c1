"""What models think before they answer: none of it is said, and what they call is called."""

from __future__ import annotations

from typing import Final

from twisted.trial.unittest import SynchronousTestCase

from tests.test_toolcalls import GIVEN, NAMES, ONE, cuts, sift
from xiaozhi.toolcalls import Sieve
from xiaozhi.tooling import Call

CALL: Final = Call("", "get_time", GIVEN)
ANY: Final = Call("", "get_time", None)
"""A call with some arguments."""
TO: Final = f"to=functions.get_time <|constrain|>json<|message|>{GIVEN}<|call|>"
HIDDEN: Final = "<|channel|>analysis<|message|>I must. Say <tool_call>{}!<|end|>"
FINAL: Final = "<|channel|>final<|message|>It is five.<|return|>"
START: Final = "<|start|>assistant"
ACT: Final = f"Action: get_time\nAction Input: {GIVEN}"
THOUGHTS: Final = (
    "<think>{}</think>",
    "<THINK>{}</Think >",
    "<thinking>{}</thinking>",
    "<thought>{}</thought>",
    "<reasoning>{}</reasoning>",
    "<seed:think>{}</seed:think>",
    "<|START_THINKING|>{}<|END_THINKING|>",
    "<|begin_of_thought|>{}<|end_of_thought|>",
    "<|inner_prefix|>{}<|inner_suffix|>",
    "[THINK]{}[/THINK]",
    "◁think▷{}◁/think▷",
    "<|channel|>analysis<|message|>{}<|end|>",
)
HARMONY: Final[dict[str, tuple[str, list[Call]]]] = {
    HIDDEN + START + FINAL: ("It is five.", []),
    f"{HIDDEN}{START}<|channel|>commentary {TO}": ("", [CALL]),
    f"{START}{HIDDEN}{START} to=functions.get_time<|channel|>commentary json<|message|>{GIVEN}": (
        "",
        [CALL],
    ),
    f"<|channel|>analysis {TO}": ("", [CALL]),
    f"<|channel|>commentary<|message|>Let me see.<|end|>{START}<|channel|>commentary {TO}": (
        "Let me see.",
        [CALL],
    ),
    f"<|channel|>commentary {TO}<|start|>functions.get_time to=assistant<|channel|>commentary"
    f"<|message|>It is six.<|end|>{START}{FINAL}": ("It is five.", [CALL]),
    f"<|channel|>commentary to=functions.no_such{TO[21:]}": ("", [Call("", "no_such", GIVEN)]),
    f"{HIDDEN}{START}<|chan": ("", []),
    "<|channel|>analysis<|message|>I must <|st": ("", []),
    "analysisWe must. They say: a.assistantfinalIt is five.": ("It is five.", []),
    f"analysisWe must.assistantcommentary to=functions.get_time json{GIVEN}": ("", [CALL]),
    "analysisWe must": ("", []),
    "analysis is a word. So is assistantfinal.": (
        "analysis is a word. So is assistantfinal.",
        [],
    ),
    "It is an analysisWe wrote.\nanalysisWe": ("It is an analysisWe wrote.\nanalysisWe", []),
}
REACT: Final[dict[str, tuple[str, list[Call]]]] = {
    ACT: ("", [CALL]),
    f"{ACT}\nSo.": ("\nSo.", [CALL]),
    ACT.replace("on: ", "on："): ("", [CALL]),
    f"Thought: I need: it.\n\nI must\nask.\n{ACT}": ("", [CALL]),
    f"Well.\nThought: hm\n{ACT}\nObservation: It is\n\n- six.\nThought: I know.\nSo:\n"
    "Final Answer: It is six.": ("Well.\n\n", [CALL]),
    f"{ACT}\nThought: I know.\nSo:\nFinal Answer: It is five.": ("\n\nIt is five.", [CALL]),
    f"{ONE['Qwen']}<tool_response>6</tool_response>It is six.": ("", [ANY]),
    "<tool_response>5</tool_response>It is five.": ("It is five.", []),
    f"{ACT}\nObservation: It is six.": ("\n", [CALL]),
    f"{ACT.replace(GIVEN, '')}```json\n{GIVEN}\n```\nObservation: 6": ("\n", [CALL]),
    "Action: get_time\nAction Input: None\nObservation: 6": ("\n", [Call("", "get_time", {})]),
    "Action: get_time\nAction Input: Paris": ("", [Call("", "get_time", "Paris")]),
    "Action: get_time\nAction Input:\nObservation: 6": ("", [Call("", "get_time", {})]),
    "Thought: I know.\nAction: None\nFinal Answer: It\nis five.": ("It\nis five.", []),
    "Final Answer: It is five.": ("It is five.", []),
    f"Thought: hm\n{ONE['Qwen']} So.": (" So.", [ANY]),
    'Action: get_time\nAction Input: {"city": "Bei': ("", []),
}
PROSE: Final = (
    "Thought: it is five.\nAnd so on.",
    "Thought: it is",
    "Thought: it is [x].\n[see](http://x)\nThought: well.\n[see](http://x)",
    "Well.\nThought: it is.\nThought: it was.\nAction: none.\nAction Input: {}",
    f"An {ACT[:20]}",
    "Actions: get_time",
    "Press <End>, or <return>.",
    "So be it.\nFinal Answer: 42",
    "Observation: it rains.\nThought: " + "so it is.\n" * 200,
)


class ReasoningTests(SynchronousTestCase):
    maxDiff = None

    def check(self, text: str, said: str, calls: list[Call] | None = None) -> None:
        """Sift a text, however it is cut."""
        first = sift([text])
        self.assertEqual((text, first[0]), (text, said))
        if calls is not None:
            self.assertEqual([call.name for call in first[1]], [call.name for call in calls], text)
            for call, expected in zip(first[1], calls, strict=True):
                if expected.arguments is not None:
                    self.assertEqual(call.arguments, expected.arguments, text)
        for parts in cuts(text):
            self.assertEqual(sift(parts), first, parts)

    def test_marked(self) -> None:
        """A thought between markers is not said, nor done; a call behind it is, what is cut not."""
        for form in THOUGHTS:
            thought = form.format('hm [x] <tool_call>{} {"name": "get_time"}\n')
            self.check(f"Well. {thought}So.", "Well. So.", [])
            self.check(f"{thought}\n{ONE['Qwen']}", "\n", [ANY])
            self.check(form.partition("{}")[0] + "I will never", "", [])

    def test_ends(self) -> None:
        """Where the beginning of a thought is missing, others learn of its end."""
        for end in ("</think>", "[/THINK]", "◁/think▷", "<|END_THINKING|>", "</seed:think>"):
            self.check(f"hm{end}So.", "hm</think>So.", [])
        self.check("Write `<think>` or <think/>.", "Write  or .", [])

    def test_command(self) -> None:
        """So it is with the markers around an answer: they are dropped, the answer is said."""
        self.check("<|START_RESPONSE|>It is five.<|END_RESPONSE|>", "It is five.", [])

    def test_harmony(self) -> None:
        """What gpt-oss thinks is not said, and what it writes to a tool is a call."""
        for text, (said, calls) in HARMONY.items():
            self.check(text, said, calls)

    def test_react(self) -> None:
        """An action is a call; thoughts, and observations, which are made up, are not said."""
        for text, (said, calls) in REACT.items():
            self.check(text, said, calls)

    def test_prose(self) -> None:
        """Labels alone prove nothing."""
        for text in PROSE:
            self.check(text, text, [])

    def test_bounded(self) -> None:
        """What may be a thought is kept, but not for ever."""
        sieve = Sieve(NAMES)
        self.assertEqual(sieve.feed("Thought: so it is.\n"), [])
        self.assertNotEqual(sieve.feed("So it is.\n" * 200), [])
        self.assertEqual(sieve.feed("Thought: so."), ["Thought: so."])
