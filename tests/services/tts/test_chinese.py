"""Numbers, dates and signs read aloud in Chinese."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.tts._chinese import cardinal, read_aloud, spelt

VALUES = {"两": 2, **{digit: n for n, digit in enumerate("零一二三四五六七八九")}}
UNITS = {"十": 10, "百": 100, "千": 1000}


def value(words: str) -> int:
    """Work a number in words out again, by the rules of the language."""
    total = section = digit = 0
    for word in words:
        if word in VALUES:
            digit = VALUES[word]
        elif word in UNITS:
            section += (digit or 1) * UNITS[word]
            digit = 0
        elif word == "亿":
            total = (total + section + digit) * 10**8
            section = digit = 0
        else:
            total += (section + digit) * 10**4
            section = digit = 0
    return total + section + digit


class ReadAloudTests(SynchronousTestCase):
    def check(self, table: dict[str, str]) -> None:
        for text, words in table.items():
            self.assertEqual(read_aloud(text), words, text)

    def test_numbers(self) -> None:
        """Whole numbers, thousands, decimals and negative ones."""
        self.check(
            {
                "0": "零",
                "10": "十",
                "12": "十二",
                "110": "一百一十",
                "112": "一百一十二",
                "200": "二百",
                "1001": "一千零一",
                "1010": "一千零一十",
                "2000": "两千",
                "10000": "一万",
                "10001": "一万零一",
                "10100": "一万零一百",
                "20000": "两万",
                "100,000": "十万",
                "1,000,000": "一百万",
                "100000001": "一亿零一",
                "3.14": "三点一四",
                "0.05": "零点零五",
                "-5": "负五",
                "１２": "十二",
                "007": "零零七",
                "3.5亿": "三点五亿",
                "1,2,3": "一,二,三",
            }
        )

    def test_dates(self) -> None:
        """Years digit by digit, months and days as numbers."""
        self.check(
            {
                "2026-11-22": "二零二六年十一月二十二日",
                "2026/1/5": "二零二六年一月五日",
                "2026年11月22日": "二零二六年十一月二十二日",
                "1999-2000年": "一九九九到二零零零年",
                "2月2日": "二月二日",
                "星期2": "星期二",
            }
        )

    def test_times(self) -> None:
        """Times of the clock; what is no time is a ratio."""
        self.check(
            {
                "10:30": "十点三十分",
                "8:00": "八点整",
                "2:05": "两点零五分",
                "11:59:09": "十一点五十九分零九秒",
                "9:5": "九比五",
                "2点": "两点",
                "24小时": "二十四小时",
            }
        )

    def test_measures(self) -> None:
        """Units, money, percentages and temperatures."""
        self.check(
            {
                "25°C": "二十五摄氏度",
                "-5℃": "零下五摄氏度",
                "零下5度": "零下五度",
                "-5度": "零下五度",
                "50%": "百分之五十",
                "12.5%": "百分之十二点五",
                "¥12.5": "十二点五元",
                "$100": "一百美元",
                "￥3万": "三万元",
                "80km/h": "八十公里每小时",
                "2kg": "两公斤",
                "100m²": "一百平方米",
                "20-30度": "二十到三十度",
                "3-5天": "三到五天",
                "20~30℃": "二十到三十摄氏度",
            }
        )

    def test_counting(self) -> None:
        """Two of something is 两, the second of something is 二."""
        self.check(
            {
                "2个": "两个",
                "第2个": "第二个",
                "12个": "十二个",
                "2年级": "二年级",
                "2楼": "二楼",
                "2天": "两天",
            }
        )

    def test_sums(self) -> None:
        """Sums and fractions."""
        self.check(
            {
                "3+5=8": "三加五等于八",
                "3 + 5 = ?": "三加五等于?",
                "10-3等于多少": "十减三等于多少",
                "10-3=7": "十减三等于七",
                "6×7=42": "六乘七等于四十二",
                "8÷2=4": "八除以二等于四",
                "1/2": "二分之一",
                "5>3": "五大于三",
            }
        )

    def test_digit_by_digit(self) -> None:
        """Telephone numbers, addresses and numbers too long to be one."""
        self.check(
            {
                "13812345678": "幺三八幺二三四五六七八",
                "138-1234-5678": "幺三八幺二三四五六七八",
                "010-12345678": "零幺零幺二三四五六七八",
                "192.168.1.1": "一九二点一六八点一点一",
                "1" * 17: "一" * 17,
            }
        )

    def test_names(self) -> None:
        """Digits of a name in Latin letters stay."""
        for text in ("MP3", "GPT-4o", "5G", "15G", "1.5G", "H264", "v1.2.3", "1,000G"):
            self.assertEqual(read_aloud(f"用{text}吧"), f"用{text}吧")

    def test_in_a_sentence(self) -> None:
        """Numbers are read where they stand; the rest stays."""
        self.check(
            {
                "今天是11月22日，气温-3到5°C。": "今天是十一月二十二日，气温负三到五摄氏度。",
                "有2个苹果和3.5斤梨": "有两个苹果和三点五斤梨",
                "没有数字": "没有数字",
                "": "",
            }
        )

    @given(st.integers(0, 10**16 - 1))
    def test_every_number(self, number: int) -> None:
        """A number in words is that number."""
        self.assertEqual(value(cardinal(str(number))), number)

    @given(st.text("0123456789.,-+/:=%°C¥$年月日个点 a第", max_size=60))
    def test_anything(self, text: str) -> None:
        """Whatever stands there, no digit is left that is not part of a name."""
        words = read_aloud(text)
        if "a" not in text and "C" not in text:
            self.assertNotRegex(words, "[0-9]")

    def test_spelt(self) -> None:
        """Digits one by one."""
        self.assertEqual(spelt("1024"), "一零二四")
