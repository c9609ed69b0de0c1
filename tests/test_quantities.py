"""Numbers, durations, times of day and days, in words and digits of two languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi import quantities as q

NUMBERS = {
    "3.5": "3.5", "1,000": "1000", "-4": "-4", "负三点五": "-3.5", "一百五": "150",
    "一百零五": "105", "十二": "12", "二十": "20", "一百一十二": "112", "二零二六": "2026",
    "一万五": "15000", "12万": "120000", "三千零五": "3005", "两亿": "200000000", "零": "0",
    "twenty five": "25", "a hundred and one": "101", "two thousand and six": "2006",
    "three point one four": "3.14", "five million": "5000000", "5 million": "5000000",
    "one million two hundred thousand": "1200000", "minus three": "-3", "zero": "0",
}  # fmt: skip
NO_NUMBERS = (
    "", "十十", "二十三五", "半", "三点", "五十万千", "一" * 13, "点五", "twenty twenty", "a",
    "and", "five twenty", "nineteen hundred", "thousand million", "one million and", "twenty zero",
    "three point", "three point ten", "cat", "three cats", "one thousand one million", "hundred",
    "and five",
)  # fmt: skip
MINUTE, HOUR, DAY = 60, 3600, 86400
DURATIONS = {
    "一个半小时": 90 * MINUTE, "半小时": 30 * MINUTE, "半个小时": 30 * MINUTE,
    "一小时半": 90 * MINUTE, "五分钟": 5 * MINUTE, "五分半钟": 330, "两分半": 150,
    "一刻钟": 15 * MINUTE, "一小时三十分": 90 * MINUTE, "一小时零五分钟": 65 * MINUTE,
    "两天": 2 * DAY, "90秒": 90, "2个钟头": 2 * HOUR, "half an hour": 30 * MINUTE, "an hour": HOUR,
    "an hour and a half": 90 * MINUTE, "one and a half hours": 90 * MINUTE,
    "two hours and 10 minutes": 130 * MINUTE, "90 seconds": 90, "half a minute": 30,
    "a quarter of an hour": 15 * MINUTE, "one minute thirty seconds": 90, "3 days": 3 * DAY,
    "1.5 hours": 90 * MINUTE,
}  # fmt: skip
NO_DURATIONS = (
    "", "五", "小时", "五分钟两小时", "零分钟", "五分钟的", "九千天", "ten", "hours", "an hour ago",
    "five minutes two hours", "zero seconds", "twenty twenty minutes", "十十分钟", "1000 days",
)  # fmt: skip
SURE, EITHER = True, False
CLOCKS = {
    "七点": ("07:00", EITHER), "早上七点": ("07:00", SURE), "下午三点半": ("15:30", SURE),
    "晚上十二点": ("24:00", SURE), "晚上8点": ("20:00", SURE), "中午": ("12:00", SURE),
    "中午一点": ("13:00", SURE), "中午十一点半": ("11:30", SURE), "12点": ("12:00", EITHER),
    "凌晨12点": ("00:00", SURE), "19:05": ("19:05", SURE), "下午3:20": ("15:20", SURE),
    "七点一刻": ("07:15", EITHER), "七点零五分": ("07:05", EITHER), "二十点": ("20:00", SURE),
    "零点": ("00:00", SURE), "seven": ("07:00", EITHER), "7:30": ("07:30", EITHER),
    "seven thirty": ("07:30", EITHER), "seven oh five": ("07:05", EITHER),
    "half past seven": ("07:30", EITHER), "quarter to eight": ("07:45", EITHER),
    "ten past seven": ("07:10", EITHER), "noon": ("12:00", SURE), "midnight": ("24:00", SURE),
    "7 pm": ("19:00", SURE), "7pm": ("19:00", SURE), "7 o'clock": ("07:00", EITHER),
    "7 in the morning": ("07:00", SURE), "12 am": ("00:00", SURE), "12 pm": ("12:00", SURE),
    "晚上十二点半": ("00:30", SURE), "夜里两点": ("02:00", SURE), "夜里六点": ("18:00", SURE),
    "晚上五点": ("17:00", SURE), "下午十二点半": ("12:30", SURE), "上午十二点": ("12:00", SURE),
    "quarter to one at night": ("00:45", SURE), "quarter to 12 at night": ("23:45", SURE),
    "half past 12 at night": ("00:30", SURE), "1 tonight": ("01:00", SURE),
    "晚上一点": ("01:00", SURE), "夜里两点半": ("02:30", SURE), "下午十二点": ("12:00", SURE),
    "下午一点": ("13:00", SURE), "2 at night": ("02:00", SURE),
    "quarter to 1 at night": ("00:45", SURE), "晚上六点": ("18:00", SURE),
    "10 at night": ("22:00", SURE), "12 at night": ("24:00", SURE), "0:15": ("00:15", SURE),
}  # fmt: skip
NO_CLOCKS = (
    "",
    "25点",
    "七点九十分",
    "99",
    "7:77",
    "half to past",
    "half past seven thirty",
    "24:30",
)
DAYS = {
    "今天": "today", "大后天": "+3", "周日": "sunday", "星期天": "sunday", "下周一": "next monday",
    "五月九号": "05-09", "12月31日": "12-31", "tomorrow": "tomorrow", "on friday": "friday",
    "next monday": "next monday", "may 5th": "05-05", "the day after tomorrow": "+2",
}  # fmt: skip
NO_DAYS = ("", "昨天", "13月1号", "june 40", "smarch 5", "someday", "十十月一号")


class Said(SynchronousTestCase):
    """Whatever is understood is also found by its pattern, and nothing else is understood."""

    def table(
        self, understand: Callable[[str], Any], pattern: str, said: dict[str, Any], unsaid: Any
    ) -> None:
        self.assertEqual({text: understand(text) for text in said}, said)
        self.assertEqual([text for text in said if not re.fullmatch(pattern, text)], [])
        self.assertEqual([text for text in unsaid if understand(text) is not None], [])

    def test_numbers(self) -> None:
        """Numbers."""
        said = {text: Decimal(value) for text, value in NUMBERS.items()}
        self.table(q.number, f"{q.HAN_NUMBER}|{q.ENGLISH_NUMBER}", said, NO_NUMBERS)
        self.assertEqual((q.whole("五十"), q.whole("五点五")), (50, None))

    def test_durations(self) -> None:
        """Durations, in seconds."""
        self.table(q.duration, f"{q.HAN_DURATION}|{q.ENGLISH_DURATION}", DURATIONS, NO_DURATIONS)

    def test_clocks(self) -> None:
        """Times of day, and whether they may as well be twelve hours later."""

        def understand(text: str) -> tuple[str, bool] | None:
            clock = q.clock(text)
            return (str(clock), clock.exact) if clock else None

        self.table(understand, f"{q.HAN_CLOCK}|{q.ENGLISH_CLOCK}", CLOCKS, NO_CLOCKS)

    def test_days(self) -> None:
        """Days."""
        self.table(q.day, f"{q.HAN_DAY}|{q.ENGLISH_DAY}", DAYS, NO_DAYS)

    @given(st.integers(min_value=0, max_value=10**12 - 1))
    def test_any_han_number(self, value: int) -> None:
        """Every whole number below a billion (10^12), written out, is understood."""
        self.assertEqual(q.number(written(value)), value)


def written(value: int) -> str:
    """Write a number in Chinese."""
    for unit, size in (("亿", 10**8), ("万", 10**4), ("千", 1000), ("百", 100), ("十", 10)):
        if value >= size:
            count, rest = divmod(value, size)
            gap = "零" if 0 < rest < size // 10 else ""
            # What is right below is named with its unit: 一百五 would be 150.
            return written(count) + unit + gap + (written(rest) if rest else "")
    return "零一二三四五六七八九"[value]
