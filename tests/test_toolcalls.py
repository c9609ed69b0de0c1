"""Calls of tools in what models say: each form, wherever it stands, however it is cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.toolcalls import LONGEST, Sieve
from xiaozhi.tooling import Call

NAMES: Final = ("get_time", "play_music", "self_audio_speaker_set_volume")
GIVEN: Final = '{"city": "北京", "days": [1, {"a": "}\\"]"}]}'
PLAIN: Final = f'{{"name": "get_time", "arguments": {GIVEN}}}'
LLAMA: Final = PLAIN.replace("arguments", "parameters")
AS_TEXT: Final = PLAIN.replace(GIVEN, '"{\\"city\\": \\"x\\"}"')
DSML: Final = "｜DSML｜"
ONE: Final = {
    "Qwen": f"<tool_call>\n{PLAIN}\n</tool_call>",
    "a brace too many": f"<tool_call>{PLAIN}}}</tool_call>",
    "a brace too few": f"<tool_call>{PLAIN[:-1]}</tool_call>",
    "fenced inside": f"<tool_call>\n```json\n{PLAIN}\n```\n</tool_call>",
    "function_call": f"<function_call>{PLAIN}</function_call>",
    "Phi": f"<|tool_call|>[{PLAIN}]<|/tool_call|>",
    "InternLM": f"<|action_start|><|plugin|>\n{LLAMA}<|action_end|>",
    "Mistral": f"[TOOL_CALLS] [{PLAIN}]",
    "Mistral's later": f"[TOOL_CALLS]get_time{GIVEN}",
    "Mistral's last": f"[TOOL_CALLS]get_time[CALL_ID]aB3dE6gH9[ARGS]{GIVEN}",
    "Llama": f"<function=get_time>{GIVEN}</function>",
    "Llama's tag": f"<|python_tag|>{LLAMA}<|eom_id|>",
    "Llama's Python": '<|python_tag|>get_time.call(city="x", days=[1])',
    "DeepSeek": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_time\n"
    f"```json\n{GIVEN}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "DeepSeek's later": "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_time<｜tool▁sep｜>"
    f"{GIVEN}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "DeepSeek, plain": "<|tool_calls_begin|><|tool_call_begin|>get_time<|tool_sep|>"
    f"{GIVEN}<|tool_call_end|><|tool_calls_end|>",
    "DeepSeek's last": f'<{DSML}function_calls>\n<{DSML}invoke name="get_time">\n<{DSML}parameter'
    f' name="city" string="true">x</{DSML}parameter>\n</{DSML}invoke>\n</{DSML}function_calls>',
    "MiniMax": '<minimax:tool_call>\n<invoke name="get_time">\n<parameter name="city">x'
    "</parameter>\n</invoke>\n</minimax:tool_call>",
    "Kimi": f"functions.get_time:0{GIVEN}",
    "Kimi, whole": "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_time:0"
    f"<|tool_call_argument_begin|>{GIVEN}<|tool_call_end|><|tool_calls_section_end|>",
    "gpt-oss": "<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>"
    f"{GIVEN}<|call|>",
    "Qwen's coder": "<tool_call>\n<function=get_time>\n<parameter=city>\nx\n</parameter>\n"
    "</function>\n</tool_call>",
    "the coder's half": "<function=get_time><parameter=city>x</parameter></function></tool_call>",
    "GLM": "<tool_call>get_time\n<arg_key>city</arg_key>\n<arg_value>x</arg_value>\n</tool_call>",
    "bare": PLAIN,
    "bare, quoted by Python": PLAIN.replace('"name"', "'name'").replace('"get_time"', "'get_time'"),
    "bare, in a list": f"[ {LLAMA} ]",
    "bare, with text": AS_TEXT,
    "function_call in JSON": f'{{"function_call": {AS_TEXT}}}',
    "OpenAI's": f'{{"tool_calls": [{{"id": "", "type": "function", "function": {PLAIN}}}]}}',
    "an agent's": f'{{"thought": "hm", "action": "get_time", "action_input": {GIVEN}}}',
    "tool and input": f'{{"tool": "get_time", "input": {GIVEN}}}',
    "fenced": f"```json\n{PLAIN}\n```",
    "fenced as a call": f"```tool_call\n{PLAIN}\n```",
    "fenced as nothing": f"```\n{PLAIN}```",
    "in backticks": f"`{PLAIN}`",
    "fenced, with tags": f"```xml\n<tool_call>{PLAIN}</tool_call>\n```",
    "an element": f"<get_time>{GIVEN}</get_time>",
    "an element with elements": "<get_time>\n<city>x</city>\n<days>1</days>\n</get_time>",
    "an element with a fence": f"```xml\n<get_time>\n{GIVEN}\n</get_time>\n```",
    "an element with attributes": "<get_time city=\"x\" days='1'/>",
    "an element, closed": '<get_time city="x"></get_time>',
    "Command": f'<|START_ACTION|>[{{"tool_call_id": "0", "tool_name": "get_time",'
    f' "parameters": {GIVEN}}}]<|END_ACTION|>',
    "in small letters": f"[tool_call]{PLAIN}[/tool_call]",
    "JSON-RPC": f'{{"jsonrpc": "2.0", "method": "get_time", "params": {GIVEN}, "id": 1}}',
    "an intent": f'{{"intent": "get_time", "slots": {GIVEN}}}',
    "typeset": "{“name”: “get_time”, “arguments”: {“city”: “x”, “days”: [“}”]}}",
    "in Chinese": '{“name”：“get_time“，"arguments"：{“city”：“他说"}"”}}',
    "Gemma": '```tool_code\nprint(default_api.get_time(city="x"))\n```',
    "OpenAI's, made up": f'{{"tool_uses": [{{"recipient_name": "functions.get_time",'
    f' "parameters": {GIVEN}}}]}}',
    "fenced Python": '```tool_code\nget_time(city="x")\n```',
}
"""A call of get_time in every form, which ends where its text does."""
OPEN: Final = {
    "not closed": f"<tool_call>{PLAIN}",
    "Granite": f"<|tool_call|>[{PLAIN}]",
    "Llama's tag": f"<|python_tag|>{LLAMA}",
    "nor fenced to its end": f"```json\n{PLAIN}",
}
"""Forms whose end is missing, or is not told."""
NONE: Final = (
    '{"city": "x"}',
    '{"name": "Bob", "age": 7}',
    '[{"name": "Bob"}]',
    "{name}",
    '{"method": "GET", "params": {}} {"intent": "greet", "slots": {}}',
    "{“name”：“小明”，“age”：7} 他说“{name}”，好。",
    "It calls [get_time(city='x')] then. 先用 [get_time()] 再用 get_time() 和 `get_time()`\n",
    "Function call: it is one.\nTool call: tool_call: get_time is a tool.\ntool_call",
    "A tool call: {1}\nFunction calls:\n<b>x</b> 好。调用工具：[1]\n调用：x\n** *a*",
    "{ } [ ] [1, 2] {1: 2} [] {} [[x]] [see](http://x.y) [^1] [TODO]",
    "a < b > c <b>bold</b> <br/> <toolbox> List<int> <|endoftext|> </p>",
    "`code` ``more`` ```js\nlet x = {a: 1};\n``` `",
    "Python has functions. It has functions.get_time, too: functions.get_time:x",
    "get_time is a tool; call get_time() with [get_times(1)] or [get_time]",
    "it's {\"tool_calls\": []} and {'id': 5}",
)
"""No calls."""
DROPPED: Final = (
    "<tool_call>well</tool_call>",
    "<tool_call>",
    '<tool_call>{"name": "get_time", "arguments": {"city": "Bei',
    "<tool_ca",
    "<｜tool▁calls▁be",
    '<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{"ci',
    "</tool_call>",
    "<tool_call/>",
    "<function>",
    "<get_ti",
    "<get_time>",
    "<get_time><city>Bei",
    '<get_time>{"city": "Bei',
    "</get_time>",
    "<|tool_calls_end|>",
    "[TOOL_CALLS]",
    "[TOOL_CA",
    '[TOOL_CALLS] [{"name": "get_ti',
    '{"name": "get_ti',
    '{"tool_c',
    '{"function_call": {"name": "play_something_else_that_is_not_known", "arg',
    '{"name": "get_time", "arguments": {"city": "a town with a name longer than that',
    "[get_time(",
    "[get_time",
    "functions.get_time:0{",
    "functions.get_time:",
    f"<tool_response>{PLAIN}</tool_response>",
    "<tool_call>"
    + '{"name": "get_time", "arguments": {"city": "'
    + "x" * LONGEST
    + '"}}</tool_call>',
)
"""No calls either, but nothing to be read aloud; and what is said behind them."""
PROSE: Final = st.text(
    st.sampled_from("abf 好。\n.,:;!?'\"()-*#~_=0") | st.characters(codec="utf-8"), max_size=12
).filter(lambda text: not set("<{[`") & set(text))


def sift(parts: Iterable[str], names: Sequence[str] = NAMES) -> tuple[str, list[Call]]:
    """Give the parts to a sieve; return the text and the calls that come out."""
    sieve = Sieve(names)
    out = [piece for part in parts for piece in sieve.feed(part)] + sieve.flush()
    text = "".join(piece for piece in out if isinstance(piece, str))
    return text, [piece for piece in out if isinstance(piece, Call)]


def cuts(text: str) -> Iterable[Sequence[str]]:
    """Cut a text in every place, in all places, and not at all."""
    yield [text]
    yield text
    for place in range(1, len(text)):
        yield [text[:place], text[place:]]


class SieveTests(SynchronousTestCase):
    maxDiff = None

    def check(self, text: str, said: str, calls: list[Call] | None = None) -> list[Call]:
        """Sift a text, however it is cut; return the calls."""
        first = sift([text])
        self.assertEqual((text, first[0]), (text, said))
        for parts in cuts(text):
            self.assertEqual(sift(parts), first, parts)
        if calls is not None:
            self.assertEqual(first[1], calls, text)
        return first[1]

    def test_forms(self) -> None:
        """Every form is one call, and not a character of it is text; what is around it is."""
        for form, text in ONE.items():
            for before, behind in (
                ("", ""),
                ("Let me see. ", " A moment (or two)."),
                ("好\n", "\n"),
            ):
                calls = self.check(before + text + behind, before + behind)
                self.assertEqual([call.name for call in calls], ["get_time"], form)
                self.assertIn("city", str(calls[0].arguments))

    def test_open(self) -> None:
        """A call without its end is one, and what is said behind it is said."""
        for form, text in OPEN.items():
            for behind in ("", " So be it.", "\n<b>So</b> be it."):
                calls = self.check(f"Well. {text}{behind}", f"Well. {behind}")
                self.assertEqual([call.name for call in calls], ["get_time"], form)

    def test_labels(self) -> None:
        """What only says that a call comes is no more for the ear than the call."""
        for label in (
            "tool_call: ",
            "**Function call:**\n",
            "Tool calls:\n\n",
            "调用工具：",
            "函数调用: ",
        ):
            for form in ("Qwen", "Mistral", "bare", "fenced", "Kimi"):
                for before in ("", "Well.\n"):
                    calls = self.check(f"{before}{label}{ONE[form]}\nSo.", f"{before}\nSo.")
                    self.assertEqual([call.name for call in calls], ["get_time"], form)
        (call,) = self.check('好的。调用工具：get_time(city="x")', "好的。")
        self.assertEqual(call.arguments, {"city": "x"})

    def test_to(self) -> None:
        """What is left of a call of gpt-oss without its special tokens is one still."""
        (call,) = self.check(f"Well.\nto=functions.get_time {GIVEN}\nSo.", "Well.\n\nSo.")
        self.assertEqual((call.name, call.arguments), ("get_time", GIVEN))

    def test_several(self) -> None:
        """Several calls are several, with the text between them."""
        for form, text in (ONE | OPEN).items():
            calls = self.check(f"A {text} B {text} C", "A  B  C")
            self.assertEqual([call.name for call in calls], ["get_time"] * 2, form)

    def test_several_in_one(self) -> None:
        """So are several between two markers, or in one fence."""
        for text in (
            f"<tool_call>{PLAIN}\n{PLAIN}</tool_call>",
            f"```json\n[{PLAIN}, {LLAMA}]\n```",
        ):
            self.assertEqual(len(self.check(text, "")), 2)
        calls = self.check(f"```json\n{PLAIN}\n{PLAIN}\n```\nWell.", "\n\nWell.")
        self.assertEqual(len(calls), 2)

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(PROSE, st.sampled_from(sorted(ONE)), PROSE, st.lists(st.integers(0, 400), max_size=6))
    def test_anywhere(self, before: str, form: str, behind: str, places: list[int]) -> None:
        """Whatever is said before and behind a call, and however it is cut, it is the same."""
        before, behind = f"{before} ", f" {behind}"
        text = before + ONE[form] + behind
        edges = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
        said, calls = sift(text[a:b] for a, b in pairwise(edges))
        self.assertEqual(said, before + behind)
        self.assertEqual([call.name for call in calls], ["get_time"])

    @settings(max_examples=300, deadline=None, database=None, derandomize=True)
    @given(PROSE, st.integers(1, 5))
    def test_prose(self, text: str, size: int) -> None:
        """Text without calls passes unchanged."""
        text = f"{text} "
        parts = [text[at : at + size] for at in range(0, len(text), size)]
        self.assertEqual(sift(parts), (text, []))

    def test_waits_for_what_is_in_it(self) -> None:
        """A marker that is also a word of other languages is kept until it is known which."""
        sieve = Sieve({"get_time"})
        self.assertEqual(sieve.feed("Add a <plugin>"), ["Add a "])
        self.assertEqual("".join(map(str, sieve.feed("\n an element"))), "<plugin>\n an element")
        sieve = Sieve({"get_time"})
        self.assertEqual((sieve.feed("Now <invoke>"), sieve.flush()), (["Now "], []))

    def test_not_delayed(self) -> None:
        """Text without a sign of a call is not kept back; with one, no longer than it takes."""
        sieve = Sieve(NAMES)
        for piece in ("Well", ", it is", " five.\n", "Further ", "on", " (say)", " 1 < 2", " {1}"):
            self.assertEqual("".join(map(str, sieve.feed(piece))), piece)
        self.assertEqual(sieve.feed(" <x"), [" <x"])
        self.assertEqual(sieve.feed(' {"na'), [" "])
        self.assertEqual("".join(map(str, sieve.feed("ture"))), '{"nature')

    def test_none(self) -> None:
        """What only looks like a call is text."""
        for text in NONE:
            self.check(text, text, [])

    def test_dropped(self) -> None:
        """What was to be a call and is none, or no whole one, is neither."""
        for text in DROPPED:
            for parts in ([text], text, [text[:9], text[9:]]):
                self.assertEqual(sift(["Well.\n", *parts]), ("Well.\n", []), text)
        for text in DROPPED[:1] + DROPPED[-2:]:
            self.assertEqual(sift([text, " So."]), (" So.", []), text)

    def test_mentioned(self) -> None:
        """A marker that is only spoken of takes nothing with it."""
        for mention in ("`<tool_call>`", "``[TOOL_CALLS]``", "`<function=x>`"):
            self.check(f"Write {mention} first.", "Write  first.", [])
            self.check(f"Write {mention}", "Write ", [])

    def test_spoken_of(self) -> None:
        """A marker in a sentence takes no more with it than itself, be there an end or not."""
        for text, said in {
            "Use <get_time> <b>bold": "Use  <b>bold",
            "A <tool_call> marks it. It is old.": "A  marks it. It is old.",
            "用 <tool_call> 标记，再写参数。": "用  标记，再写参数。",
            "Write [TOOL_CALLS] first.": "Write  first.",
            f"A <tool_call> {'is so ' * 2000}": f"A  {'is so ' * 2000}",
        }.items():
            self.assertEqual(sift([text]), (said, []))
            self.assertEqual(sift(text), (said, []))
        (call,) = self.check(f"A <tool_call> is one.\n{ONE['fenced']} So.", "A  So.")
        self.assertIn("get_time", call.name)
        sieve = Sieve(NAMES)
        said = "".join(map(str, sieve.feed("A <tool_call> " + "is so " * 40)))
        self.assertIn("is so", said, "it is known long before the end")

    def test_other_elements(self) -> None:
        """Elements and types of other languages that are called so take nothing with them."""
        for text in (
            "In Maven you add a <plugin> element. Then run `mvn install`.",
            "C# 里的 Array<function> 是函数的列表。很常用。",
            'Ant has <invoke name="x"> as well. It is old.',
            "```xml\n<plugin>\nwell\n</plugin>\n",
            "std::vector<Function> f(3), g",
            "<get_time> tells the time, <get_times> tells times. <Get_time>!",
            "<code>{1}</code> <time>",
        ):
            self.check(text, text.replace("</plugin>", ""), [])
        for text in (
            f"<function>{PLAIN}</function>",
            f"<function>\n```json\n{PLAIN}\n```\n</function>",
            f"<function>get_time{GIVEN}</function>",
            "<function=get_time>\ncity: x\n</function>",
        ):
            (call,) = self.check(f"Well. {text} So.", "Well.  So.")
            self.assertEqual(call.name, "get_time")

    def test_on_a_line(self) -> None:
        """A name with its arguments is a call where it has a line for itself."""
        for text in (
            f"get_time {GIVEN}",
            f"get_time\n{GIVEN}",
            f"get_time({GIVEN})",
            'get_time(city="x")',
            'print(get_time(city="x"))',
            '[get_time(city="x", days=[1, "]"])]',
            'default_api.get_time(city="x")',
        ):
            for behind in ("", "\n", "\nSo."):
                (call,) = self.check(f"Well.\n{text}{behind}", f"Well.\n{behind}")
                self.assertEqual(call.name, "get_time")
                self.assertIn("city", str(call.arguments))
        for text in (
            'get_time(city="x") is a function.\nSo',
            "get_time (or so)",
            "get_time",
            "`get_time()` 是一个函数。",
            'print(get_times(city="x"))',
            "print it",
            "print(",
        ):
            self.check(f"Well.\n{text}", f"Well.\n{text}", [])

    def test_too_long(self) -> None:
        """A value without end is text once it is too long; what is marked in it is none."""
        endless = '{"name": "' + "x" * LONGEST
        for size in (1, 7, LONGEST, 2 * LONGEST):
            text = endless + f" <tool_call>{PLAIN}</tool_call>"
            said, calls = sift(text[at : at + size] for at in range(0, len(text), size))
            self.assertEqual((said, len(calls)), (endless + " ", 1))
            deep = '{"name": ' * 50
            parts = [deep[at : at + size] for at in range(0, len(deep), size)]
            self.assertEqual(sift([*parts, " well"]), (f"{deep} well", []))
            marked = f"<tool_call>{deep}"
            parts = [marked[at : at + size] for at in range(0, len(marked), size)]
            self.assertEqual(sift([*parts, "</tool_call> well"]), (" well", []))

    def test_elements_of_html(self) -> None:
        """Elements of HTML are none of calls, even if there are tools with such names."""
        text = "<time>{}</time> <timer_start>{}</timer_start> <b/>"
        calls = [Call("", "Timer_start", "{}")]
        self.assertEqual(sift(text, ("time", "b", "Timer_start")), ("<time>{}</time>  <b/>", calls))

    def test_late_fence(self) -> None:
        """The end of a fence around a call is dropped, however late it comes."""
        self.check(f"```json\n{PLAIN}\nNow.\n``` End `x`.", "\nNow.\n End `x`.")

    def test_unreadable(self) -> None:
        """A call whose arguments cannot be read is one: the model will be told."""
        for text in (
            '{"name": "get_time", "arguments": {city: Beijing}}',
            "{“name”：“get_time”，“arguments”：{city: Beijing}}",
            '<tool_call>{"name": "get_time", "arguments": {city: Beijing}}</tool_call>',
            "[get_time({city: Beijing})]",
        ):
            (call,) = self.check(text, "")
            self.assertEqual(call.name, "get_time")
            self.assertIn("{city: Beijing}", str(call.arguments))

    def test_no_tools(self) -> None:
        """Without tools there is nothing to call, but markers are no text either."""
        self.assertEqual(
            sift(["Well ", PLAIN, "\n[get_time()]"], ()), (f"Well {PLAIN}\n[get_time()]", [])
        )
        self.assertEqual(sift([ONE["Qwen"]], ())[0], "")
