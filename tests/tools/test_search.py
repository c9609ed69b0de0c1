"""The web search, against each provider's interface on loopback.

The servers are written from duckduckgo.com/api, mediawiki.org/wiki/API:Search and
/wiki/Extension:TextExtracts, docs.searxng.org (Search API), docs.tavily.com,
api-dashboard.search.brave.com and open.bochaai.com.
"""

from __future__ import annotations

from typing import Any

from tests.tools.cases import Failures, ToolCase, call, failure
from tests.tools.web import FAULTS, Asked, Reply, Web
from xiaozhi.errors import Unavailable
from xiaozhi.tooling import Outcome
from xiaozhi.tools.search import LIFETIME, Kit, Settings

KEY = "loopback-key-1234"
NOTHING = {"Abstract": "", "AbstractText": "", "Heading": "", "Answer": "", "RelatedTopics": []}


def duckduckgo(asked: Asked) -> Reply:
    """Answer at once, or nothing."""
    assert asked.args["format"] == "json"
    instant: dict[str, dict[str, Any]] = {
        "alan turing": {
            "Heading": "Alan Turing",
            "AbstractText": "Alan Turing was an English mathematician.",
            "AbstractSource": "Wikipedia",
            "AbstractURL": "https://en.wikipedia.org/wiki/Alan_Turing",
            "RelatedTopics": [
                {"FirstURL": "https://duckduckgo.com/Enigma", "Text": "Enigma - A cipher machine."},
                {"Name": "People", "Topics": [{"FirstURL": "https://d/x", "Text": "Joan Clarke"}]},
            ],
        },
        "random number": {"Answer": {"from": "calculator", "result": ""}, "AnswerType": "calc"},
    }
    # The answer calls itself JavaScript.
    headers = {"Content-Type": "application/x-javascript"}
    return Reply(NOTHING | instant.get(asked.args["q"].casefold(), {}), headers=headers)


def wikipedia(asked: Asked) -> Reply:
    """Answer with the pages in the order of their ids, as the real one does."""
    args = asked.args
    assert (args["action"], args["generator"], args["formatversion"]) == ("query", "search", "2")
    assert asked.headers["user-agent"].startswith("xiaozhi/")
    if args["gsrsearch"] == "xyzzy":
        return Reply({"batchcomplete": True})
    if args["gsrsearch"] == "[":
        return Reply({"error": {"code": "cirrussearch-parse-error", "info": "cannot be parsed"}})
    pages = [
        {
            "pageid": 1,
            "ns": 0,
            "title": "Second",
            "index": 2,
            "extract": "Less of it.",
            "fullurl": "https://zh.wikipedia.org/wiki/Second",
        },
        {
            "pageid": 2,
            "ns": 0,
            "title": "First",
            "index": 1,
            "extract": "All about it. " * 100,
            "fullurl": "https://zh.wikipedia.org/wiki/First",
        },
        {"pageid": 3, "ns": 0, "title": "Empty", "index": 3},
    ]
    return Reply({"batchcomplete": True, "query": {"pages": pages}})


def provider(asked: Asked) -> Reply:
    """Answer as one who wants a key, or SearXNG."""
    if asked.path == "/search" and asked.method == "GET":
        assert asked.args["format"] == "json"
        results = [
            {
                "title": "A page",
                "content": "It says so.",
                "url": "https://a.example/x",
                "engine": "bing",
                "score": 1.0,
            },
            {"title": "B", "content": None, "url": "u"},
        ]
        return Reply({"query": asked.args["q"], "answers": [{"answer": "42"}], "results": results})
    if asked.path == "/search":
        if asked.headers["authorization"] != f"Bearer {KEY}":
            return Reply({"detail": {"error": "Unauthorized: missing or invalid API key."}}, 401)
        assert asked.json()["max_results"] == 4
        results = [
            {
                "title": "A page",
                "url": "https://a.example/x",
                "content": "It says so.",
                "score": 0.9,
                "raw_content": None,
            }
        ]
        return Reply({"query": "q", "answer": "It is 42.", "images": [], "results": results})
    if asked.path == "/res/v1/web/search":
        assert asked.headers["x-subscription-token"] == KEY
        assert asked.args["search_lang"] in ("zh-hans", "en")
        results = [{"title": "A page", "url": "https://a.example/x", "description": "It says so."}]
        return Reply({"type": "search", "web": {"type": "search", "results": results}})
    assert asked.path == "/v1/web-search"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.json()["summary"] is True
    value = [
        {
            "id": "1",
            "name": "A page",
            "url": "https://a.example/x",
            "snippet": "It says",
            "summary": "It says so.",
        }
    ]
    return Reply(
        {
            "code": 200,
            "msg": None,
            "data": {"_type": "SearchResponse", "webPages": {"value": value}},
        }
    )


