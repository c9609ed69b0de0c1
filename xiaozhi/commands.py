"""What is settled before any model: whole utterances that can mean only one thing.

Precision before recall. What has anything more in it than a command ("the volume of debate",
"what time is it in Paris") is nobody's here, and goes to the model. Nothing is stored, asked or
waited for: an utterance goes in, the call of a tool comes out, or None.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import Final

from xiaozhi import appointments, sums
from xiaozhi.grammar import Command, Grammar, Making, fixed
from xiaozhi.quantities import ENGLISH_DAY, ENGLISH_NUMBER, HAN_DAY, HAN_NUMBER, day, whole

__all__ = ["Command", "plain", "understand"]

LONGEST: Final = 100
"""Characters of the longest utterance that is looked at."""


def understand(text: str, language: str) -> Command | None:
    """Tell what `text`, said in `language` (a primary subtag, or "" if unknown), commands."""
    if language not in ("zh", "en", "") or len(text) > LONGEST:
        return None
    said = plain(text)
    for grammar in (_DEVICE, _MEMORY, appointments.GRAMMAR):
        if command := grammar.understand(said):
            return command
    expression = sums.expression(said)
    return Command("calculate", {"expression": expression}) if expression else None


# -- what is peeled off --

_POLITE: Final = re.compile(
    r"(?:小智|请问一?下?|请你|请|麻烦你?|帮我|帮忙|给我|能不能|可不可以|可以|能|你(?:好小智)?"
    r"|嗯+|呃+|那个|好的|(?:告诉|我想知道)(?:一下)?我?(?=.*(?:几|什么时间))"
    r"|(?:hey|hi|hello|ok|okay|xiaozhi|please|now|um+|uh+|well) |(?:can|could|would|will) you )+"
)
_THANKS: Final = re.compile(
    r"(?:吧|呀|啊|啦|小智|谢谢你?|好不好|可不可以|(?:好|可以|行)[吗嘛]?"
    r"| (?:please|thanks|thank you|xiaozhi|for me))+$"
)
_ASKED: Final = re.compile(r"(.*(?:能|可以).*)[吗嘛]|(.*(?:几|什么|哪些|多久).*)呢")
"""Where a particle only softens what is said. Elsewhere it makes a question of it."""
_MARK: Final = re.compile(r"(?<=\d)[.,:](?=\d)|[-+*/×÷=^%'](?!$)|%(?=$)")


def plain(text: str) -> str:
    """Take the punctuation, the blanks and the politeness off `text`; in lower case."""
    text = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    kept = "".join(
        sign if sign.isalnum() or _MARK.match(text, place) else " "
        for place, sign in enumerate(text)
    )
    kept = re.sub(r"(?<=[a-z0-9])-(?=[a-z])", " ", kept)
    kept = re.sub(r"\b([ap]) m\b", r"\1m", " ".join(kept.split()))
    kept = re.sub(r"(?<=[^\x00-\xff]) | (?=[^\x00-\xff])", "", kept)
    kept = _THANKS.sub("", kept).strip()
    if asked := _ASKED.fullmatch(kept):
        kept = asked[1] or asked[2]
    if begun := _POLITE.match(kept):
        kept = kept[begun.end() :]
    return kept


# -- sound, screen, music, questions about the time --


def _level(tool: str) -> Making:
    """Make a command of a level from 0 to 100."""

    def make(found: Mapping[str, str]) -> Command | None:
        level = whole(found["level"])
        return Command(tool, {"level": level}) if level is not None and 0 <= level <= 100 else None

    return make


def _louder(found: Mapping[str, str]) -> Command | None:
    """Make a command of a change of the volume by a number."""
    change = whole(found["change"])
    if change is None or not 0 < change <= 100:
        return None
    return Command("set_volume", {"change": change if "up" in found else -change})


def _date(found: Mapping[str, str]) -> Command | None:
    symbol = day(found["day"])
    return Command("get_date", {"day": symbol}) if symbol else None


def _minutes(found: Mapping[str, str]) -> Command | None:
    minutes = whole(found["minutes"])
    return Command("forget", {"what": "last_minutes", "minutes": minutes}) if minutes else None


_LEVEL = rf"(?:(?: up| down)? to| at)? (?P<level>{ENGLISH_NUMBER})(?: ?%| percent)?"
_HAN_LEVEL = rf"(?:设置?|调节?|开)?[到成为]?(?:百分之)?(?P<level>{HAN_NUMBER})%?"
_VOLUME = r"(?:the )?(?:volume|sound)"
_BRIGHTNESS = r"(?:the )?(?:screen )?brightness"
_SCREEN = r"(?:the )?(?:screen|display)"
_HAN_VOLUME = r"把?(?:音量|声音)"
_HAN_BRIGHTNESS = r"把?(?:屏幕的?)?亮度"
_UP = "(?:raise|increase|turn up)"
_DOWN = "(?:lower|decrease|reduce|turn down)"
_BIT = r"(?:一点儿?|一些|点儿?)"
_LITTLE = "(?: a (?:bit|little(?: bit)?))"
_SONG = "(?:song|track|tune)"
_MUSIC = r"(?:the )?(?:music|song|playback|radio)"
_HAN_DATE = "(?:几号|几月几[号日]|多少号|什么日子|日期)"
_WEEKDAY = "(?:星期|礼拜|周)几"

_DEVICE = Grammar(
    (
        _level("set_volume"),
        [rf"(?:(?:set|turn|change|put) )?{_VOLUME}(?: level)?{_LEVEL}", _HAN_VOLUME + _HAN_LEVEL],
    ),
    (
        _level("set_brightness"),
        [rf"(?:(?:set|turn|change) )?{_BRIGHTNESS}{_LEVEL}", _HAN_BRIGHTNESS + _HAN_LEVEL],
    ),
    (
        _louder,
        [
            rf"(?:turn )?{_VOLUME} (?:(?P<up>up)|down)(?: by)? (?P<change>{ENGLISH_NUMBER})"
            r"(?: ?%| percent)?",
            rf"{_HAN_VOLUME}(?:(?P<up>增?加|[提调]高|调大)|减少?|[降调]低|调小)(?:百分之)?"
            rf"(?P<change>{HAN_NUMBER})%?",
        ],
    ),
    (
        fixed("set_volume", change=10),
        [
            rf"(?:make it )?(?:a (?:bit|little) )?louder|speak up|speak louder|volume up"
            rf"|(?:{_UP} {_VOLUME}|turn {_VOLUME} up){_LITTLE}?",
            rf"{_HAN_VOLUME}[再调放开加]*[大高]{_BIT}?|[调放开]?大{_BIT}?(?:音量|声音|声)",
            rf"(?:调[高大]|提高|增大|加大){_BIT}?(?:音量|声音)|再?(?:说话)?大声{_BIT}?",
            r"(?:it's |you're |you are |that's )?too quiet|声音?太小[了声]?",
        ],
    ),
    (
        fixed("set_volume", change=-10),
        [
            rf"(?:make it )?(?:a (?:bit|little) )?(?:quieter|softer)|speak more quietly"
            rf"|volume down|(?:{_DOWN} {_VOLUME}|turn {_VOLUME} down){_LITTLE}?",
            rf"{_HAN_VOLUME}[再调放开关减]*[小低]{_BIT}?|[调放开关]?小{_BIT}?(?:音量|声音|声)",
            rf"(?:调[低小]|降低|减小){_BIT}?(?:音量|声音)|再?(?:说话)?小声{_BIT}?",
            r"(?:it's |you're |you are |that's )?too loud|声音?太[大响]了?|太大声了?",
        ],
    ),
    (
        fixed("set_volume", level=0),
        [rf"mute|mute {_VOLUME}|mute yourself", "静音(?:一下)?|把?声音关[掉了]?|关掉?声音"],
    ),
    (
        fixed("set_volume", unmute=True),
        [
            rf"unmute|unmute {_VOLUME}|unmute yourself",
            "(?:取消|解除|关闭|关掉)静音|把静音(?:取消|解除|关)[掉了]?|恢复声音|打开声音|把声音打开",
        ],
    ),
    (
        fixed("set_volume", level=100),
        [
            rf"(?:set |turn )?{_VOLUME}(?: up)? to (?:the )?max(?:imum)?",
            rf"(?:max(?:imum)?|full) volume|{_HAN_VOLUME}[调开]?到?最[大高]|最大音量|最大声",
        ],
    ),
    (
        fixed("set_brightness", change=10),
        [
            rf"{_UP} {_BRIGHTNESS}|turn {_BRIGHTNESS} up|make {_SCREEN} brighter",
            rf"把?屏幕[再调]*亮{_BIT}?|{_HAN_BRIGHTNESS}[再调]*[大高]{_BIT}?",
            "(?:调高|提高)(?:屏幕)?亮度",
        ],
    ),
    (
        fixed("set_brightness", change=-10),
        [
            rf"{_DOWN} {_BRIGHTNESS}|turn {_BRIGHTNESS} down|make {_SCREEN} darker|dim {_SCREEN}",
            rf"把?屏幕[再调]*暗{_BIT}?|{_HAN_BRIGHTNESS}[再调]*[小低]{_BIT}?",
            "(?:调低|降低)(?:屏幕)?亮度",
        ],
    ),
    (
        fixed("play_music"),
        [
            r"play (?:me )?(?:some |any )?music|i want to (?:hear|listen to)(?: some)? music",
            "(?:播放|[放听来])(?:一?[点些]儿?|一?首)?(?:音乐|歌曲?)|我?想?听(?:音乐|歌)",
        ],
    ),
    (
        fixed("control_music", action="pause"),
        [rf"pause(?: {_MUSIC}| it)?", "暂停(?:一下|播放|音乐)?|(?:音乐|歌)暂停"],
    ),
    (
        fixed("control_music", action="resume"),
        [
            rf"resume|unpause|(?:resume|continue) (?:{_MUSIC}|playing)",
            "(?:继续|接着)[播放]放?(?:音乐|歌)?",
        ],
    ),
    (
        fixed("control_music", action="next"),
        [
            rf"(?:play |skip to )?(?:the )?next {_SONG}|skip(?: (?:this|it|(?:this|the) {_SONG}))?",
            "(?:播放|[放听换])?下一[首曲]歌?|切歌|换一?首歌?",
        ],
    ),
    (
        fixed("control_music", action="previous"),
        [
            rf"(?:play |go back to )?(?:the )?(?:previous|last) {_SONG}",
            "(?:播放|[放听])?上一[首曲]歌?",
        ],
    ),
    (
        fixed("control_music", action="stop"),
        [
            rf"stop(?: it| playing)?|stop (?:playing )?{_MUSIC}|turn off {_MUSIC}",
            "把(?:音乐|歌|收音机|广播)[关停](?:掉|了|掉了)",
            "停|停一下|停下来?|停止|停止(?:播放|音乐)|(?:别|不要)[放播]了",
            "(?:关掉|关闭|停掉)(?:音乐|收音机|广播)",
        ],
    ),
    (
        fixed("get_time"),
        [
            r"what time is it(?: right)?(?: now)?|what(?:'s| is) the (?:current )?time(?: now)?",
            r"(?:tell me|do you know) (?:what time it is|the time)|do you have the time",
            "知道现在几点[钟了]*吗|(?:现在|当前)?(?:是|都)?几点[钟了]*|(?:现在|当前)是?(?:什么)?时间|报时|报个时",
        ],
    ),
    (
        fixed("get_date", day="today"),
        [
            r"what(?:'s| is) (?:the|today's) (?:date|day)(?: today)?|what(?:'s| is) today",
            r"what (?:date|day)(?: of the week)? is (?:it|today)(?: today)?",
            rf"(?:今天|今日)?(?:是|的)?(?:{_HAN_DATE})",
        ],
    ),
    (
        _date,
        [
            rf"what (?:date|day)(?: of the week)? (?:is|will be|is it) (?P<day>{ENGLISH_DAY})",
            rf"what (?:date|day)(?: of the week)? will (?P<day>{ENGLISH_DAY}) be",
            rf"(?P<day>{HAN_DAY})是?(?:{_HAN_DATE}|(?:几号)?{_WEEKDAY})",
        ],
    ),
    (
        fixed("get_date", day="today", lunar=True),
        [
            r"what(?:'s| is) (?:the|today's) (?:chinese )?lunar date(?: today)?",
            r"what(?:'s| is) the date in the (?:chinese )?lunar calendar",
            rf"(?:今天|今日)?是?(?:农历|阴历)(?:今天|今日)?的?是?(?:{_HAN_DATE}|(?:几月)?初?几)",
        ],
    ),
)
_FORGET = "(?:忘掉|忘记|忘了)"
_SAID = r"(?:我?(?:刚才|刚刚)说的话?|刚才的话)"

_MEMORY = Grammar(
    (
        fixed("forget", what="that"),
        [
            "forget that|forget what (?:i|we) just said|(?:don't|do not) remember that",
            rf"{_FORGET}(?:这个|{_SAID})|(?:别|不要)记住?(?:这个|{_SAID})",
        ],
    ),
    (
        _minutes,
        [
            rf"forget (?:what (?:i|we) said in )?the last (?P<minutes>{ENGLISH_NUMBER}) minutes?",
            rf"{_FORGET}(?:最近|刚才|过去)的?(?P<minutes>{HAN_NUMBER})分钟(?:说?的话?)?",
        ],
    ),
    (
        fixed("forget", what="everything"),
        [
            "forget (?:everything|all)(?: (?:that )?you know)? about me|forget everything",
            rf"{_FORGET}(?:(?:关于)?我的)?(?:一切|所有事情|所有事)",
        ],
    ),
    (
        fixed("what_do_you_remember"),
        [
            "what do you (?:remember|know) about me",
            "你?都?(?:记得|知道)(?:关于)?我的?(?:些?什么|哪些事)|关于我你?都?(?:记得|知道)些?什么",
        ],
    ),
)
