"""The news, from feeds on loopback.

The feeds are written from the RSS 2.0 specification (rssboard.org), RSS 1.0 (web.resource.org)
and RFC 4287, with what is found in feeds of today.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.tools.cases import Failures, Listener, ToolCase, call, failure
from tests.tools.web import FAULTS, Asked, Reply, Web
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.tooling import Outcome
from xiaozhi.tools import _feeds as feeds
from xiaozhi.tools.news import Kit, Settings

RSS = """<?xml version="1.0" encoding="UTF-8"?>
<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>
<title>The Loopback Times</title><description>All of it.</description>
<item><title><![CDATA[A cat & a <b>bridge</b>]]></title><link>http://x/1</link>
<description>&lt;p&gt;The cat crossed it.&lt;/p&gt;&lt;script&gt;bad()&lt;/script&gt;</description>
<content:encoded><![CDATA[<p>Longer, and not needed.</p>]]></content:encoded></item>
<item><title>Rain expected!</title><content:encoded><![CDATA[<p>Only <i>here</i>
the text.</p>]]></content:encoded></item>
<item><title>Nothing more</title><description>Nothing more.</description></item>
<item><description>Has no title.</description></item>
</channel></rss>"""
RDF = """<?xml version="1.0"?>
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns="http://purl.org/rss/1.0/">
<channel><title>Old</title></channel><item><title>From 2001</title></item></rdf:RDF>"""
ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>Atoms</title>
<entry><title type="html">Small &amp;amp; light</title><summary>Very.</summary></entry>
<entry><title>In XHTML</title><content type="xhtml">
<div xmlns="http://www.w3.org/1999/xhtml"><p>One</p><p>two.</p></div></content></entry></feed>"""
CHINESE = """<?xml version="1.0" encoding="gb2312"?>
<rss version="2.0"><channel><title>新闻</title>
<item><title>大桥通车</title><description>全长三公里。</description></item>
<item><title>明天降温</title><description/></item></channel></rss>"""
BOMB = """<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "lol">
<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>
<rss><channel><item><title>&c;</title></item></channel></rss>"""
SPYING = """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]>
<rss><channel><item><title>&f;</title></item></channel></rss>"""


def paper(asked: Asked) -> Reply:
    """Answer as newspapers do."""
    kind = {"Content-Type": "application/rss+xml"}
    if asked.path == "/moved":
        return Reply(b"", 301, {"Location": "/head"})
    return Reply(
        {
            "/head": RSS.encode(),
            "/world": ATOM.encode(),
            "/zh": CHINESE.encode("gbk"),
        }[asked.path],
        headers=kind,
    )


