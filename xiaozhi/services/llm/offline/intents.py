"""What the offline brain understands: a table of intents, tried from top to bottom.

An intent is what is asked in Chinese, the same in English, and the answer. The two are regular
expressions that the whole question must match, after `question` has taken fillers, greetings
in front, punctuation and traditional characters off it. The answer is a function that may still
decline (None), or lines to choose from. To add an intent, add a row.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs

from xiaozhi.services.llm.offline import days, sums
from xiaozhi.services.llm.offline.question import Question

Answer = Callable[[Question], str | None]


@attrs.frozen
class Intent:
    """One thing that can be asked."""

    zh: str
    en: str
    answer: Answer

    def matches(self, question: Question) -> bool:
        """Whether this is what is asked."""
        pattern = self.zh if question.language == "zh" else self.en
        return re.fullmatch(pattern, question.text) is not None


def lines(zh: tuple[str, ...], en: tuple[str, ...]) -> Answer:
    """Answer with one of the lines, another one each time as long as there are."""
    return lambda question: question.fresh(zh if question.language == "zh" else en)


def repeat(question: Question) -> str:
    """Say the last answer again."""
    if question.said:
        return question.said[-1]
    return "我还没说过什么。" if question.language == "zh" else "I have not said anything yet."


def dice(question: Question) -> str:
    """Throw a die."""
    number = question.chance.randint(1, 6)
    return f"掷出了{number}点。" if question.language == "zh" else f"You rolled a {number}."


JOKES_ZH = (
    "钟表去看医生，说自己最近总是紧张。医生说：那就松一松发条吧。",
    "小明问：为什么路由器从不迷路？因为它自己就会指路。",
    "枕头对闹钟说：你一开口，我就失恋。",
)
JOKES_EN = (
    "My alarm clock and I have an agreement. It rings, and I pretend not to know it.",
    "Why did the router go on holiday? It needed to find itself a new connection.",
    "I asked the calendar for a joke. It said its days are numbered.",
)

CAN_ZH = (
    "我能报时间和日期，做算术，设闹钟和提醒，讲笑话，掷骰子，抛硬币。想让我更聪明，请给服务器接上语言模型。",
)
CAN_EN = (
    "I can tell the time and the date, do sums, set timers and reminders, tell jokes,"
    " roll a die and flip a coin."
    " To make me smarter, connect the server to a language model.",
)

INTENTS = (
    Intent(
        "你好|您好|嗨|喂|哈喽|hello|hi|早|早上好|上午好|中午好|下午好|晚上好|早安|在吗|你在吗|小智",
        "(hi|hello|hey)( there| again)?|there|xiaozhi|robot|computer"
        "|good (morning|afternoon|evening)|are you (there|awake|listening)|hear me|greetings",
        lines(("你好！我在听。", "你好，请说。"), ("Hello! I am listening.", "Hello, go ahead.")),
    ),
    Intent(
        "(好的?)?(非常|太|多|真是)?(谢谢|感谢)(你|您|了|啦)*|多谢|谢了",
        "(thanks|thank you|thx|cheers)( a lot| so much| very much| again)?|many thanks",
        lines(("不客气。", "不用谢。"), ("You are welcome.", "My pleasure.")),
    ),
    Intent(
        "再见|拜拜|拜|晚安|回头见|下次见|明天见|走了",
        "(good ?)?bye( bye)?|good night|see you( later| soon| tomorrow)?|farewell",
        lines(("再见！", "再见，下次聊。"), ("Goodbye!", "Goodbye, see you soon.")),
    ),
    Intent(
        "你好吗|你怎么样|最近(好吗|怎么样)|过得好吗|你还好吗",
        "how are you( doing)?( today)?|how is it going|how do you do|are you (ok|okay|well)",
        lines(("我很好，谢谢。",), ("I am fine, thank you.",)),
    ),
    Intent(
        "你?(是谁|叫什么(名字)?|的?名字(是什么)?|是什么|是什么东西)|你谁|(做个?|来个?)?自我介绍|介绍你?自己",
        "who are you|what are you|what is your name|your name|whats? your name"
        "|are you (human|a robot|real|alive)|introduce yourself",
        lines(
            ("我是小智的离线大脑，只有一些简单的规则。",),
            ("I am Xiaozhi's offline brain, a small set of rules.",),
        ),
    ),
    Intent(
        "你?(都|还)?(能|会|可以)(干|做|帮我做|说|聊|干些|做些)?(什么|啥|哪些事?)(事情?)?|你有什么(功能|本领|用)|帮助|怎么用(你)?",
        "what (can|do) you do|what else can you do|what can i (ask|say)( you)?|help( me)?"
        "|what do you know|what are you able to do",
        lines(CAN_ZH, CAN_EN),
    ),
    Intent(
        "(现在|目前|当前|这会儿?)?的?(是)?(北京)?(时间)?(是)?(几点|几时|什么时候|什么时间|几点几分|几分)(钟|了)*"
        "|报时|报个时|(看|报)?(现在)?的?时间((是)?多少)?|几点(钟|了)*",
        "what is the( current)? time( is it)?|what time( is it| it is| do you have)?"
        "|(the )?(current )?time|what the time is|how late is it|got the time|do you have the time",
        days.clock,
    ),
    Intent("(现在|今天|这个?月)?(是)?(几月|什么月|哪个月|几月份)(了)?",
           "(what|which) month( is it| it is| is this)?", days.month),
    Intent("(今年|现在)(是)?(哪一?年|几几年|什么年|多少年|二零几几年)(了)?|哪一?年",
           "(what|which) year( is it| it is| is this)?|what is the year", days.year),
    Intent(".+", ".+", days.until),
    Intent(".+", ".+", days.day),
    Intent(".+", ".+", sums.answer),
    Intent(
        "(你)?(再|重新)(说|讲|念|重复)(一)?(遍|次|下)?|重复(一遍|一次)?|你?刚才?说(了)?(什么|啥)|什么|你说什么|(我)?没听(清|见|到)(楚)?",
        "(say|repeat)( it| that| this)?( again| once more)?|again|once more|repeat"
        "|what did you( just)? say|pardon( me)?|come again|i did ?nt (hear|catch)( you| that| it)?"
        "|what",
        repeat,
    ),
    Intent(
        "(我想)?(你)?(再|来|会|能)?(说|讲|听|来)?(一|几)?(个|段|则)?(别的|另一个)?笑话",
        "(tell )?(me )?(a |another |one more |some )?(funny )?jokes?|make me laugh"
        "|do you know (a |any )?jokes?|any jokes?|say something funny|something funny",
        lines(JOKES_ZH, JOKES_EN),
    ),
    Intent(
        "(你)?(抛|扔|掷|投|丢)(一)?(个|枚|次)?硬币|正面还是反面",
        "(flip|toss|throw)( a| the)? coin|heads or tails",
        lambda question: question.chance.choice(
            ("正面。", "反面。") if question.language == "zh" else ("Heads.", "Tails.")
        ),
    ),
    Intent(
        "(你)?(掷|扔|投|丢|摇)(一)?(个|颗|次)?(骰子|色子)",
        "(roll|throw)( a| the)? (dice|die)",
        dice,
    ),
    Intent(
        "(你)?(真|好|太|很)?(棒|厉害|聪明|不错|可爱)(了|啦|的)*|(我)(爱|喜欢)你",
        "(good|great|nice|well done|awesome|cool|very good|amazing)( job| work)?|i (love|like) you"
        "|you are (great|good|nice|smart|clever|cute|funny|awesome)",
        lines(("谢谢夸奖！",), ("Thank you, that is kind.",)),
    ),
    Intent(
        "对不起|不好意思|抱歉",
        "(i am )?(so |very )?sorry|excuse me|my bad",
        lines(("没关系。",), ("No problem.",)),
    ),
    Intent(
        "没事了?|算了|不用了|没什么|停|停止|闭嘴|安静|够了|行了|好的?|好了|知道了|明白了",
        "never ?mind|nothing|stop|enough|shut up|be quiet|quiet|forget it|cancel|ok|okay"
        "|all right|alright|i see|got it",
        lines(("好的。",), ("All right.",)),
    ),
    # What a grammar understood whole was done before; to these something is missing.
    Intent(
        "(设置?定?|定|来|开始?|启动)?(一?个)?(倒计时器?|计时器?|定时器?)",
        "((set|start|make|create) .*)?(timer|countdown)( .*)?",
        lines(
            ("要计多久？可以说：倒计时五分钟。",),
            ("For how long? You can say: set a timer for five minutes.",),
        ),
    ),
    Intent(
        "(设置?定?|定|订|上|来)(一?个)?.*(闹钟|闹铃)|闹钟|闹铃|[叫喊]我(起床|起来)?",
        "((set|make|create) .*)?alarm( .*)?|(wake me|get me)( up)?( .*)?",
        lines(
            ("几点响？可以说：定一个明天早上七点的闹钟。",),
            ("For when? You can say: set an alarm for seven.",),
        ),
    ),
    Intent(
        "提醒我.*|.*提醒我",
        "(set a )?(remind me|reminder)( .*)?",
        lines(
            ("什么时候，提醒什么？可以说：明天九点提醒我开会。",),
            ("When, and of what? You can say: remind me in ten minutes to call mom.",),
        ),
    ),
    Intent(
        ".*(天气|气温|下雨|新闻|股票|股价).*",
        ".*\\b(weather|temperature|rain|forecast|news|headlines|stocks?)\\b.*",
        lines(
            ("我是离线大脑，查不到天气和新闻。",),
            ("I am the offline brain: I cannot look up weather or news.",),
        ),
    ),
    # Recognisers garble the words around a question more often than its heart.
    Intent(".*(能|会|可以)(做|干)些?(什么|啥).*", ".*\\bwhat (can|do) you do\\b.*",
           lines(CAN_ZH, CAN_EN)),
    Intent("现在几点.*", ".*\\bwhat time is it( now| please)?", days.clock),
    Intent(".*笑话.*", ".*\\bjokes?\\b.*", lines(JOKES_ZH, JOKES_EN)),
)  # fmt: skip

FALLBACK = {
    "zh": (
        "这个我不会，因为现在没有连上语言模型。我自己只会报时间和日期，做算术，设闹钟和提醒，讲笑话。"
    ),
    "en": (
        "I cannot answer that: no language model is connected now."
        " By myself I know the time and the date, sums, timers, reminders and jokes."
    ),
}
"""What is said to everything else, the first time in a conversation.

It is true where there is no model, and where the one there is does not answer.
"""
SHORT = {
    "zh": ("这个离线大脑答不上来。", "抱歉，离线时我不会这个。", "这个我离线时帮不上忙。"),
    "en": (
        "My offline brain cannot answer that.",
        "Sorry, I do not know that offline.",
        "That is beyond the offline brain.",
    ),
}
"""What is said after that."""


def respond(question: Question) -> str:
    """Answer the question; there is always an answer."""
    for reading in question.readings():
        for intent in INTENTS:
            if intent.matches(reading) and (answer := intent.answer(reading)) is not None:
                return answer
    return _admit(question)


def _admit(question: Question) -> str:
    """Say that this is beyond us; at length only once, even if it was cut off then."""
    long = FALLBACK[question.language]
    opening = re.split("[。.]", long)[0]
    if any(opening in answer for answer in question.said):
        last = question.said[-1:]
        return question.chance.choice([s for s in SHORT[question.language] if s not in last])
    return long
