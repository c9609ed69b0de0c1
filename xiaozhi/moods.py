"""Emotions a device can show, and the emojis and markers a language model writes for them."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

NEUTRAL: Final = "neutral"
"""The emotion of a face at rest."""

# The first emoji of a row is the one usual for that emotion on these devices.
_EMOJIS: Final = {
    NEUTRAL: "😶😐😑🫥",
    "happy": "🙂😊😀😃😄😁☺🥳🤗😺😸👍👏🙌🎉🎊🥂✨🌞🌈👋",
    "laughing": "😆🤣😹",
    "funny": "😂🤡",
    "sad": "😔😢😞☹🙁😟😕😥😓😩😫😣😖🥺🥲😿💔😰",
    "angry": "😠😡🤬👿💢😤😾👎",
    "crying": "😭",
    "loving": "😍🥰❤♥🧡💛💚💙💜🤎🖤🤍🩷🩵🩶💕💞💓💗💖💘💝❣💟🫶🤟😻💑🌹",
    "embarrassed": "😳😅🙈🤦🫣🫢🤭😬",
    "surprised": "😲😮😯🤩🙀🎁",
    "shocked": "😱🤯😨😧😦💥🫨",
    "thinking": "🤔🧐💭💡🤓🔍",
    "winking": "😉",
    "cool": "😎🤙🔥🕶🤘",
    "relaxed": "😌😇🧘🍵☕🙏",
    "delicious": "🤤😋🍽🍰🍕🍔🍜🍲🍣🍦",
    "kissy": "😘😗😙😚💋😽💏",
    "confident": "😏💪✊🏆🥇🫡🦾",
    "sleepy": "😴😪🥱💤🛌🌙",
    "silly": "😜😝😛🤪🙃🤠🥸",
    "confused": "🙄🤨😵🤷❓❔🥴🫤🤐",
}

# What a marker may say, beside the emotion's own name.
_WORDS: Final = {
    NEUTRAL: "calm, serious, 平静, 中性, 冷静, 认真, 淡定, 普通, bình thường, 普通に",
    "happy": "happily, smile, smiles, smiling, grin, grins, grinning, cheerful, cheerfully, joy, "
    "joyful, excited, glad, 开心, 高兴, 快乐, 微笑, 笑, 愉快, 喜悦, 兴奋, 欢快, 開心, 高興, "
    "vui, vui vẻ, mỉm cười, 嬉しい, 笑顔",
    "laughing": "laugh, laughs, laughter, chuckle, chuckles, chuckling, giggle, giggles, "
    "giggling, 大笑, 哈哈, 哈哈大笑, 笑声, 偷笑, cười, cười lớn, 爆笑",
    "funny": "joking, amused, 搞笑, 好笑, 幽默, 滑稽, 逗趣, hài hước, 面白い",
    "sad": "sadly, sigh, sighs, sighing, sorry, disappointed, 难过, 伤心, 悲伤, 失落, 叹气, 遗憾, "
    "沮丧, 難過, 傷心, buồn, 悲しい",
    "angry": "angrily, mad, furious, annoyed, 生气, 愤怒, 恼火, 不满, 生氣, 憤怒, giận, "
    "tức giận, 怒り",
    "crying": "cry, cries, sob, sobs, sobbing, tears, 哭, 哭泣, 大哭, 流泪, khóc, 泣く",
    "loving": "love, lovingly, affectionate, tender, tenderly, 爱, 喜爱, 爱心, 温柔, 宠溺, yêu, 愛",
    "embarrassed": "shy, shyly, blush, blushes, blushing, 害羞, 尴尬, 脸红, 不好意思, xấu hổ, 照れ",
    "surprised": "surprise, gasp, gasps, wow, 惊讶, 惊喜, 吃惊, 意外, 驚訝, ngạc nhiên, 驚き",
    "shocked": "shock, stunned, scared, afraid, fear, 震惊, 害怕, 惊恐, 恐惧, sốc, 衝撃",
    "thinking": "think, thinks, ponders, pondering, thoughtful, hmm, curious, 思考, 沉思, 想, "
    "想一想, 好奇, suy nghĩ, 考え中",
    "winking": "wink, winks, 眨眼, 调皮眨眼, nháy mắt, ウインク",
    "cool": "酷, 帅气, ngầu, クール",
    "relaxed": "relaxing, relieved, peaceful, 放松, 轻松, 安心, 舒服, thư giãn, リラックス",
    "delicious": "yummy, tasty, hungry, 美味, 好吃, 馋, 流口水, ngon, 美味しい",
    "kissy": "kiss, kisses, blows a kiss, 亲亲, 飞吻, 亲吻, hôn, キス",
    "confident": "confidently, proud, proudly, smirk, smirks, 自信, 得意, 骄傲, tự tin",
    "sleepy": "tired, yawn, yawns, yawning, sleeping, 困, 困倦, 疲惫, 打哈欠, 瞌睡, 睡觉, "
    "buồn ngủ, 眠い",
    "silly": "playful, playfully, teasing, naughty, 调皮, 俏皮, 傻, 傻笑, 搞怪, 顽皮, "
    "ngốc nghếch, ふざけ",
    "confused": "puzzled, unsure, shrug, shrugs, shrugging, 疑惑, 困惑, 迷惑, 不解, bối rối",
}

EMOTIONS: Final = tuple(_EMOJIS)
"""The 21 names a device knows."""

_OF_EMOJI: Final = {emoji: emotion for emotion, row in _EMOJIS.items() for emoji in row}
_OF_WORD: Final = {word: emotion for emotion, row in _WORDS.items() for word in row.split(", ")} | {
    emotion: emotion for emotion in EMOTIONS
}

_BRACKETS: Final = {"[": "]", "(": ")", "（": "）", "【": "】", "*": "*"}
_LABELS: Final = ("emotion", "mood", "情绪", "表情", "心情", "情感")
_LABEL: Final = re.compile(rf"(?:{'|'.join(_LABELS)})[:：=] ?")
_LONGEST: Final = 32


class Marker(NamedTuple):
    """A mood marker at the start of a text, such as "[happy]"."""

    length: int
    """Characters it takes; 0 if the text may only become a marker, or something else."""
    emotion: str
    """One of `EMOTIONS`; "" while it may only become a marker."""


def of_emoji(emoji: str) -> str | None:
    """Tell the emotion of an emoji, by its first character; None if it has none."""
    return _OF_EMOJI.get(emoji[:1])


def emoji_of(emotion: str) -> str:
    """Give the emoji of one of `EMOTIONS`; of any other word the neutral one."""
    return _EMOJIS.get(emotion, _EMOJIS[NEUTRAL])[0]


def of_word(word: str) -> str | None:
    """Tell the emotion a marker's word names: "happy", "开心", "emotion: sad"; None for others."""
    return _OF_WORD.get(_plain(word))


def marker(text: str) -> Marker | None:
    """Find the mood marker `text` starts with; None if it starts otherwise.

    What is said of a text holds for all that begin with it, unless it is "may become one".
    """
    closing = _BRACKETS.get(text[:1])
    if closing is None:
        return None
    inner, closed, _ = text[1:_LONGEST].partition(closing)
    if closed:
        emotion = of_word(inner)
        return Marker(len(inner) + 2, emotion) if emotion else None
    word = _plain(inner)
    if len(text) < _LONGEST and any(known.startswith(word) for known in (*_OF_WORD, *_LABELS)):
        return Marker(0, "")
    return None


def _plain(word: str) -> str:
    lowered = word.lower()
    return lowered[label.end() :] if (label := _LABEL.match(lowered)) else lowered