class NewsTests(Failures, ToolCase):
    def made(self, timeout_s: float = 5.0) -> tuple[Kit, Web]:
        web = self.web(paper)
        settings = Settings(
            chinese={"头条": f"{web.url}/zh"},
            english={"headlines": f"{web.url}/moved", "world": f"{web.url}/world"},
            timeout_s=timeout_s,
        )
        return self.started(Kit(settings, self.room)), web

    async def ask(self, kit: Kit) -> Outcome:
        return await call(kit, "get_news", self.en)

    async def test_headlines(self) -> None:
        """Titles are said; the model is given the summaries, too."""
        kit, _ = self.made()
        outcome = await self.ask(kit)
        self.assertEqual(
            outcome.text.splitlines(),
            [
                "1. A cat & a bridge: The cat crossed it.",
                "2. Rain expected!: Only here the text.",
                "3. Nothing more",
            ],
        )
        self.assertEqual(outcome.say, "1: A cat & a bridge. 2: Rain expected! 3: Nothing more.")

    async def test_chinese(self) -> None:
        """Chinese feeds are for those who speak it; what calls itself gb2312 is read."""
        kit, _ = self.made()
        outcome = await call(kit, "get_news", self.zh, topic="新闻", count=1)
        self.assertEqual(outcome.say, "第1条，大桥通车。")
        self.assertEqual(outcome.text, "1. 大桥通车: 全长三公里。")

    async def test_topics(self) -> None:
        """A topic is found by its name or another word; any other is looked for in all feeds."""
        kit, _ = self.made()
        for topic, title in (
            ("World", "Small & light"),
            ("international", "Small & light"),
            ("bridge", "A cat & a bridge"),
        ):
            outcome = await call(kit, "get_news", self.en, topic=topic, count="1")
            self.assertEqual(outcome.say, f"1: {title}.")
        nothing = await call(kit, "get_news", self.zh, topic="火星")
        self.assertEqual(nothing.say, "没有找到关于火星的新闻。")

    async def test_one_feed_fails(self) -> None:
        """What is looked for is found in the feeds that can be read."""
        kit, web = self.made()
        web.answer = lambda asked: paper(asked) if asked.path != "/world" else FAULTS["broken"]
        outcome = await call(kit, "get_news", self.en, topic="bridge")
        self.assertEqual(outcome.say, "1: A cat & a bridge.")
        web.fault = FAULTS["broken"]
        self.clock.advance(86400)
        self.assertIn("no feed", (await failure(kit, "get_news", self.en, topic="cats")).why)

    async def test_more(self) -> None:
        """More is told of an item by its number in the list that this device was told."""
        kit, web = self.made()
        other = Listener(device="other")
        await call(kit, "get_news", self.zh, count=2)
        await call(kit, "get_news", other, topic="world")
        web.fault = FAULTS["broken"]
        self.assertEqual(
            (await call(kit, "get_news", self.zh, item=1)).say, "大桥通车。 全长三公里。"
        )
        self.assertIn("没有更多", (await call(kit, "get_news", self.zh, item=2)).say)
        self.assertEqual((await call(kit, "get_news", other, item=2)).say, "In XHTML. One two.")
        for listener in (self.zh, Listener(device="third")):
            self.assertTrue((await call(kit, "get_news", listener, item=3)).failed)
        await failure(kit, "get_news", self.en, item=0)

    async def test_stale(self) -> None:
        """While the source is down the last list is told, and said not to be the latest."""
        kit, web = self.made()
        await self.ask(kit)
        web.fault = FAULTS["garbage"]
        self.clock.advance(3600)
        outcome = await self.ask(kit)
        self.assertIn("1: A cat", outcome.say)
        self.assertIn("not the latest", outcome.say)

    def test_wrong_address(self) -> None:
        """A feed without an address is refused, by the name of its topic."""
        with self.assertRaisesRegex(Unavailable, "weather"):
            Kit(Settings(english={"weather": "bbc"}), self.room)


class FeedTests(SynchronousTestCase):
    def titles(self, feed: str | bytes, kind: str = "") -> list[str]:
        body = feed if isinstance(feed, bytes) else feed.encode()
        return [item.title for item in feeds.read(body, kind)]

    def test_kinds(self) -> None:
        """RSS, its ancestor and Atom are read, with a namespace or without."""
        self.assertEqual(self.titles(RDF), ["From 2001"])
        self.assertEqual(self.titles(ATOM), ["Small & light", "In XHTML"])

    def test_encodings(self) -> None:
        """The encoding is what the feed says, else what its server says, else UTF-8."""
        bare = "<rss><item><title>大桥</title></item></rss>"
        for body, kind in (
            (bare.encode(), "text/xml"),
            (bare.encode("gbk"), "text/xml; charset=GBK"),
            (bare.encode("utf-16"), ""),
            (b"\xef\xbb\xbf" + bare.encode(), "text/xml; charset=no-such"),
            (
                b'<?xml version="1.0" encoding="big5"?>'
                + "<rss><item><title>大橋</title></item></rss>".encode("big5"),
                "text/xml; charset=utf-8",
            ),
        ):
            self.assertIn(self.titles(body, kind), (["大桥"], ["大橋"]))

    def test_bombs(self) -> None:
        """Entities are not resolved: neither those that multiply nor those that read files."""
        for feed in (BOMB, SPYING):
            with self.assertRaisesRegex(ServiceError, "entities"):
                self.titles(feed)

    def test_garbage(self) -> None:
        """What is no feed is a ServiceError, or has nothing in it."""
        for body in (
            b"",
            b"\x00\x01",
            b"<rss>",
            b"{}",
            b"<rss>" * 100_000,
            b"<html><item/></html>",
            b"<rss>\xff</rss",
        ):
            with self.assertRaises(ServiceError):
                self.titles(body)
        self.assertEqual(self.titles("<rss><channel/></rss>"), [])

    def test_bounds(self) -> None:
        """A long feed is read in part; a script without end swallows what follows it only."""
        item = "<item><title>x</title><description>a &lt;script&gt; b</description></item>"
        items = feeds.read(f"<rss>{item * 500}</rss>".encode(), "")
        self.assertEqual(len(items), feeds.MOST)
        self.assertEqual(items[0].summary, "a")
