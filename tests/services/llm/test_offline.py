"""The offline brain: a transcript of what it is asked and what it answers."""

from __future__ import annotations

import random
import re
from datetime import datetime, tzinfo
from fractions import Fraction
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.services.llm import contract
from tests.services.streams import collect
from xiaozhi.commands import understand
from xiaozhi.errors import Unavailable
from xiaozhi.services.llm import Message
from xiaozhi.services.llm.offline import Model, Settings
from xiaozhi.services.llm.offline.intents import FALLBACK, INTENTS, JOKES_EN, SHORT
from xiaozhi.services.llm.offline.numerals import parse_zh, say, take_en

NOW = datetime(2026, 10, 14, 15, 5)
"""A Wednesday."""
PLAIN = Settings(timezone="")

TIME = {
    "what time is it": "It is 3:05 PM.",
    "whats the time": "It is 3:05 PM.",
    "What's the time, please?": "It is 3:05 PM.",
    "um can you tell me what time it is right now": "It is 3:05 PM.",
    "Hello, what time is it?": "It is 3:05 PM.",
    "几点了": "现在是下午3点零5分。",
    "几典了": "现在是下午3点零5分。",
    "現在幾點鐘": "现在是下午3点零5分。",
    "嗯，请问现在几点了呀？": "现在是下午3点零5分。",
    "你知道现在几点吗": "现在是下午3点零5分。",
    "你好小智，现在的时间是多少": "现在是下午3点零5分。",
}
DAYS = {
    "what day is it": "Today is Wednesday, October 14, 2026.",
    "what's today's date": "Today is Wednesday, October 14, 2026.",
    "tomorrow": "Tomorrow is Thursday, October 15.",
    "And tomorrow?": "Tomorrow is Thursday, October 15.",
    "what day of the week will it be tomorrow": "Tomorrow is Thursday, October 15.",
    "what day was yesterday": "Yesterday was Tuesday, October 13.",
    "the day after tomorrow": "The day after tomorrow is Friday, October 16.",
    "what day was the day before yesterday": "The day before yesterday was Monday, October 12.",
    "what day is it in three days": "In three days it is Saturday, October 17.",
    "what date was two weeks ago": "Two weeks ago it was Wednesday, September 30.",
    "what day is it 100 days from now": "100 days from now it is Friday, January 22, 2027.",
    "what day is December 25th": "December 25, 2026 is a Friday.",
    "what day of the week is the fifth of march 2027": "March 5, 2027 is a Friday.",
    "what day is february the twenty ninth 2028": "February 29, 2028 is a Tuesday.",
    "how many days until christmas": "There are 72 days until December 25, 2026.",
    "how many days is it until new year's day": "There are 79 days until January 1, 2027.",
    "how many days until tomorrow": "There is 1 day until October 15, 2026.",
    "how many days until october 13": "There are 364 days until October 13, 2027.",
    "how many days until october 13 2020": "October 13, 2020 is past.",
    "what year is it": "It is 2026.",
    "what month is it": "It is October.",
    "今天几号": "今天是2026年10月14日，星期三。",
    "今天是几月几号星期几": "今天是2026年10月14日，星期三。",
    "几号": "今天是2026年10月14日，星期三。",
    "你知道今天星期几吗": "今天是2026年10月14日，星期三。",
    "明天星期几": "明天是10月15日，星期四。",
    "明天心期几": "明天是10月15日，星期四。",
    "后天": "后天是10月16日，星期五。",
    "那后天呢": "后天是10月16日，星期五。",
    "大后天禮拜幾": "大后天是10月17日，星期六。",
    "昨天是几号": "昨天是10月13日，星期二。",
    "三天后是几号": "三天后是10月17日，星期六。",
    "两周前是星期几": "两周前是9月30日，星期三。",
    "再过一百天是几号": "再过一百天是2027年1月22日，星期五。",
    "下周三是几号": "下周三是10月21日，星期三。",
    "这个星期天是几号": "这个星期天是10月18日，星期日。",
    "十月一号是星期几": "2026年10月1日是星期四。",
    "2026年12月25日星期几": "2026年12月25日是星期五。",
    "明年三月五号星期几": "2027年3月5日是星期五。",
    "离国庆节还有多少天": "离2027年10月1日还有352天。",
    "离圣诞还有几天": "离2026年12月25日还有72天。",
    "离2020年1月1日还有几天": "2020年1月1日已经过了。",
    "今年是哪一年": "今年是2026年。",
    "现在是几月": "现在是10月。",
}
SUMS = {
    "what is three plus five": "Three plus five is 8.",
    "3 plus 5": "3 plus 5 is 8.",
    "3+5": "3 plus 5 is 8.",
    "12 times 7": "12 times 7 is 84.",
    "12x7": "12 times 7 is 84.",
    "3.5 + 2 =": "3.5 plus 2 is 5.5.",
    "half of 9": "Half of 9 is 4.5.",
    "what's a third of nine": "A third of nine is 3.",
    "what is twenty percent of fifty": "Twenty percent of fifty is 10.",
    "what is five times three plus two": "Five times three plus two is 17.",
    "two plus five times three equals what": "Two plus five times three is 17.",
    "(2 + 5) * 3": "(2 plus 5) times 3 is 21.",
    "one hundred and five minus twenty-one": "One hundred and five minus twenty one is 84.",
    "two minus five": "Two minus five is minus 3.",
    "what's 1,000 / 3": "1000 divided by 3 is about 333.3333.",
    "how much is seven squared": "Seven squared is 49.",
    "2 to the power of 10": "2 to the power of 10 is 1024.",
    "square root of two": "Square root of two is about 1.4142.",
    "the square root of sixteen": "The square root of sixteen is 4.",
    "what is two plus two equal to": "Two plus two is 4.",
    "what is ten divided by zero": "Nothing can be divided by zero.",
    "zero to the power of minus one": "Nothing can be divided by zero.",
    "square root of minus 4": "A negative number has no real square root.",
    "2 to the power of 1000": "That number is too big for me to say.",
    "one million times one billion": "That number is too big for me to say.",
    "三加五等于几": "三加五等于8。",
    "三家五等于几": "三加五等于8。",
    "一加一": "一加一等于2。",
    "一百二十三乘以四": "一百二十三乘以四等于492。",
    "两万五加一亿": "两万五加一亿等于100025000。",
    "三点五减五是多少": "三点五减五等于负1.5。",
    "十的平方": "十的平方等于100。",
    "二的十次方是多少": "二的十次方等于1024。",
    "十六的平方根": "十六的平方根等于4。",
    "根号二": "根号二约等于1.4142。",
    "八的百分之五十是多少": "八的百分之五十等于4。",
    "九的一半": "九的一半等于4.5。",
    "五的三倍": "五的三倍等于15。",
    "三分之一加三分之二": "三分之一加三分之二等于1。",
    "負三乘負三": "负三乘负三等于9。",
    "12除以5": "12除以5等于2.4。",
    "10除以0等于多少": "不能除以零。",
    "零分之一加一": "不能除以零。",
}
UNKNOWN = (
    "what is the capital of France",
    "what time did the war begin",
    "three plus time",
    "five",
    "minus five",
    "what is the sum",
    "three plus",
    "five six plus one",
    "what day is february 30",
    "how many days until my birthday",
    "play some music",
    "in many days",
    "法国的首都是哪里",
    "三加时间",
    "三减",
    "二十",
    "二月三十号星期几",
    "现在",
    "一百一百加一",
    "离春节还有几天",
)


