"""How models write what they think before they answer: where that begins, and where it ends.

Some put it between markers, gpt-oss into a channel, and those that were taught ReAct behind a
label. None of it is for the ear, and a call in it is but a draft.
"""

from __future__ import annotations

import re
from typing import Final

from xiaozhi.undecided import growing

THOUGHTS: Final = (
    "think",
    "thinking",
    "thought",
    "reasoning",
    "reflection",
    "start_thinking",
    "begin_of_thought",
    "inner_prefix",
)
"""Elements and markers that thoughts stand between."""
ENDS: Final = ("end_thinking", "end_of_thought", "inner_suffix")
"""The ends of those markers, where they are no ends of elements."""
ANSWERS: Final = (
    "start_response end_response start_text end_text begin_of_solution end_of_solution end return"
).split()
"""Markers around what is for the ear."""

HARMONY: Final = re.compile(
    growing(
        r"<",
        r"\|",
        r"(?P<name>[a-z]{1,7})",
        r"\|",
        r">",
        r"(?P<header>(?:[^<{]|<\|(?:channel|constrain)\|>|<(?:\|[a-z]{0,10}\|?)?\Z){0,150})",
        r"(?P<done><\|message\|>|(?=\{))",
    )
)
"""What stands before each message of gpt-oss: its author, its channel, whom it is for."""
HEADS: Final = ("start", "channel")
MESSAGE_END: Final = re.compile(r"<\|(?:end|return|call)\|>|(?=<\|(?:start|channel)\|>)")
RECIPIENT: Final = re.compile(r"\bto=(?P<name>(?!assistant\b|all\b)[\w.-]+)")
STRIPPED: Final = re.compile(r"(?P<name>)" + growing(*"analysis", r"(?P<done>(?=[A-Z]))"))
"""How an answer of gpt-oss begins without its special tokens. No prose has words so glued."""
STRIPPED_END: Final = re.compile(
    r"assistantfinal|(?:assistant)?commentary\s{0,5}(?=to=functions\.)"
)

BRACKET: Final = re.compile(growing(r"◁(?P<close>/)?", *"thin", r"(?P<name>k)", r"(?P<done>▷)"))
"""A marker of Kimi."""
THOUGHT_ENDS: Final = re.compile(r"\[/THINK\]|◁/think▷")

ACTION: Final = re.compile(r"Action[:：]\s{0,5}(?P<name>[\w.-]{1,80})\s")
_ENDED: Final = r"Action[:：][^\n]{1,90}\n\s{0,5}Action[ _]I|Final Answer[:：]|[<{\[`]"
LONG_REASON: Final = 600
"""Characters after which a label is not taken for that of a thought."""
REASON: Final = re.compile(
    r"(?P<name>)"
    + growing(
        *"Thought",
        r"[:：]",
        rf"(?:[^\n]|\n(?!\s{{0,5}}(?:{_ENDED}))){{0,{LONG_REASON}}}",
        r"\n\s{0,5}",
        r"(?P<done>(?=[AF<{\[`]))",
    )
)
"""A thought of ReAct, if an action or the answer is behind it."""
MUSING: Final = re.compile(r"(?P<name>)" + growing(*"Thought", r"(?P<done>[:：])"))
OBSERVATION: Final = re.compile(r"(?P<name>)" + growing(*"Observation", r"(?P<done>[:：])"))
ANSWER: Final = re.compile(
    r"(?P<name>)" + growing(*"Final Answer", r"[:：]", r"\s{0,5}", r"(?P<done>(?=\S))")
)
REACT: Final = re.compile(
    growing(
        *"Action",
        r"[:：]\s{0,5}",
        r"(?P<name>[\w.-]{1,80})",
        r"\s{1,5}",
        *"Action",
        r"[ _]",
        *"Input",
        r"[:：]\s{0,5}",
        r"(?P<fence>`{1,2}\Z|`{3}\w{0,10}+\s{0,5}+)?+",
        r"(?P<done>\S)",
    )
)
ASIDE_END: Final = re.compile(r"(?=\n\s{0,5}(?:Action|Observation|Thought|Final Answer)[:：])")
"""Where a thought of ReAct is over."""
NEVER: Final = re.compile(r"(?!)")
"""Where what follows an observation is over that the model made up: it builds on that."""
HIDDEN: Final = {
    BRACKET: THOUGHT_ENDS,
    MUSING: ASIDE_END,
    OBSERVATION: NEVER,
    STRIPPED: STRIPPED_END,
}
"""What begins that is not for the ear, and what ends it."""
