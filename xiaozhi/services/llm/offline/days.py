"""Days and dates: the clock, the calendar, and how far away a day is."""

from __future__ import annotations

import re
from datetime import date, timedelta

from xiaozhi.services.llm.offline.numerals import RUN_EN, RUN_ZH, parse_zh, take_en
from xiaozhi.services.llm.offline.question import Question

_FURTHEST = 100_000
"""Days away from today that are worked out."""
_MONTHS = (
    "january february march april may june july august september october november december"
).split()
_WEEKDAYS_EN = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_WEEKDAYS_ZH = "一二三四五六日"

_NAMED_EN = {
    "the day before yesterday": -2, "yesterday": -1, "today": 0,
    "the day after tomorrow": 2, "tomorrow": 1,
}  # fmt: skip
_NAMED_ZH = {
    "大前天": -3, "前天": -2, "昨天": -1, "昨日": -1, "今天": 0, "今日": 0, "现在": 0,
    "大后天": 3, "后天": 2, "明天": 1, "明日": 1,
}  # fmt: skip
_FEASTS = {
    "new year": (1, 1), "new years": (1, 1), "new years day": (1, 1), "the new year": (1, 1),
    "valentines day": (2, 14), "halloween": (10, 31), "christmas": (12, 25),
    "christmas eve": (12, 24), "christmas day": (12, 25), "new years eve": (12, 31),
    "元旦": (1, 1), "新年": (1, 1), "情人节": (2, 14), "妇女节": (3, 8), "劳动节": (5, 1),
    "五一": (5, 1), "儿童节": (6, 1), "六一": (6, 1), "教师节": (9, 10), "国庆": (10, 1),
    "国庆节": (10, 1), "十一": (10, 1), "平安夜": (12, 24), "圣诞": (12, 25), "圣诞节": (12, 25),
}  # fmt: skip

_AWAY_EN = re.compile(
    rf"\bin (?P<in>{RUN_EN}) (?P<in_unit>days?|weeks?)(?: time)?\b"
    rf"|\b(?P<n>{RUN_EN}) (?P<unit>days?|weeks?) (?P<way>ago|from (?:now|today))\b"
)
_NAME_EN = re.compile("|".join(rf"\b{name}s?\b" for name in _NAMED_EN))
_ONES = "first second third fourth fifth sixth seventh eighth ninth".split()
_TEENS = (
    "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth"
    " nineteenth twentieth"
).split()
_ORDINALS = {
    word: number
    for number, word in enumerate(
        [*_ONES, *_TEENS, *(f"twenty {one}" for one in _ONES), "thirtieth", "thirty first"], start=1
    )
}
_DAY_EN = rf"\d{{1,2}}|{'|'.join(sorted(_ORDINALS, key=len, reverse=True))}"
_MONTH_EN = "|".join(_MONTHS)
_DATE_EN = re.compile(
    rf"\b(?:(?P<m1>{_MONTH_EN}) (?:the )?(?P<d1>{_DAY_EN})(?: (?:st|nd|rd|th))?"
    rf"|(?:the )?(?P<d2>{_DAY_EN})(?: (?:st|nd|rd|th))?(?: of)? (?P<m2>{_MONTH_EN}))"
    r"(?: (?P<year>[12]\d{3}))?\b"
)
_WORDS_EN = frozenset(
    "what which is was will be it the a day date of week month weekday on and".split()
)
_UNTIL_EN = re.compile(
    r"how (?:many days|long|far)(?: is it| are there| are left| left| away)?"
    r"(?: is| until| till| til| to| before)+ (?P<when>.+?)(?: away)?"
)

