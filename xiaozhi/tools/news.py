"""What is in the news, from feeds (RSS, Atom): free, without a key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList

from xiaozhi.errors import ServiceError, missing
from xiaozhi.services import engine
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.http import address, short
from xiaozhi.services.kept import Kept, Known
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._items import Item
from xiaozhi.tools._matching import best, plain
from xiaozhi.tools._words import said, text, whole

LIFETIME: Final = 600.0
"""Seconds a feed is kept."""
USABLE: Final = 12 * 3600.0
"""Seconds a feed is better than none."""
MOST: Final = 10
"""Items told at once."""
LISTENERS: Final = 1000
"""Devices whose last list is remembered."""
_SHORT: Final = 120
"""Characters of a summary in a list."""

_CHINANEWS: Final = "https://www.chinanews.com.cn/rss"
_BBC: Final = "https://feeds.bbci.co.uk"
_CHINESE: Final = {
    "头条": f"{_CHINANEWS}/scroll-news.xml",
    "国际": f"{_CHINANEWS}/world.xml",
    "国内": f"{_CHINANEWS}/china.xml",
    "财经": f"{_CHINANEWS}/finance.xml",
    "社会": f"{_CHINANEWS}/society.xml",
    "体育": f"{_CHINANEWS}/sports.xml",
    "文娱": f"{_CHINANEWS}/culture.xml",
}
_ENGLISH: Final = {
    "headlines": f"{_BBC}/news/rss.xml",
    "world": f"{_BBC}/news/world/rss.xml",
    "business": f"{_BBC}/news/business/rss.xml",
    "technology": f"{_BBC}/news/technology/rss.xml",
    "science": f"{_BBC}/news/science_and_environment/rss.xml",
    "sport": f"{_BBC}/sport/rss.xml",
}
_SAME: Final = {
    "头条": "要闻 新闻 今日新闻 最新 热点",
    "国际": "世界 全球",
    "国内": "中国",
    "财经": "经济 金融 商业 股市",
    "社会": "民生",
    "体育": "运动 足球 篮球",
    "文娱": "娱乐 文化 明星 电影",
    "headlines": "news latest top today",
    "world": "international global",
    "business": "finance economy money markets",
    "technology": "tech computers",
    "sport": "sports football",
    "science": "environment",
}
"""Other words for a topic, where a feed is called by the first."""


class Settings(engine.Settings, frozen=True):
    """Settings of the news."""

    chinese: Annotated[
        dict[str, str],
        Meta(
            description="Feeds in Chinese, by topic. The first is for those who name no topic.",
            min_length=1,
        ),
    ] = msgspec.field(default_factory=lambda: dict(_CHINESE))
    english: Annotated[
        dict[str, str],
        Meta(
            description="Feeds in English, by topic. The first is for those who name no topic.",
            min_length=1,
        ),
    ] = msgspec.field(default_factory=lambda: dict(_ENGLISH))
    timeout_s: Annotated[float, Meta(description="Seconds to wait for a feed.", gt=0, le=60)] = 8.0


class Kit(Service):
    """The tool `get_news`."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Raise Unavailable if an address is none, or a package is missing."""
        if find_spec("defusedxml") is None:
            raise missing("defusedxml")
        for feeds in (settings.chinese, settings.english):
            for topic, url in feeds.items():
                address(url, f"feed {topic!r}")
        self._settings = settings
        self._pool = room.pool
        self._fetcher = Fetcher(room.reactor, room.pool, settings.timeout_s)
        self._feeds: Kept[Sequence[Item]] = Kept(room.reactor, LIFETIME, USABLE)
        self._told: OrderedDict[str, Sequence[Item]] = OrderedDict()
        """The last list each device was told."""
        topics = ", ".join((*settings.chinese, *settings.english))
        self.tools: Sequence[Tool] = (
            Tool(
                "get_news",
                "The latest news, as a numbered list; or more about one item of the last list.",
                self._news,
                {
                    "type": "object",
                    "properties": {
                        "topic": {
                            "type": "string",
                            "description": f"One of these: {topics}; or any word to look for. "
                            "Leave it out for the headlines.",
                        },
                        "count": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST,
                            "description": "How many; 5 if nobody said.",
                        },
                        "item": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST,
                            "description": "Tell more about the item of this number.",
                        },
                    },
                },
                patience=3 * settings.timeout_s,
            ),
        )

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        self._feeds.stop()
        return self._fetcher.stop()

    async def _news(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        if item := whole(arguments, "item", 1, MOST):
            return self._more(item, scene)
        count = whole(arguments, "count", 1, MOST) or 5
        feeds = self._settings.chinese if scene.language == "zh" else self._settings.english
        topic = text(arguments, "topic")
        name = _topic(topic, feeds) if topic else next(iter(feeds))
        if name is not None:
            known = await self._feed(feeds[name])
        else:
            known = await self._about(topic, list(feeds.values()))
        items = known.value[:count]
        if not items:
            return Outcome(
                f"there is no news about {topic!r} in the feeds",
                said(
                    scene.language,
                    f"没有找到关于{topic}的新闻。" if topic else "现在没有新闻。",
                    f"There is no news about {topic}." if topic else "There is no news now.",
                ),
            )
        self._told[scene.device] = items
        self._told.move_to_end(scene.device)
        if len(self._told) > LISTENERS:
            self._told.popitem(last=False)
        return _listed(known, items, scene.language)

    def _more(self, number: int, scene: Scene) -> Outcome:
        """Tell more about an item of the last list."""
        items = self._told.get(scene.device, ())
        if number > len(items):
            return Outcome(
                f"the last list had {len(items)} items",
                said(scene.language, f"没有第{number}条新闻。", f"There is no item {number}."),
                failed=True,
            )
        item = items[number - 1]
        more = item.summary or said(
            scene.language, "没有更多内容了。", "That is all that is known."
        )
        told = f"{item.title}\n{item.summary or 'The feed has no more.'}"
        return Outcome(told, f"{_ended(item.title, scene.language)} {more}")

    async def _feed(self, url: str) -> Known[Sequence[Item]]:
        async def find() -> Sequence[Item]:
            page = await self._fetcher.fetch(url)
            return await self._pool.run(_read, page.body, page.kind)

        return await self._feeds.get(url, find)

    async def _about(self, topic: str, urls: Sequence[str]) -> Known[Sequence[Item]]:
        """Find the items about a topic in all feeds; raise ServiceError if none can be read."""
        feeds = [Deferred.fromCoroutine(self._feed(url)) for url in urls]
        results = await DeferredList(feeds, consumeErrors=True)
        read = [known for success, known in results if success]
        if not read:
            raise ServiceError("tool", "no feed can be reached")
        items = await self._pool.run(_about, topic, [known.value for known in read])
        stale = any(known.stale for known in read)
        return Known(items, max(known.age for known in read), stale)


def _topic(wanted: str, feeds: dict[str, str]) -> str | None:
    """Find the feed for a topic, by its name or another word for it; None if there is none."""
    named = [(word, name) for name in feeds for word in (name, *_SAME.get(name, "").split())]
    return best(wanted.removesuffix("新闻") or wanted, named, least=0.8)


def _about(topic: str, feeds: Sequence[Sequence[Item]]) -> Sequence[Item]:
    """Tell the items in which a topic is named, each title once: for a thread."""
    sought = plain(topic)
    found = {
        item.title: item
        for items in feeds
        for item in items
        if sought in plain(item.title + item.summary)
    }
    return list(found.values())


def _listed(known: Known[Sequence[Item]], items: Sequence[Item], language: str) -> Outcome:
    lines = [
        f"{number}. {item.title}" + (f": {short(item.summary, _SHORT)}" if item.summary else "")
        for number, item in enumerate(items, 1)
    ]
    titles = " ".join(
        said(language, f"第{number}条，", f"{number}: ") + _ended(item.title, language)
        for number, item in enumerate(items, 1)
    )
    if known.stale:
        hours = known.age / 3600
        lines.append(f"This list is {hours:.1f} hours old: the source cannot be reached now.")
        titles += said(
            language,
            "这不是最新的消息，新闻源现在连不上。",
            " That is not the latest: the source cannot be reached.",
        )
    return Outcome("\n".join(lines), titles)


def _ended(title: str, language: str) -> str:
    """End a title as a sentence ends."""
    return title if title[-1] in "。！？.!?" else title + said(language, "。", ".")


def _read(body: bytes, kind: str) -> Sequence[Item]:
    """Read a feed: for a thread, as the parser is imported first."""
    from xiaozhi.tools import _feeds

    return _feeds.read(body, kind)