def talk(*said: str) -> list[Message]:
    """Make a conversation: the user says the first, the assistant the second, and so on."""
    return [Message("user" if n % 2 == 0 else "assistant", text) for n, text in enumerate(said)]


class Brain(SynchronousTestCase):
    maxDiff = None

    def ask(self, *said: str, language: str = "en", now: datetime = NOW, seed: int = 1) -> str:
        """Return the answer to the last word of a conversation."""
        shop = mock.Mock()
        model = Model(PLAIN, shop, lambda zone: now, random.Random(seed))
        reply = contract.words(model.reply(talk(*said), language))
        return self.successResultOf(Deferred.fromCoroutine(reply))

    def check(self, transcript: dict[str, str]) -> None:
        """Compare a transcript with what is answered."""
        self.assertEqual({asked: self.ask(asked) for asked in transcript}, transcript)


class QuestionTests(Brain):
    def test_time(self) -> None:
        """It tells the time, however it is asked for and whatever the recogniser made of it."""
        self.check(TIME)

    def test_clock(self) -> None:
        """The hours have names in Chinese, and twelve of them go round in English."""
        for hour, minute, zh, en in (
            (0, 0, "凌晨0点整", "12:00 AM"),
            (8, 30, "早上8点30分", "8:30 AM"),
            (11, 59, "上午11点59分", "11:59 AM"),
            (12, 1, "中午12点零1分", "12:01 PM"),
            (23, 10, "晚上11点10分", "11:10 PM"),
        ):
            now = NOW.replace(hour=hour, minute=minute)
            self.assertEqual(self.ask("几点了", now=now), f"现在是{zh}。")
            self.assertEqual(self.ask("what time is it", now=now), f"It is {en}.")

    def test_days(self) -> None:
        """It knows the calendar."""
        self.check(DAYS)

    def test_sums(self) -> None:
        """It can do sums in words and figures, and says so where there is no answer."""
        self.check(SUMS)

    def test_unknown(self) -> None:
        """What it does not know it does not guess at."""
        for asked in UNKNOWN:
            self.assertIn(self.ask(asked), FALLBACK.values(), asked)

    def test_incomplete(self) -> None:
        """What is to ring is asked back for, in words that are understood without a model."""
        for asked in (
            "set a timer", "timer please", "start a countdown", "set an alarm",
            "set an alarm for 25 o'clock", "wake me up", "remind me", "remind me to call mom",
            "定个闹钟", "设一个闹钟", "定一个25点的闹钟", "叫我起床", "倒计时", "开始计时",
            "提醒我", "提醒我买牛奶", "记得提醒我",
        ):  # fmt: skip
            answer = self.ask(asked)
            self.assertRegex(answer, "[?？].*[:：]", asked)
            example = re.split("[:：]", answer)[1]
            self.assertIsNotNone(understand(example, ""), example)

    def test_small_talk(self) -> None:
        """It is polite, in the language it is spoken to in."""
        for asked, part in {
            "Hello!": "Hello",
            "good morning xiaozhi": "Hello",
            "thank you so much": "welcome",
            "Goodbye.": "Goodbye",
            "who are you?": "offline brain",
            "What can you do?": "jokes",
            "how are you": "fine",
            "never mind": "All right",
            "what's the weather like today": "weather",
            "你好": "你好",
            "您好！": "你好",
            "谢谢你": "不",
            "写写": "不",
            "再見": "再见",
            "你是谁": "离线大脑",
            "你好，请问你叫什么名字": "离线大脑",
            "你能做什么": "笑话",
            "你好吗": "很好",
            "今天天气怎么样": "天气",
            "flip a coin": "s.",
            "抛硬币": "面。",
        }.items():
            answer = self.ask(asked)
            self.assertIn(part, answer, asked)
            self.assertNotIn(answer, FALLBACK.values())

    def test_dice(self) -> None:
        """A die has six sides."""
        thrown = {self.ask("roll a die", seed=seed) for seed in range(100)}
        self.assertEqual(thrown, {f"You rolled a {number}." for number in range(1, 7)})

    def test_jokes(self) -> None:
        """No joke is told twice while there are others."""
        told: list[str] = []
        for _ in JOKES_EN:
            told += ["tell me a joke", self.ask(*told, "tell me a joke")]
        self.assertEqual(set(told[1::2]), set(JOKES_EN))
        self.assertIn(self.ask(*told, "another joke"), JOKES_EN)

    def test_repeat(self) -> None:
        """It says its last answer again; before the first there is none."""
        self.assertEqual(self.ask("hi", "Hello!", "say that again please"), "Hello!")
        self.assertEqual(self.ask("你好", "你好！", "再说一遍"), "你好！")
        self.assertEqual(self.ask("what did you say"), "I have not said anything yet.")

    def test_admits(self) -> None:
        """That it is only the offline brain, and what to do about it, is told at length once."""
        for language, asked in (("en", "play a song"), ("zh", "放一首歌")):
            long = self.ask(asked)
            self.assertEqual(long, FALLBACK[language])
            self.assertIn({"en": "language model", "zh": "语言模型"}[language], long)
            second = self.ask(asked, long, asked)
            self.assertIn(second, SHORT[language])
            third = self.ask(asked, long, asked, second, asked)
            self.assertIn(third, SHORT[language])
            self.assertNotEqual(third, second)

    def test_language(self) -> None:
        """It answers in the language of the question; where that shows none, in the user's."""
        self.assertEqual(self.ask("3+5", language="zh"), "3加5等于8。")
        self.assertEqual(self.ask("几点了", language="fr"), "现在是下午3点零5分。")
        self.assertEqual(self.ask("what time is it", language="zh"), "It is 3:05 PM.")
        self.assertEqual(self.ask("Quelle heure est-il ?", language="fr"), FALLBACK["en"])
        self.assertEqual(self.ask("12", language="zh-CN"), FALLBACK["zh"])

    def test_nothing_asked(self) -> None:
        """A conversation without a question gets an answer too."""
        self.assertEqual(self.ask(), FALLBACK["en"])
        self.assertEqual(self.ask("…"), FALLBACK["en"])

    @given(st.text(max_size=60), st.sampled_from(["zh", "en", "", "fr"]))
    def test_anything(self, asked: str, language: str) -> None:
        """Whatever is asked, there is an answer."""
        self.assertTrue(self.ask(asked, language=language))

    @given(st.lists(st.sampled_from([*TIME, *DAYS, *SUMS, *UNKNOWN]), max_size=4), st.data())
    @settings(max_examples=200)
    def test_mixtures(self, asked: list[str], data: st.DataObject) -> None:
        """Whatever it knows is mixed and cut, there is an answer."""
        text = " ".join(asked)
        cut = data.draw(st.integers(0, len(text)))
        self.assertTrue(self.ask(text[cut:]))
        self.assertTrue(self.ask(text[:cut].replace(" ", "")))

    def test_rows(self) -> None:
        """Every intent has a way to be asked for in both languages."""
        for intent in INTENTS:
            self.assertTrue(intent.zh)
            self.assertTrue(intent.en)