_AWAY_ZH = re.compile(
    f"(?:再?过)?(?P<n>{RUN_ZH.pattern})(?:个)?(?P<unit>天|星期|周|礼拜)(?P<way>[以之]?[后前])?"
)
_NAME_ZH = re.compile("|".join(_NAMED_ZH))
_DATE_ZH = re.compile(
    f"(?:(?P<year>{RUN_ZH.pattern}|今|明|去)年)?(?P<m>{RUN_ZH.pattern})月(?P<d>{RUN_ZH.pattern})[号日]?"
)
_WEEK_ZH = re.compile(r"(?P<week>[上这本下]个?)(?:周|星期|礼拜)(?P<day>[一二三四五六日天])")
_REST_ZH = re.compile(
    "(?:的|是|又|日期|日子|几月|多少|几|[号日]|(?:星期|周|礼拜)(?:几|多少)?|什么日子|哪一?天|了)*"
)
_UNTIL_ZH = re.compile(
    "(?:现在|今天)?(?:距?离|到)?(?P<when>.+?)(?:还?[有剩差])(?:多少|几|多少个|几个)?(?:天|日|多久|久)(?:了)?"
)


def clock(question: Question) -> str:
    """Say what time it is."""
    hour, minute = question.now.hour, question.now.minute
    if question.language == "en":
        return f"It is {hour % 12 or 12}:{minute:02} {'AM' if hour < 12 else 'PM'}."
    part = next(
        name
        for until, name in (
            (5, "凌晨"),
            (9, "早上"),
            (12, "上午"),
            (13, "中午"),
            (18, "下午"),
            (24, "晚上"),
        )
        if hour < until
    )
    minutes = f"{'零' if minute < 10 else ''}{minute}分" if minute else "整"
    return f"现在是{part}{hour if hour <= 12 else hour - 12}点{minutes}。"


def month(question: Question) -> str:
    """Say which month it is."""
    if question.language == "zh":
        return f"现在是{question.now.month}月。"
    return f"It is {_month(question.now)}."


def year(question: Question) -> str:
    """Say which year it is."""
    return (
        f"今年是{question.now.year}年。"
        if question.language == "zh"
        else f"It is {question.now.year}."
    )


def day(question: Question) -> str | None:
    """Say the date and the weekday of the day that is asked for; None if none is."""
    return _day_zh(question) if question.language == "zh" else _day_en(question)


def until(question: Question) -> str | None:
    """Say how many days it is to the next feast or date that is asked for; None if none is."""
    chinese = question.language == "zh"
    match = (_UNTIL_ZH if chinese else _UNTIL_EN).fullmatch(question.text)
    if match is None:
        return None
    when, today = match["when"], question.now.date()
    named = (_NAMED_ZH if chinese else _NAMED_EN).get(when)
    target = _shifted(today, named) if named is not None else _next(when, today, chinese)
    if target is None:
        return None
    days = (target - today).days
    if chinese:
        return (
            f"离{_date_zh(target)}还有{days}天。" if days >= 0 else f"{_date_zh(target)}已经过了。"
        )
    if days < 0:
        return f"{_date_en(target)} is past."
    return f"There {'is 1 day' if days == 1 else f'are {days} days'} until {_date_en(target)}."


def _next(when: str, today: date, chinese: bool) -> date | None:
    """Find the date or feast `when`: without a year the next one, today included."""
    if when in _FEASTS:
        feast = _FEASTS[when]
        return min(
            found for year in (today.year, today.year + 1)
            if (found := _date(year, *feast)) and found >= today
        )  # fmt: skip
    match = (_DATE_ZH if chinese else _DATE_EN).fullmatch(when)
    found = _read(match, today) if match else None
    if match and found and not match["year"] and found < today:
        return _date(found.year + 1, found.month, found.day)
    return found


