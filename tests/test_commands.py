"""What is settled before any model, and what never is."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.commands import LONGEST, Command, plain, understand


def spoken(tool: str, arguments: dict[str, Any], texts: str) -> dict[str, Command]:
    """Map each of the texts, which a bar parts, to one command."""
    return {text.strip(): Command(tool, arguments) for text in texts.split("|")}


def timer(seconds: int, texts: str, **more: Any) -> dict[str, Command]:
    return spoken("set_timer", {"seconds": seconds} | more, texts)


def alarm(when: dict[str, Any], texts: str) -> dict[str, Command]:
    return spoken("set_alarm", when, texts)


def reminder(what: str, when: dict[str, Any], texts: str) -> dict[str, Command]:
    return spoken("set_reminder", {"what": what, **when}, texts)


def sum_of(expression: str, texts: str) -> dict[str, Command]:
    return spoken("calculate", {"expression": expression}, texts)


DEVICE = {
    **spoken("set_volume", {"level": 50}, "音量调到五十 | 把声音调到百分之五十"
             "| Set the volume to 50."
             "| volume fifty | turn the volume up to 50 percent | 音量50% | 音量设为50"),
    **spoken("set_volume", {"change": 10}, "声音大一点 | 大声点 | 小智，请把声音调大一点吧"
             "| Louder, please!"
             "| turn up the volume | turn the volume up | 调大音量 | 声音再大点 | speak up"
             "| 嗯，声音大一点 | 音量加大 | 再大声一点 | um, turn the volume up a bit"
             "| make it a little louder | volume up by ten | 音量增加十"
             "| you're too quiet | 声音太小了"),
    **spoken("set_volume", {"change": -10}, "声音小一点 | 小声一点 | 调低音量 | quieter"
             "| lower the volume | Could you turn the volume down? | 声音关小一点 | a bit quieter"
             "| volume down 10 | 音量降低百分之十 | too loud | 声音太大了"),
    **spoken("set_volume", {"unmute": True}, "unmute | 取消静音 | 把声音打开 | 请帮我取消静音"),
    **spoken("set_volume", {"level": 0}, "静音 | 关掉声音 | mute | Mute the sound."),
    **spoken("set_volume", {"level": 100}, "声音调到最大 | 最大音量 | maximum volume"
             "| set the volume to max"),
    **spoken("set_brightness", {"level": 30}, "亮度调到三十 | 屏幕亮度30%"
             "| set the brightness to 30"
             "| screen brightness thirty percent"),
    **spoken("set_brightness", {"change": 10}, "屏幕亮一点 | 亮度调高一点"
             "| make the screen brighter"),
    **spoken("set_brightness", {"change": -10}, "屏幕暗一点 | 降低亮度 | dim the screen"),
    **spoken("control_music", {"action": "pause"}, "暂停 | 暂停播放 | pause | Pause the music."),
    **spoken("control_music", {"action": "resume"}, "继续播放 | 接着放 | resume"
             "| continue playing"),
    **spoken("control_music", {"action": "next"}, "下一首 | 帮我换一首歌 | next song"
             "| skip this song"
             "| play the next track"),
    **spoken("play_music", {}, "play some music | Play music, please. | 放点音乐"
             "| 来首歌 | 播放音乐"),
    **spoken("control_music", {"action": "previous"}, "上一首 | 播放上一首歌 | previous track"),
    **spoken("control_music", {"action": "stop"}, "停 | 停止播放 | 别放了 | stop | Stop the music!"
             "| turn off the radio | 你能停下来吗？ | 停一下 | 把音乐关了"
             "| 好的，停吧"),
    **spoken("get_time", {}, "现在几点 | 几点了？ | 现在是什么时间"
             "| 现在几点呢 | 请问现在几点了 | 请问一下现在几点 | 你好小智，告诉我现在几点"
             "| 你知道现在几点吗 | 现在几点啦小智 | What time is it, please?"
             "| what's the time | Tell me what time it is. | What’s the time now?"),
    **spoken("get_date", {"day": "today"}, "今天几号 | 今天是几月几号？ | 今天星期几"
             "| what's the date"
             "| what day is it today | What date is today?"),
    **spoken("get_date", {"day": "tomorrow"}, "明天几号 | 明天是星期几 | what day is tomorrow"),
    **spoken("get_date", {"day": "today", "lunar": True}, "今天农历几号 | 今天是农历几月初几"
             "| 农历今天几月几号 | what's the lunar date today"),
}  # fmt: skip

MEMORY = {
    **spoken("forget", {"what": "that"}, "Forget that. | forget what I just said | 忘掉刚才说的"
             "| 别记住这个 | 忘了我刚才说的话"),
    **spoken("forget", {"what": "last_minutes", "minutes": 5}, "forget the last five minutes"
             "| 忘掉最近五分钟 | 忘掉刚才5分钟说的话"),
    **spoken("forget", {"what": "everything"}, "forget everything about me | 忘掉关于我的一切"
             "| Forget everything. | forget all you know about me | 忘掉一切"),
    **spoken("what_do_you_remember", {}, "what do you remember about me | 你记得我什么"
             "| 你知道我的什么 | 关于我你都知道些什么"),
}  # fmt: skip

TIMES = {
    **timer(600, "set a timer for ten minutes | Set a ten-minute timer. | timer for 10 minutes"
            "| 10 minute timer | count down from ten minutes | 倒计时十分钟 | 定个十分钟的闹钟"
            "| 设置一个10分钟的倒计时 | 十分钟计时 | 帮我定十分钟的定时器"),
    **timer(1800, "set a timer for half an hour | 定个半小时的闹钟 | 倒计时半个小时"),
    **timer(5400, "一个半小时的倒计时 | set an hour and a half timer"
             "| start a 90 minute countdown"),
    **timer(480, "set a pasta timer for eight minutes", label="pasta"),
    **timer(300, "五分钟后叫我 | 过五分钟后提醒我一下 | remind me in five minutes"
             "| wake me in 5 minutes"),
    **alarm({"time": "07:00"}, "wake me at seven | Wake me up at 7. | 七点叫我起床"
             "| 早上七点叫醒我"),
    **alarm({"time": "07:00", "day": "tomorrow"}, "明天早上七点叫我起床 | 明早七点叫我起床"
            "| wake me up tomorrow at 7 | wake me at seven tomorrow | 定一个明天早上七点的闹钟"),
    **alarm({"time": "08:30", "day": "tomorrow"}, "wake me up tomorrow morning at half past eight"
            "| set an alarm at 8:30 tomorrow morning | tomorrow at 8:30 am wake me up"),
    **alarm({"time": "20:00", "day": "today"}, "set an alarm for 8 this evening"
            "| 今晚八点的闹钟"),
    **reminder("开会", {"time": "09:00", "day": "monday", "repeat": "weekly"},
               "每周一早上九点提醒我开会 | 每个星期一上午九点提醒我开会"),
    **reminder("call mom", {"time": "21:00", "day": "sunday", "repeat": "weekly"},
               "remind me every sunday at 9 pm to call mom"),
    **alarm({"time": "07:30", "repeat": "daily"}, "每天早上七点半叫我起床"
            "| set an alarm for 7:30 am every day"),
    **alarm({"time": "20:00", "repeat": "daily"}, "每天晚上八点的闹钟"
            "| set an alarm for 8 every evening | every evening at 8 pm wake me up"),
    **alarm({"time": "00:30"}, "晚上十二点半叫醒我 | 今晚十二点半的闹钟"
            "| wake me up at half past 12 tonight"),
    **alarm({"time": "02:00", "repeat": "daily"}, "每天夜里两点的闹钟"),
    **alarm({"time": "06:45", "repeat": "weekdays", "either_half": True},
            "set an alarm for 6:45 every weekday | 工作日六点四十五的闹钟"),
    **alarm({"time": "01:00"}, "半夜一点叫我起床 | set an alarm for 1 at night"),
    **alarm({"time": "19:00"}, "set an alarm for 7 pm | 闹钟晚上七点"
             "| remind me at 7 in the evening"),
    **alarm({"time": "20:00", "day": "monday"}, "wake me up at 8 in the evening on monday"),
    **reminder("关火", {"seconds": 1200}, "提醒我二十分钟后关火 | 二十分钟后提醒我关火"
               "| 20分钟之后记得提醒我要关火"),
    **reminder("turn off the stove", {"seconds": 1200},
               "remind me in 20 minutes to turn off the stove"
               "| Remind me to turn off the stove in twenty minutes, please."
               "| in 20 minutes remind me to turn off the stove"),
    **reminder("开会", {"time": "15:00", "day": "tomorrow"}, "明天下午三点提醒我开会"
               "| 提醒我明天下午三点开会"),
    **reminder("call mom", {"time": "17:00"}, "remind me to call mom at 5 p.m."
               "| remind me at 5pm to call mom"),
    **reminder("call mom", {"time": "09:00", "day": "tomorrow", "either_half": True},
               "remind me tomorrow at nine to call mom"),
    **reminder("去医院", {"time": "08:00", "day": "tomorrow"}, "提醒我明天早上八点去医院"
               "| 明天早上八点提醒我要去医院"),
    **reminder("吃药", {"time": "20:00", "day": "today"}, "今晚八点提醒我吃药"),
    **reminder("take out the trash", {"time": "22:00", "day": "today"},
               "remind me to take out the trash at 10 tonight"),
    **spoken("list_reminders", {"kind": "alarm"}, "what alarms do I have | do I have any alarms"),
    **spoken("list_reminders", {"kind": "bell"}, "我有哪些闹钟 | 查看我的闹钟"),
    **spoken("list_reminders", {"kind": "timer"}, "倒计时还剩多久"
             "| how much time is left on the timer"),
    **spoken("list_reminders", {"kind": "reminder"}, "list my reminders | 有什么提醒"
             "| what are my reminders"),
    **spoken("cancel_reminder", {"kind": "timer"}, "cancel the timer | 取消倒计时"
             "| stop the timer"),
    **spoken("cancel_reminder", {"kind": "bell"}, "关掉闹钟 | 把闹钟关了 | 把那个闹钟取消掉"),
    **spoken("cancel_reminder", {"kind": "timer", "seconds": 300},
             "cancel the five minute timer | 取消五分钟的计时 | 把5分钟的倒计时取消掉"),
    **spoken("cancel_reminder", {"kind": "bell", "seconds": 300}, "取消五分钟的闹钟"),
    **spoken("cancel_reminder", {"kind": "timer", "which": "pasta"}, "cancel the pasta timer"),
    **spoken("cancel_reminder", {"kind": "alarm", "all": True}, "cancel all alarms"),
    **spoken("cancel_reminder", {"kind": "bell", "all": True}, "取消所有闹钟 | 把所有闹钟都关了"),
}  # fmt: skip

SUMS = {
    **sum_of("3 + 5", "三加五等于多少 | what is three plus five | 3+5 | 3 + 5 = ? | 三加五是几"),
    **sum_of("12 * 7", "what is 12 times 7 | 12乘以7 | twelve times seven | 12×7等于多少 | 12 x 7"),
    **sum_of("100 / 4", "100除以4 | what's 100 divided by four"),
    **sum_of("1.5 + 2.25", "1.5 plus 2.25 | 一点五加二点二五"),
    **sum_of("3 - (-2)", "three minus minus two"),
    **sum_of("2 + 3 * 4", "二加三乘四 | two plus three times four"),
    **sum_of("15 / 100 * 80", "what's 15 percent of 80 | 15% of 80 | 80的百分之15是多少"),
    **sum_of("sqrt(16)", "十六的平方根是多少 | square root of 16 | 根号16等于几"),
    **sum_of("cbrt(27)", "二十七的立方根 | what is the cube root of 27"),
    **sum_of("5 ** 2", "五的平方 | five squared"),
    **sum_of("2 ** 10", "2 to the power of 10 | 二的十次方 | 2^10"),
    **sum_of("80 / 2", "八十的一半 | half of 80"),
    **sum_of("24 / 7", "算一下24/7 | 计算24/7"),
}  # fmt: skip

NOBODYS = """
明天夜里两点叫我起床 | 每周一夜里一点提醒我吃药 |
set the volume of debate | what time is it in Paris | 巴黎现在几点 | 音量是什么意思 | volume
turn it up | 再大一点 | 告诉我你几岁 | 你好 | 你知道现在几点下班吗 | 音量调高一百零一
那个怎么样 | 好大声 | 好的
set the volume to 150 | set the volume to eleventy | 声音大一点的音箱多少钱 | the next song is nice
stop being so polite | next | 继续 | continue | 停车场在哪里 | 不要停 | 暂停营业是什么意思
what is time
今天几号线停运 | 今天星期几放假 | 昨天几号 | what day is the concert | 十三月一号是星期几
set a timer | 定个闹钟 | set a timer for zero minutes | set a timer for a while | 五分钟
ten minutes | cancel the zero minute timer | 取消零分钟的闹钟
wake me when it rains | 叫我起床 | 明天叫我起床 | wake me at 99 | 二十五点叫我起床
remind me to call mom
提醒我 | 提醒我开会之前十分钟准备 | 三点提醒我开会然后四点提醒我吃药 | 提醒我三点开会的时候带文件
remind me in 5 minutes to check the timer | 13月1号七点叫我起床 | 7点99分叫我起床
remind me at five to call mom and remind dad at six | 取消明天七点的闹钟 | 过十十分钟后提醒我
set an alarm for this at 7 | 每周一提醒我开会
明天晚上两点半的闹钟 | tomorrow night at 2 wake me up
next one please | the last one | 明天七点的闹钟吗 | 明天七点的闹钟呢 | 静音吗 | 三加五吗 | 今天几点
forget it | 忘了 | forget what I said about my dog | 忘掉关于我的狗的事 | forget the last word
忘掉最近零分钟 | what do you know about the moon | 你知道什么 | forget everything else
一百 | 3 | what is 24/7 | 2026-11-24 | 555-1234 | what is love | 三的什么 | two plus two makes five
one plus | 三加 | 加三 | 十十加一 | 十十的平方 | what is twenty twenty plus one
一加一等于三吗 |  | ？！
""".replace("\n", "|").split("|")


class Understood(SynchronousTestCase):
    maxDiff = None

    def table(self, said: dict[str, Command]) -> None:
        self.assertEqual({text: understand(text, "") for text in said}, said)

    def test_device(self) -> None:
        """Volume, brightness, music, the time and the date."""
        self.table(DEVICE)

    def test_memory(self) -> None:
        """What is remembered, and what is to be forgotten."""
        self.table(MEMORY)

    def test_times(self) -> None:
        """Timers, alarms and reminders."""
        self.table(TIMES)

    def test_sums(self) -> None:
        """Sums."""
        self.table(SUMS)

    def test_nobodys(self) -> None:
        """What has more in it than a command goes to the model."""
        found = {text: understand(text.strip(), "") for text in NOBODYS}
        self.assertEqual({text: one for text, one in found.items() if one}, {})

    def test_documented(self) -> None:
        """The phrases that need nothing, as the documentation has it, are understood."""
        text = (Path(__file__).parent.parent / "docs/tools.md").read_text("utf-8")
        rows = re.findall(r"^\| `(\w+)`.* \| (.*) \| nothing \|$", text, re.M)
        self.assertGreater(len(rows), 5)
        for tool, phrases in rows:
            for phrase in phrases.replace(";", ",").split(", "):
                command = understand(phrase, "")
                self.assertEqual(command and command.tool, tool, phrase)

    def test_languages(self) -> None:
        """Where another language is spoken, the same characters may mean something else."""
        self.assertEqual(understand("停止", "zh"), Command("control_music", {"action": "stop"}))
        self.assertIsNone(understand("停止", "ja"))

    def test_long(self) -> None:
        """Nobody commands at length."""
        self.assertIsNone(understand("please " * 20 + "stop", "en"))

    def test_repeated(self) -> None:
        """What is said again and again takes no longer than anything else."""
        for words in (
            "三分钟",
            "五分零",
            "半个小时",
            "一刻钟",
            "1 hour ",
            "an hour and ",
            "七点",
            "嗯那个",
        ):
            began = time.process_time()
            understand((words * LONGEST)[:LONGEST], "")
            self.assertLess(time.process_time() - began, 0.1, words)

    def test_plain(self) -> None:
        """Punctuation goes, but for that of numbers; so do width, blanks and politeness."""
        self.assertEqual(plain("小智， 请帮我 把声音调到 ５０％ 吧！谢谢。"), "把声音调到50%")
        self.assertEqual(plain("OK, could you please set an alarm for 7:30 a.m.?"),
                         "set an alarm for 7:30 am")  # fmt: skip

    WORDS = (
        "remind me to at in seven thirty 7:30 pm tomorrow every day set a timer for and half "
        "an hour one hundred percent of plus times 提醒我 明天 早上 七 点 半 "
        "分钟 后 叫我 起床 闹钟 百 十 加 的 声音 到"
    ).split()

    @given(st.one_of(st.text(max_size=120), st.lists(st.sampled_from(WORDS)).map(" ".join)))
    def test_anything(self, text: str) -> None:
        """Whatever is said, nothing is raised, and it takes no time to speak of."""
        began = time.process_time()
        command = understand(text, "")
        self.assertLess(time.process_time() - began, 0.1)
        self.assertTrue(command is None or len(text) <= LONGEST)
