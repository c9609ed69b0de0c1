"""Pieces of text into sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import TestCase

from xiaozhi.sentences import Splitter

MARKS = "。！？；｡।॥؟.!?…，、：,;:“”‘’「」『』（）()【】[]《》\"' \n"
PIECES = (
    *MARKS,
    *("\t", "天", "气", "是", "あ", "ก", "한", "a", "B", "é", "7", "3.14", "1,000", "-5", "$"),
    *(
        "你好",
        "今天天气很好",
        "然后",
        "Hello",
        "world",
        " I ",
        " and ",
        "Dr",
        "e.g",
        "U.S",
        "No",
        "etc",
    ),
    *(
        "a.m",
        "http://a.b/c?d=e",
        "x@y.zz",
        "v1.2",
        "……",
        "...",
        "？！",
        "”。",
        "。”",
        "\u0301",
        "\u200d",
    ),
    *("x" * 70, "天" * 25, "word " * 20, "!" * 20, "\u3000", "\r\n"),
)
ANSWERS = st.lists(st.sampled_from(PIECES) | st.characters(), max_size=30).map("".join)


def split(pieces: Iterable[str]) -> list[str]:
    """Cut an answer that comes in `pieces`."""
    splitter = Splitter()
    return [sentence for piece in pieces for sentence in splitter.feed(piece)] + splitter.flush()


def bare(sentences: list[str]) -> list[str]:
    """Leave out the marks at the sentences' ends."""
    return [sentence.rstrip(MARKS + "‼⁇⁈⁉۔։።၊။។៕།›»〕｝}》〉،؛") for sentence in sentences]


class WholeTests(TestCase):
    """Texts that come in one piece, and what they are cut into; "|" is a cut."""

    def check(self, *texts: str) -> None:
        for text in texts:
            whole = re.sub(r" ?\| ?", lambda cut: cut[0].replace("|", ""), text)
            expected = [part.strip() for part in text.split("|")]
            self.assertEqual(split([whole]), expected)
            self.assertEqual(bare(split(whole)), bare(expected))

    def test_chinese(self) -> None:
        """Chinese sentences end with their full stops."""
        self.check(
            "你好。|我是小智！|今天天气怎么样？|下雨；|别忘了带伞",
            "真的吗？！|太好了！！！|好吧……|再见。",
            "“你好。”|他说：“走吧！”|（笑。）|「好。」|然后走了。",
            '他说："你好。"|然后"走了。"|是的',
            "价格是1,000,000元，涨了3.5%。|温度-5度。",
            "我用Python 3.12。|版本是v1.2.3，网址是https://a.cn/x?y=1。|好",
            "你好!|今天好吗?|很好",
            "版本2.0.|好的。",
            "第1.|然后",
        )

    def test_english(self) -> None:
        """English sentences end with their full stops, but abbreviations do not end them."""
        self.check(
            "Hello! | How are you? | Fine.",
            "Dr. Smith met Mr. J. K. Jones vs. Mrs. Lee. | They left.",
            "Use it, e.g. here, i.e. Now etc. and so on. | Then stop.",
            "He lives in the U.S. Then what? | Nothing.",
            "We meet at 5 p.m. | Bring food, drinks, etc. | Thanks.",
            "It opens at 9 a.m. on Jan. 5 in room No. 7. | No. | I said no.",
            "My Ph.D. | Is done in Jan. | Then rest.",
            "It costs $3.14, or 1,000,000. | Version v1.2.3 is out. | OK.",
            "See https://a.com/x?y=1.2!z or mail a.b@c.co.uk. | Thanks!",
            "Wait... what? | Hmm... | Okay… | Fine… or not.",
            "She said “Go.” | Then (it works.) | He said 'no.' | So",
            '"Really?" he asked. | "Go!" | She went.',
            "1. Apples are red. | 2. Pears are not.",
            "(a. Apples are red)",
            "What?! | No way!!! | Yes.",
            "Plan for ca. 5 of approx. Ten. | Done",
            "Yahoo!Inc or a!=b stay. | Yes",
            "The end.) | Then",
        )

    def test_vietnamese(self) -> None:
        """Vietnamese has abbreviations of its own."""
        self.check(
            "Xin chào! | Tôi là TS. Nguyễn ở TP. Hồ Chí Minh. | Bạn khỏe không?",
            "Có táo, cam, v.v. | Đúng vậy.",
            "Giá là 3.500.000 đồng. | Ồ.",
        )

    def test_other_languages(self) -> None:
        """Japanese, Hindi, Arabic, Korean and others have their marks."""
        self.check(
            "こんにちは。|「元気ですか？」|はい、元気です！",
            "नमस्ते।| आप कैसे हैं? | ठीक॥| हाँ",
            "مرحبا. | كيف حالك؟| بخير",
            "안녕하세요. | 잘 지내요? | 네.",
            "¿Cómo estás? | ¡Bien!",
        )

    def test_mixed(self) -> None:
        """Languages may change at any point."""
        self.check(
            "Hello.|你好。|Thanks!|再见",
            "我用iPhone. | 然后Google了一下!|OK.|“好”",
            "这是Mr.王。|他在U.S.工作。",
        )

    def test_lines(self) -> None:
        """A line's end ends a sentence."""
        self.assertEqual(split(["Title\n\n1. one\r\n2.两个\n\n"]), ["Title", "1. one", "2.两个"])
        self.assertEqual(split(["He is Dr.\nWho"]), ["He is Dr.", "Who"])

    def test_nothing_to_say(self) -> None:
        """What has no letter or digit is not a sentence."""
        for text in ("", "。", "！！！", "...", " \n——\n“”", "* * *", "……？"):
            self.assertEqual(split([text]), [], text)
            self.assertEqual(split(text), [], text)
        self.assertEqual(split(["好。\n！！！\n。好"]), ["好。", "好"])