class NumeralTests(SynchronousTestCase):
    def test_chinese(self) -> None:
        """Chinese numerals are read, with all their short forms."""
        for text, value in {
            "零": 0, "十": 10, "十二": 12, "二十": 20, "一百零五": 105, "一百二": 120,
            "一百一十": 110, "三千零四": 3004, "两千三": 2300, "一万": 10_000, "两万五": 25_000,
            "一万零五十": 10_050, "十二万三千四百": 123_400, "三亿五千万": 350_000_000,
            "一万亿": 10**12, "二零二六": 2026, "幺二": 12, "12万": 120_000, "3百": 300, "007": 7,
        }.items():  # fmt: skip
            self.assertEqual(parse_zh(text), value, text)
        self.assertEqual(parse_zh("三点一四"), Fraction("3.14"))
        self.assertEqual(parse_zh("3.5万"), 35_000)
        self.assertEqual(parse_zh("半"), Fraction(1, 2))

    def test_not_chinese(self) -> None:
        """What is no numeral is none."""
        for text in ("", "百", "万", "亿五", "一十百", "一百一百", "三点", "人", "三点四点五"):
            self.assertIsNone(parse_zh(text), text)

    def test_english(self) -> None:
        """English number words are read, up to where they end."""
        for text, value, rest in (
            ("zero", 0, ""),
            ("twenty one", 21, ""),
            ("twenty times two", 20, "times two"),
            ("a hundred", 100, ""),
            ("one hundred and five", 105, ""),
            ("twelve hundred", 1200, ""),
            ("two thousand twenty six", 2026, ""),
            ("one thousand two hundred and five", 1205, ""),
            ("two million three hundred thousand", 2_300_000, ""),
            ("three hundred twenty thousand and one", 320_001, ""),
            ("3 million", 3_000_000, ""),
            ("three point one four", Fraction("3.14"), ""),
            ("3.5", Fraction("3.5"), ""),
            ("two and a half", Fraction("2.5"), ""),
            ("three quarters", Fraction("0.75"), ""),
            ("a tenth", Fraction("0.1"), ""),
            ("half of", Fraction("0.5"), "of"),
            ("five six", 5, "six"),
            ("one thousand two million", 1002, "million"),
        ):
            words = text.split()
            found = take_en(words, 0)
            assert found is not None, text
            self.assertEqual((found[0], " ".join(words[found[1] :])), (value, rest), text)

    def test_not_english(self) -> None:
        """What is no number is none."""
        for text in ("apple", "a", "and", "hundred", "one point", "million"):
            self.assertIsNone(take_en(text.split(), 0), text)

    @given(st.integers(0, 10**12 - 1))
    def test_figures(self, number: int) -> None:
        """Figures are themselves."""
        self.assertEqual(parse_zh(str(number)), number)
        self.assertEqual(say(Fraction(number), "en"), str(number))

    def test_say(self) -> None:
        """Numbers are said in figures, and said to be rounded if they are."""
        for value, en, zh in (
            (Fraction("-2.5"), "minus 2.5", "负2.5"),
            (Fraction(1, 3), "about 0.3333", "约0.3333"),
            (Fraction(-2, 3), "about minus 0.6667", "约负0.6667"),
            (Fraction("0.0001"), "0.0001", "0.0001"),
        ):
            self.assertEqual((say(value, "en"), say(value, "zh")), (en, zh))


class OfflineTests(contract.ModelContract):
    def model(self, **settings: str) -> Model:
        return Model(Settings(**({"timezone": ""} | settings)), self.workshop())

    async def test_now(self) -> None:
        """Without an injected clock it tells the time it is, in the time zone that is set."""
        asked: list[tzinfo | None] = []

        def clock(zone: tzinfo | None) -> datetime:
            asked.append(zone)
            return NOW

        model = Model(Settings(timezone="UTC"), self.workshop(), clock)
        await collect(model.reply(talk("几点了"), "zh"))
        await collect(Model(PLAIN, self.workshop(), clock).reply(talk("几点了"), "zh"))
        self.assertEqual([str(zone) for zone in asked], ["UTC", "None"])
        self.assertIn("It is ", await contract.words(self.model().reply(talk("the time"), "en")))

    def test_time_zone(self) -> None:
        """A time zone that does not exist is told at the start."""
        for name in ("Mars/Base", "../etc/passwd"):
            with self.assertRaisesRegex(Unavailable, "no time zone"):
                self.model(timezone=name)