class FreeTests(Failures, ToolCase):
    def made(self, timeout_s: float = 5.0) -> tuple[Kit, Web]:
        """Make the search with one who knows nothing in front of the one that is asked."""
        self.instant = self.web(duckduckgo)
        encyclopaedia = self.web(wikipedia)
        settings = Settings(
            duckduckgo_url=self.instant.url + "/",
            wikipedia_url=encyclopaedia.url + "/{language}/w/api.php",
            timeout_s=timeout_s,
        )
        return self.started(Kit(settings, self.room)), encyclopaedia

    async def ask(self, kit: Kit) -> Outcome:
        return await call(kit, "web_search", self.zh, query="it")

    async def test_failures(self) -> None:
        """With both out of order it is a ServiceError."""
        for name in ("broken", "busy", "garbage", "breaks off"):
            kit, web = self.made()
            web.fault = self.instant.fault = FAULTS[name]
            self.assertTrue((await failure(kit, "web_search", self.en, query="it")).why)

    async def test_unreachable(self) -> None:
        """With neither there it is a ServiceError."""
        kit, web = self.made()
        await web.stop()
        await self.instant.stop()
        self.assertIn("127.0.0.1", (await failure(kit, "web_search", self.en, query="it")).why)

    async def test_instant(self) -> None:
        """What DuckDuckGo knows at once is the answer, with its sources."""
        kit, web = self.made()
        outcome = await call(kit, "web_search", self.en, query="Alan Turing")
        self.assertEqual(
            outcome.text.splitlines(),
            [
                "1. Alan Turing: Alan Turing was an English mathematician. "
                "(source: en.wikipedia.org)",
                "2. Enigma - A cipher machine. (source: duckduckgo.com)",
                "3. Joan Clarke (source: d)",
            ],
        )
        self.assertEqual(
            (outcome.say, web.asked), ("Alan Turing was an English mathematician.", [])
        )

    async def test_encyclopaedia(self) -> None:
        """What it does not know Wikipedia does, in the user's language, the best first."""
        kit, web = self.made()
        outcome = await call(kit, "web_search", self.zh, query="random number")
        self.assertEqual(web.asked[0].path, "/zh/w/api.php")
        first, second = outcome.text.splitlines()
        self.assertTrue(first.startswith("1. First: All about it."))
        self.assertLess(len(first), 600)
        self.assertEqual(second, "2. Second: Less of it. (source: zh.wikipedia.org)")

    async def test_one_fails(self) -> None:
        """One who is out of order is passed over."""
        kit, _ = self.made()
        self.instant.fault = FAULTS["broken"]
        self.assertIn("First", (await self.ask(kit)).text)

    async def test_nothing(self) -> None:
        """Nothing found is said; a query that is refused too."""
        kit, _ = self.made()
        for query in ("xyzzy", "["):
            outcome = await call(kit, "web_search", self.zh, query=query)
            self.assertEqual(outcome.say, f"没有找到关于{query}的内容。")
        self.assertIn("missing", (await failure(kit, "web_search", self.zh, query=" ")).why)

    async def test_kept(self) -> None:
        """A query is asked once in a while, in each language."""
        kit, web = self.made()
        for listener in (self.zh, self.zh, self.en):
            await call(kit, "web_search", listener, query="it")
        self.assertEqual(len(web.asked), 2)
        self.clock.advance(LIFETIME)
        await self.ask(kit)
        self.assertEqual(len(web.asked), 3)


class ProviderTests(ToolCase):
    def made(self, name: Any, **settings: Any) -> tuple[Kit, Web]:
        web = self.web(provider)
        free = {"duckduckgo_url": "", "wikipedia_url": ""}
        chosen: Any = {"url": web.url, "api_key": KEY, **free, **settings}
        return self.started(Kit(Settings(provider=name, **chosen), self.room)), web

    async def test_providers(self) -> None:
        """Each is asked as it wants to be, and understood."""
        for name, first in (
            ("searxng", "42"),
            ("tavily", "It is 42."),
            ("brave", "It says so."),
            ("bocha", "It says so."),
        ):
            kit, _ = self.made(name)
            outcome = await call(kit, "web_search", self.zh, query="the answer")
            self.assertEqual(outcome.say, first)
            self.assertIn("A page: It says so. (source: a.example)", outcome.text)

    async def test_failures(self) -> None:
        """Every fault of every provider is a ServiceError."""
        for name in ("searxng", "tavily", "brave", "bocha"):
            for fault in ("broken", "garbage", "empty", "other JSON", "breaks off"):
                kit, web = self.made(name)
                web.fault = FAULTS[fault]
                self.assertTrue((await failure(kit, "web_search", self.en, query="it")).why)

    async def test_wrong_key(self) -> None:
        """A key that is refused is a ServiceError that does not repeat it."""
        kit, _ = self.made("tavily", api_key="secret-1")
        error = await failure(kit, "web_search", self.en, query="it")
        self.assertIn("401", error.why)
        self.assertNotIn("secret", error.why)

    async def test_others_step_in(self) -> None:
        """Where the provider fails, those that need no key are asked."""
        free = self.web(wikipedia)
        kit, web = self.made("brave", wikipedia_url=free.url)
        web.fault = FAULTS["busy"]
        self.assertIn("First", (await call(kit, "web_search", self.en, query="it")).text)

    def test_lacking(self) -> None:
        """Who lacks a key or an address is refused at the start, and so is nobody at all."""
        for settings in (
            Settings(provider="brave", api_key=""),
            Settings(duckduckgo_url="", wikipedia_url=""),
            Settings(wikipedia_url="wikipedia"),
        ):
            with self.assertRaises(Unavailable):
                Kit(settings, self.room)