class OpeningTests(TestCase):
    """The first sentence may leave at a comma."""

    def check(self, table: dict[str, list[str]]) -> None:
        for text, expected in table.items():
            self.assertEqual(split([text]), expected)
            self.assertEqual(split(text), expected)

    def test_long_enough(self) -> None:
        """It leaves at a comma after eight Chinese characters or five words; only the first."""
        self.check(
            {
                "今天北京的天气非常好，适合出去走走和散步，对吧。": [
                    "今天北京的天气非常好，",
                    "适合出去走走和散步，对吧。",
                ],
                "今天好，明天的天气也不错，后天": ["今天好，明天的天气也不错，", "后天"],
                "I think that you should, if you can, go there now, okay?": [
                    "I think that you should,",
                    "if you can, go there now, okay?",
                ],
                "Sure, here it is now: apples": ["Sure, here it is now:", "apples"],
                "Well, sure. I think that you should, yes.": [
                    "Well, sure.",
                    "I think that you should, yes.",
                ],
                "用Python和Rust写,可以吗": ["用Python和Rust写,可以吗"],
                "大家都用Python和Rust写,可以吗": ["大家都用Python和Rust写,", "可以吗"],
                "最好的三种水果有：苹果": ["最好的三种水果有：", "苹果"],
            }
        )

    def test_not_in_numbers(self) -> None:
        """It is not cut in a number."""
        self.check(
            {
                "It is about one to 1,000,000 here": ["It is about one to 1,000,000 here"],
                "现在的北京时间是12：30了": ["现在的北京时间是12：30了"],
                "现在的北京时间是12，好": ["现在的北京时间是12，", "好"],
                "It is now the year 2020,": ["It is now the year 2020,"],
                "see http://a.b/c now my dear:x": ["see http://a.b/c now my dear:x"],
            }
        )

    def test_not_in_quotes(self) -> None:
        """It is not cut in quotes or brackets."""
        self.check(
            {
                "他说：“今天天气真的很好，走吧。": ["他说：“今天天气真的很好，走吧。"],
                'He "said to me once that, you" see': ['He "said to me once that, you" see'],
                "这是（非常非常非常好的，对）吧": ["这是（非常非常非常好的，对）吧"],
            }
        )


class LengthTests(TestCase):
    def test_commas(self) -> None:
        """A sentence that is too long is cut at its last comma."""
        clause = "we went on and on and on, "
        sentences = split(["So. " + clause * 20])
        self.assertTrue(all(sentence.endswith("on,") for sentence in sentences[1:]), sentences)
        self.assertTrue(all(len(sentence) <= 200 for sentence in sentences))
        sentences = split(["好。" + "我们一直走一直走，" * 20])
        self.assertTrue(all(sentence.endswith("走，") for sentence in sentences[1:]), sentences)
        self.assertTrue(all(len(sentence) <= 63 for sentence in sentences))

    def test_blanks(self) -> None:
        """Without commas it is cut at a blank."""
        sentences = split(["word " * 100])
        self.assertTrue(all(re.fullmatch(r"(word ?)+", sentence) for sentence in sentences))
        self.assertTrue(all(150 < len(sentence) <= 200 for sentence in sentences[:-1]))

    def test_thai(self) -> None:
        """Thai, which has no full stops, is cut at its blanks."""
        sentences = split(["สวัสดีครับ วันนี้อากาศดีมาก " * 10])
        self.assertTrue(len(sentences) > 1)
        self.assertTrue(all(sentence.endswith(("ครับ", "มาก")) for sentence in sentences))

    def test_nothing_to_cut_at(self) -> None:
        """Without blanks it is cut between characters that are not one word or number."""
        self.assertEqual([len(part) for part in split(["天" * 130])], [60, 60, 10])
        self.assertEqual([len(part) for part in split(["x" * 250])], [200, 50])
        self.assertEqual(split(["天" * 58 + "Pythonista好"]), ["天" * 58, "Pythonista好"])
        self.assertEqual(split(["天" * 59 + "（好好好好）"])[0], "天" * 59)
        self.assertEqual(split(["天" * 59 + "e\u0301" * 9])[0], "天" * 59)
        self.assertEqual(split(["天" * 60 + "）好"])[1], "天）好")
        self.assertEqual(split(["好。" + "天" * 57 + "12，34567890好"])[1], "天" * 57)