def _day_en(question: Question) -> str | None:
    today = question.now.date()
    if match := _DATE_EN.search(question.text):
        target, name = _read(match, today), ""
    elif match := _NAME_EN.search(question.text):
        name = match[0] if match[0] in _NAMED_EN else match[0][:-1]
        target = _shifted(today, _NAMED_EN[name])
    elif match := _AWAY_EN.search(question.text):
        target, name = _away_en(match, today), match[0]
    else:
        target, name = today, "today"
    rest = set((question.text.replace(match[0], "") if match else question.text).split())
    if target is None or not rest <= _WORDS_EN or not (match or rest & {"day", "date", "weekday"}):
        return None
    weekday = _WEEKDAYS_EN[target.weekday()]
    if not name:
        return f"{_date_en(target)} is a {weekday}."
    written = f"{_month(target)} {target.day}"
    if name == "today" or target.year != today.year:
        written = _date_en(target)
    name += "" if name in _NAMED_EN else " it"
    return f"{name.capitalize()} {'was' if target < today else 'is'} {weekday}, {written}."


def _away_en(match: re.Match[str], today: date) -> date | None:
    words = (match["in"] or match["n"]).split()
    number = take_en(words, 0) if words not in (["a"], ["one"]) else (1, 1)
    if number is None or number[1] != len(words):
        return None
    days = int(number[0]) * (7 if (match["in_unit"] or match["unit"]).startswith("week") else 1)
    return _shifted(today, -days if match["way"] == "ago" else days)


def _day_zh(question: Question) -> str | None:
    today = question.now.date()
    text = question.text
    if match := _DATE_ZH.match(text):
        target, name = _read(match, today), ""
    elif match := _NAME_ZH.match(text):
        name = "今天" if match[0] == "现在" else match[0]
        target = _shifted(today, _NAMED_ZH[match[0]])
    elif match := _WEEK_ZH.match(text):
        target, name = _week_zh(match, today), match[0]
    elif (match := _AWAY_ZH.match(text)) and (match["way"] or "过" in match[0]):
        target, name = _away_zh(match, today), match[0]
    else:
        match, target, name = None, today, "今天"
    rest = text[match.end() :] if match else text
    asked = rest or (match and match[0] != "现在")
    if target is None or not asked or not _REST_ZH.fullmatch(rest) or rest in ("是", "几", "了"):
        return None
    weekday = f"星期{_WEEKDAYS_ZH[target.weekday()]}"
    if not name:
        return f"{_date_zh(target)}是{weekday}。"
    written = _date_zh(target)
    if name != "今天" and target.year == today.year:
        written = f"{target.month}月{target.day}日"
    return f"{name}是{written}，{weekday}。"


def _week_zh(match: re.Match[str], today: date) -> date | None:
    day = _WEEKDAYS_ZH.index(match["day"].replace("天", "日"))
    week = {"上": -1, "下": 1}.get(match["week"][0], 0)
    return _shifted(today, week * 7 + day - today.weekday())


def _away_zh(match: re.Match[str], today: date) -> date | None:
    number = _whole_zh(match["n"])
    if number is None:
        return None
    days = number * (1 if match["unit"] == "天" else 7)
    return _shifted(today, -days if (match["way"] or "").endswith("前") else days)


def _read(match: re.Match[str], today: date) -> date | None:
    """Return the date a _DATE_ pattern has found; None if there is no such day."""
    found = match.groupdict()
    if "m" not in found:
        word = found["d1"] or found["d2"]
        month = _MONTHS.index(found["m1"] or found["m2"]) + 1
        return _date(int(found["year"] or today.year), month, int(_ORDINALS.get(word, word)))
    near = {None: 0, "今": 0, "明": 1, "去": -1}.get(found["year"])
    year = _whole_zh(found["year"]) if near is None else today.year + near
    return _date(year or 0, _whole_zh(found["m"]) or 0, _whole_zh(found["d"]) or 0)


def _whole_zh(text: str) -> int | None:
    number = parse_zh(text)
    return int(number) if number is not None and number.denominator == 1 else None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except (ValueError, OverflowError):
        return None


def _shifted(today: date, days: int) -> date | None:
    return today + timedelta(days) if abs(days) <= _FURTHEST else None


def _month(day: date) -> str:
    return _MONTHS[day.month - 1].capitalize()


def _date_en(day: date) -> str:
    return f"{_month(day)} {day.day}, {day.year}"


def _date_zh(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
