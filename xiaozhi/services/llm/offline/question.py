"""A question as the rules see it: plain words, whatever the recogniser made of them."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal

import attrs

from xiaozhi import languages
from xiaozhi.services.llm import Message

Language = Literal["zh", "en"]

LONGEST = 200
"""Characters of a question that are looked at; no rule is for a longer one."""

# Of the traditional characters only those that occur in what the rules know.
_SIMPLE = str.maketrans(
    "鐘點幾時間現嗎麼誰謝見聲說話講個擲幣後減餘於們週號這會別還聽禮過離節國慶聖誕億萬兩負"
    "訴請問對錯幫給紹覺壞愛哪裏裡錢氣聞樂歲從來開關壹貳叁肆伍陸柒捌玖拾佰仟〇勞動兒師",
    "钟点几时间现吗么谁谢见声说话讲个掷币后减余于们周号这会别还听礼过离节国庆圣诞亿万两负"
    "诉请问对错帮给绍觉坏爱哪里里钱气闻乐岁从来开关一二三四五六七八九十百千零劳动儿师",
)
# What a recogniser writes for words that sound alike. Tried only on what is not understood.
_ALIKE = str.maketrans(
    "典店电机己鸡级家佳嘉剪捡简成城程出初厨鱼雨名", "点点点几几几几加加加减减减乘乘乘除除除于于明"
)
_ALIKE_WORDS = (
    (re.compile("[再县线先]在"), "现在"),
    (re.compile("[在载]见"), "再见"),
    (re.compile("[心新兴]期|星[七其]"), "星期"),
    (re.compile("写写|泄泄|谢写"), "谢谢"),
    (re.compile("[是时]间"), "时间"),
)
_FILLER_ZH = re.compile(
    "[嗯呃额啊呀呢吧哦噢哎诶嘛]|请问|麻烦你?|请你?|小智(?:同学)?|你?[帮给]我|我想知道|我想问|你知道"
    "|你?(?:能|可以|能不能)?告诉我|一下子?|那个?|到底"
)
_WHETHER_ZH = re.compile("(?<=[几么少号了间点钟])吗$")
_HELLO_ZH = re.compile("^(?:你好|您好|哈喽|嗨|喂)+(?=..)")

_SHORT_FORMS = (
    (re.compile(r"\b(what|who|how|where|when|that|there|it|he|she)'?s\b"), r"\1 is"),
    (re.compile(r"\b(you|we|they|what)'?re\b(?<!were)"), r"\1 are"),
    (re.compile(r"\bi'?m\b"), "i am"),
    (re.compile(r"'"), ""),
    (re.compile(r"(?<=\d),(?=\d{3})"), ""),
    (re.compile(r"(?<=[a-z])-(?=[a-z])"), " "),
)
_WORD_EN = re.compile(r"\d+(?:\.\d+)?|[a-z]+|[-+*/^()%]")
_FILLER_EN = re.compile(r"\b(?:u+m+|u+h+|uhm|erm?|hm+|please|kindly|just)\b ?")
_LEAD_EN = re.compile(
    r"^(?:(?:hey|hi|hello|ok|okay|so|well|and|now|then|xiaozhi|computer|robot"
    r"|(?:can|could|would|will) you|(?:do )?you know|tell me|give me"
    r"|i (?:want|would like|wanna) to know|i wonder) )+(?=\S)"
)
_TAIL_EN = re.compile(r"(?<=\S)(?<!from)(?: (?:right now|now|for me|xiaozhi))+$")


@attrs.frozen
class Question:
    """What was asked, when, and what was answered before."""

    text: str
    """Plain: lower case, no fillers; Chinese without spaces, English without punctuation."""
    language: Language
    now: datetime
    said: tuple[str, ...]
    """The assistant's answers in this conversation, oldest first."""
    chance: random.Random

    def readings(self) -> Iterator[Question]:
        """Yield the question, then as it may have been meant if the recogniser misheard it."""
        yield self
        if self.language == "zh":
            text = self.text
            for pattern, word in _ALIKE_WORDS:
                text = pattern.sub(word, text)
            text = text.translate(_ALIKE)
            if text != self.text:
                yield attrs.evolve(self, text=text)

    def fresh(self, lines: Sequence[str]) -> str:
        """Choose one of the `lines`, if possible one that was not said yet."""
        unsaid = [line for line in lines if not any(line in answer for answer in self.said)]
        return self.chance.choice(unsaid or lines)


def ask(
    messages: Sequence[Message], language: str, now: datetime, chance: random.Random
) -> Question:
    """Make a question of a conversation, its last word being the user's."""
    asked = next((m.content for m in reversed(messages) if m.role == "user"), "")
    said = tuple(m.content for m in messages if m.role == "assistant")
    chosen: Language = "zh" if languages.main(asked, languages.primary(language)) == "zh" else "en"
    text = plain_zh(asked) if chosen == "zh" else plain_en(asked)
    return Question(text, chosen, now, said, chance)


def plain_zh(text: str) -> str:
    """Take everything off a Chinese text that a rule need not know."""
    text = _folded(text).translate(_SIMPLE)
    text = "".join(re.findall(r"[\u4e00-\u9fff]|[a-z]+|\d+(?:\.\d+)?|[-+*/^()%]", text))
    text = _FILLER_ZH.sub("", text) or text
    return _WHETHER_ZH.sub("", _HELLO_ZH.sub("", text))


def plain_en(text: str) -> str:
    """Take everything off an English text that a rule need not know."""
    text = _folded(text)
    for pattern, form in _SHORT_FORMS:
        text = pattern.sub(form, text)
    text = " ".join(_WORD_EN.findall(text))
    text = _FILLER_EN.sub("", text).strip() or text
    return _TAIL_EN.sub("", _LEAD_EN.sub("", text))


def _folded(text: str) -> str:
    text = unicodedata.normalize("NFKC", text[:LONGEST]).lower().replace("\u2019", "'")
    return text.translate(str.maketrans("×·÷−–", "**/--"))