class StreamTests(TestCase):
    def check(self, transcript: list[tuple[str, list[str]]], rest: Iterable[str] = ()) -> None:
        splitter = Splitter()
        for piece, sentences in transcript:
            self.assertEqual(splitter.feed(piece), sentences, piece)
        self.assertEqual(splitter.flush(), list(rest))

    def test_certain_ends(self) -> None:
        """A Chinese sentence leaves with its full stop; marks that come later are dropped."""
        self.check(
            [
                ("你", []),
                ("好。", ["你好。"]),
                ("”", []),
                ("他说：“真", []),
                ("的？", ["他说：“真的？"]),
                ("！”", []),
                ("“好", []),
                ("！", ["“好！"]),
                ("\n", []),
                ('说"好。', ['说"好。']),
                ('"', []),
                ('"好。"', ['"好。"']),
            ]
        )

    def test_uncertain_ends(self) -> None:
        """A full stop waits for what follows; a question mark for less."""
        self.check(
            [
                ("It is 3.", []),
                ("14.", []),
                (" ", []),
                ("Then", ["It is 3.14."]),
                (" what?", []),
                (" ", ["Then what?"]),
                ("OK!", []),
                ('"', []),
                (" ", []),
                ("he said.", []),
                ("\n", ['OK!" he said.']),
                ("Wait.", []),
                (".", []),
                (".", []),
                ("。", ["Wait...。"]),
                ("Dr.", []),
                (" Who.", []),
            ],
            ["Dr. Who."],
        )

    def test_flush(self) -> None:
        """What is left at the end leaves, with or without full stop."""
        self.check([("Hi. ", [])], ["Hi."])
        self.check([("No", [])], ["No"])
        self.check([("I am told that he,", [])], ["I am told that he,"])
        self.check([("Hi. There", ["Hi."])], ["There"])
        self.check([("……", [])])

    @settings(deadline=None, max_examples=150)
    @given(ANSWERS, st.data())
    @example("Hello.。'x", None)
    def test_cuts_do_not_matter(self, answer: str, data: st.DataObject | None) -> None:
        """But for marks at their ends, sentences do not depend on how the text was cut."""
        whole = bare(split([answer]))
        self.assertEqual(bare(split(answer)), whole)
        if data is not None:
            cuts = sorted(data.draw(st.lists(st.integers(0, len(answer)), max_size=8)))
            edges = [0, *cuts, len(answer)]
            pieces = [answer[a:b] for a, b in pairwise(edges)]
            self.assertEqual(bare(split(pieces)), whole)

    @settings(deadline=None, max_examples=150)
    @given(ANSWERS, st.booleans())
    def test_nothing_is_lost(self, answer: str, by_characters: bool) -> None:
        """Sentences are the text in its order; what lies between has no letter and no digit."""
        sentences = split(answer if by_characters else [answer])
        text = re.sub(r"[^\S\n]+", " ", answer)
        place = 0
        for sentence in sentences:
            found = text.index(sentence, place)
            self.assertFalse(any(char.isalnum() for char in text[place:found]))
            place = found + len(sentence)
        self.assertFalse(any(char.isalnum() for char in text[place:]))

    @settings(deadline=None)
    @given(ANSWERS)
    def test_each_can_be_spoken(self, answer: str) -> None:
        """Each sentence has something to say, no blanks at its ends, one line, and a bound."""
        for sentence in split([answer]):
            self.assertTrue(any(char.isalnum() for char in sentence))
            self.assertEqual(sentence, sentence.strip())
            self.assertNotIn("\n", sentence)
            self.assertLessEqual(len(sentence), 216)
            self.assertLessEqual(len(re.findall(r"[\u4e00-\u9fff]", sentence)), 60)
