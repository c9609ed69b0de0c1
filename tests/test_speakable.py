"""What a language model writes, made fit for speech."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from xiaozhi.speakable import Cleaner, clean

CONSTRUCTS = (
    *"** * *** _ __ ~~ ~ ` `` ``` ~~~ # ## - -- --- + > 1. [ ] ( ) ]( ![ | = == ===".split(),
    *"[x](y) [x](y(z)) [^1] < > </ <think> </think> <thinking> </THINKING> <b> </b> <br/>".split(),
    *"<!-- --> <! <https://a.b> & &amp; &nbsp; &x ; \\ \\* ! ? 。 ， . , : ： <im".split(),
    *"a b2 5 2*3 a_b <| List<int> 你好 字 😊 ❤️ 👨‍👩‍👧 🇨🇳 1️⃣ \u200d \ufe0f".split(),
    *"[happy] (开心) *laughs* python".split(),
    *(
        "\n",
        "\n\n",
        " ",
        "  ",
        "\t",
        "\r\n",
        "\u3000",
        "## ",
        "- ",
        "* ",
        "+ ",
        "> ",
        "[ ] ",
        "- [x] ",
    ),
    *("<a href='x y'>", "<a b=c", "[emotion: sad]", "<|im_end|>", "| a | b |\n", "|---|:-:|\n"),
)
ANSWERS = st.lists(st.sampled_from(CONSTRUCTS) | st.characters(), max_size=40).map("".join)


def feed(pieces: Iterable[str]) -> tuple[str, list[str]]:
    """Clean an answer that comes in `pieces`; return its text and its moods."""
    cleaner = Cleaner()
    text = "".join(map(cleaner.feed, pieces)) + cleaner.flush()
    return text, cleaner.moods


class CleanTests(TestCase):
    def check(self, table: dict[str, str]) -> None:
        for text, spoken in table.items():
            self.assertEqual(clean(text), spoken, text)
            self.assertEqual(feed(text)[0].strip(), spoken, text)

    def test_ordinary_signs(self) -> None:
        """Signs that are no markup stay."""
        for text in (
            "3 * 4",
            "2*3*4",
            "2**10",
            "2 ** 10",
            "a_b",
            "my_variable_name",
            "foo__bar",
            "5 < 6",
            "a<b",
            "6 > 5",
            "C#",
            "#1 of 3",
            "-5",
            "--verbose",
            "+1",
            "$5",
            "~20%",
            "3~5天",
            "AT&T",
            "R&D; more",
            "List<int>",
            "a<b and c>d",
            "[1] here",
            "[Note: all",
            "A* search",
            "Hello! World !",
            "|x| = 5",
            "==",
            "1. one",
            "a\\b",
            "x -> y → z",
            "©™°℃",
            "‼",
            "``",
            "क्‍ष",
        ):
            self.check({text: text.replace("``", "")})

    def test_emphasis(self) -> None:
        """Stars, underscores and tildes of emphasis are not read."""
        self.check(
            {
                "**bold** *it* ***both*** __b__ _i_ ~~gone~~": "bold it both b i gone",
                "这是**重点**内容，*斜体*的": "这是重点内容，斜体的",
                "**注意：** 小心": "注意： 小心",
                "un**frigging**believable": "un**frigging**believable",
                "**Bold**er": "Bolder",
                "*not closed": "not closed",
                "_snake_case_": "snake_case",
                "*a\nb*": "a\nb*",
                "\\*literal\\*": "*literal*",
            }
        )

    def test_lines(self) -> None:
        """Headings, bullets, quotes and rules leave their text, each on its own line."""
        self.check(
            {
                "# Title\nText": "Title\nText",
                "Title\n===\nText": "Title\nText",
                "- one\n* two\n+ three\n  - four\n• five\n– 6": "one\ntwo\nthree\nfour\nfive\n6",
                "1. one\n2. two": "1. one\n2. two",
                "- [ ] do\n- [x] done\n- [y] other": "do\ndone\n[y] other",
                "> quoted\n> > twice\n>= 5": "quoted\ntwice\n>= 5",
                "a\n\n---\n***\n\n* * *\nb": "a\nb",
                "#tag": "#tag",
                "####### seven": "####### seven",
                "a  \r\n\tb\u3000\u3000c": "a\nb c",
            }
        )

    def test_links(self) -> None:
        """Of a link its text is read, of an image what it shows; of a note nothing."""
        self.check(
            {
                "See [the **page**](http://a.b/c(d)e 't') now": "See the page now",
                "![a cat](cat.png) Look": "a cat Look",
                "看图：![猫](cat.png)好看": "看图：猫好看",
                "true[^1].": "true.",
                "<https://a.b/c> x": "https://a.b/c x",
                "[a](b": "[a](b",
                "[a](b\n)": "[a](b\n)",
                "[[x]](y)": "[[x]](y)",
                "wow![a](b)": "wow!a",
            }
        )

    def test_code(self) -> None:
        """Inline code is read as it stands; blocks of code are not read."""
        self.check(
            {
                "Use `my_var*2*` or ``a`b``!": "Use my_var*2* or a`b!",
                "Run:\n```python\nprint('*')\n```\nThen": "Run:\nThen",
                "Run: ```\nx\n``` then": "Run: \nthen",
                "```one line``` ok": "one line ok",
                "~~~\nx\n~~~\ny": "y",
                "~~~ sh\nx\n~~~\ny": "y",
                "~~\ny": "~~\ny",
                "a\n```\nnever closed": "a",
                "a\n```py": "a",
                "a `b\nc *d* e": "a b\nc d e",
            }
        )

    def test_tables(self) -> None:
        """The cells of a table are read with commas, a row on its line."""
        self.check(
            {
                "| City | °C |\n|:---|---:|\n| Rome | **30** |\n": "City, °C\nRome, 30",
                "|城市|温度|\n|-|-|\n|北京|30|": "城市，温度\n北京，30",
                "| a \\| b | c |": "a | b, c",
                "| cut off": "cut off",
            }
        )

    def test_html(self) -> None:
        """Tags are not read, and those that break lines do; entities are what they stand for."""
        self.check(
            {
                "a <b>b</b> c<br>d<p class=\"x\" id='y' z=w>e</p>": "a b c\nd\ne",
                "x<!-- secret\n -->y": "xy",
                "1 &lt; 2 &amp;&nbsp;3 &#39;4&#39;": "1 < 2 & 3 '4'",
                "<answer>Hi</answer>": "Hi",
                "&bogus;": "&bogus;",
            }
        )

    def test_thoughts(self) -> None:
        """Thoughts, tool calls and special tokens are not read, closed or not."""
        self.check(
            {
                "<think>Let me see.\n\n- a</think>\n\nHello": "Hello",
                "<thinking>x</think>y</THINKING>Hello": "Hello",
                "<Think>x</think >Hello": "Hello",
                "<think/>Hello": "Hello",
                "Hi</think> there": "Hi there",
                "<think>never closed": "",
                "<tool_call>{}</tool_call>ok": "ok",
                "Hello<|im_end|><｜end▁of▁sentence｜>": "Hello",
                "`<think>` is a tag": "<think> is a tag",
                "a <| b": "a <| b",
                "<think>" + "long " * 50 + "</think>ok": "ok",
            }
        )

    def test_emojis(self) -> None:
        """Emojis are not read; the text closes up around them."""
        self.check(
            {
                "Hello 😊! Fine 👍🏽.": "Hello! Fine.",
                "你好呀😊今天👨‍👩‍👧‍👦好❤️": "你好呀 今天 好",
                "1️⃣ 打开 🇨🇳 国旗": "1 打开 国旗",
                "☀️晴⭐✅": "晴",
                "好。😊走": "好。 走",
                "a\ufe0fb\u200bc\ufeff": "abc",
                "🏴󠁧󠁢󠁥󠁮󠁧󠁿": "",
                "😀": "",
            }
        )

    def test_moods(self) -> None:
        """Emojis and leading markers tell emotions, in order; markers are not read."""
        for text, spoken, moods in (
            ("[happy] Hi 😂", "Hi", ["happy", "funny"]),
            ("(开心)你好", "你好", ["happy"]),
            ("*laughs* Well", "Well", ["laughing"]),
            ("😢(难过) 唉", "唉", ["sad", "sad"]),
            ("<think>😡</think>\n【思考】嗯", "嗯", ["thinking"]),
            ("[happy][cool]Hi", "Hi", ["happy", "cool"]),
            ("Hi [happy]", "Hi [happy]", []),
            ("(By the way) hi", "(By the way) hi", []),
            ("🚗 hi", "hi", []),
        ):
            self.assertEqual((feed([text])[0].strip(), feed([text])[1]), (spoken, moods), text)
            self.assertEqual((feed(text)[0].strip(), feed(text)[1]), (spoken, moods), text)

    def test_empty(self) -> None:
        """Of nothing nothing is read."""
        self.check({"": "", " \n ": "", "```\n```": "", "---": ""})


class StreamTests(TestCase):
    def test_transcript(self) -> None:
        """Text comes out as soon as it is certain, whatever it is cut into."""
        cleaner = Cleaner()
        for piece, said in (
            ("<thi", ""),
            ("nk>hm", ""),
            ("m</th", ""),
            ("ink>", ""),
            ("\n\n[hap", ""),
            ("py] Hel", "Hel"),
            ("lo!", "lo!"),
            (" ", " "),
            ("**Wor", "Wor"),
            ("ld", "ld"),
            ("**", ""),
            (".", "."),
            ("\n", "\n"),
            ("-", ""),
            (" one", "one"),
            ("\n3 ", "\n3"),
            ("*", ""),
            (" 4", " * 4"),
            (" 😊", ""),
            ("你好", " 你好"),
            ("。", "。"),
            ("[a](", ""),
            ("url", ""),
            (") b", "a b"),
            (" <", ""),
        ):
            self.assertEqual(cleaner.feed(piece), said, piece)
        self.assertEqual(cleaner.flush(), " <")

    def test_plain_text_is_not_held(self) -> None:
        """Of plain text nothing is held back but a blank that may be the last."""
        for text in ("你好，我是小智。", "Xin chào!", "Hello, world", "$5, C#, 3.14?"):
            self.assertEqual("".join(map(Cleaner().feed, [text])), text)
            cleaner = Cleaner()
            for char in text:
                said = cleaner.feed(char)
                self.assertTrue(said.endswith(char) or char == " ", char)

    def test_holding_has_bounds(self) -> None:
        """No sign makes a line wait for its end for ever."""
        for sign in ("[", "![", "[a](", "<a b='", "<|", "&", "<x:", "[^", "```"):
            cleaner = Cleaner()
            cleaner.feed("x\n" + sign)
            self.assertTrue(cleaner.feed("y" * 2500), sign)
        cleaner = Cleaner()
        self.assertTrue(cleaner.feed("|" + "y" * 2500))

    @settings(deadline=None, max_examples=150)
    @given(ANSWERS, st.data())
    def test_cuts_do_not_matter(self, answer: str, data: st.DataObject) -> None:
        """The result does not depend on how the answer was cut into pieces."""
        cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
        edges = [0, *cuts, len(answer)]
        pieces = [answer[a:b] for a, b in pairwise(edges)]
        whole = feed([answer])
        self.assertEqual(feed(answer), whole)
        self.assertEqual(feed(pieces), whole)

    @settings(deadline=None)
    @given(ANSWERS)
    def test_blanks(self, answer: str) -> None:
        """The result has no blank about its lines' starts, no empty lines and no double blanks."""
        text, _ = feed(answer)
        for bad in ("  ", "\n\n", "\n "):
            self.assertNotIn(bad, text)
        self.assertEqual(text, text.lstrip())

    @settings(deadline=None)
    @given(st.text(alphabet="abc 你好，。！？'\"(), 0123456789%$", max_size=60))
    def test_plain_text_is_kept(self, text: str) -> None:
        """Text without markup stays as it is but for its blanks."""
        self.assertEqual("".join(clean(text).split()), "".join(text.split()))
