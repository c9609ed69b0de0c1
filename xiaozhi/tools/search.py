"""Search the web, by the engine of one's choice; some need no key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta
from twisted.application.service import Service
from twisted.internet.defer import Deferred

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.mistakes import Mistake, Words, words
from xiaozhi.services import engine
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.http import address, checked
from xiaozhi.services.kept import Kept
from xiaozhi.tooling import Outcome, Scene, Tool
from xiaozhi.tools import Room
from xiaozhi.tools._engines import (
    Bocha,
    Brave,
    DuckDuckGo,
    Engine,
    Found,
    SearXNG,
    Tavily,
    Wikipedia,
)
from xiaozhi.tools._words import said, text

LIFETIME: Final = 600.0
"""Seconds the results of a query are kept."""

_ADDRESSES: Final = {
    "tavily": "https://api.tavily.com",
    "brave": "https://api.search.brave.com",
    "bocha": "https://api.bochaai.com",
}


class Settings(engine.Settings, frozen=True):
    """Settings of the web search."""

    provider: Annotated[
        Literal["free", "searxng", "tavily", "brave", "bocha"],
        Meta(
            description="Who searches. `free` is DuckDuckGo's instant answers, then Wikipedia; "
            "they also step in where another fails. `searxng` needs its url, the rest a key."
        ),
    ] = "free"
    url: Annotated[
        str, Meta(description="Address of the SearXNG server; of others, only if not the usual.")
    ] = ""
    api_key: Annotated[str, Meta(description="Key of the provider.")] = "${SEARCH_API_KEY:-}"
    results: Annotated[
        int, Meta(description="Results the model is told, at most.", ge=1, le=10)
    ] = 4
    duckduckgo_url: Annotated[
        str, Meta(description="Address of the instant answers. Empty: they are not asked.")
    ] = "https://api.duckduckgo.com/"
    wikipedia_url: Annotated[
        str,
        Meta(
            description="Address of Wikipedia's API, {language} standing for the user's. "
            "Empty: it is not asked."
        ),
    ] = "https://{language}.wikipedia.org/w/api.php"
    timeout_s: Annotated[
        float, Meta(description="Seconds to wait for each answer.", gt=0, le=60)
    ] = 8.0

    def __post_init__(self) -> None:
        """Raise Mistake if the address is none, or lacking."""
        if self.url:
            checked(self.url)
        elif self.provider == "searxng":
            raise Mistake("no_search_url")

    def doubts(self) -> Sequence[Words]:
        """Tell that the key is lacking, if so: it may come from the environment of the server."""
        if self.provider not in ("free", "searxng") and not self.api_key:
            return (words("lacking", place="tools.search", what="api_key"),)
        return ()


class Kit(Service):
    """The tool `web_search`."""

    def __init__(self, settings: Settings, room: Room) -> None:
        """Raise Unavailable if there is nobody to ask."""
        self._count = settings.results
        self._fetcher = Fetcher(room.reactor, room.pool, settings.timeout_s)
        self._engines = _engines(settings, self._fetcher)
        if not self._engines:
            raise Unavailable("nobody is set who searches", "没有设置搜索引擎")
        self._known: Kept[Sequence[Found]] = Kept(room.reactor, LIFETIME)
        self.tools: Sequence[Tool] = (
            Tool(
                "web_search",
                "Look something up on the web: facts, people, events, anything you do not know "
                "or that may have changed. Answer from the results, and say where they are from.",
                self._search,
                {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "description": "A few words to search for."}
                    },
                    "required": ["query"],
                },
                patience=settings.timeout_s * len(self._engines) + 1,
            ),
        )

    def stopService(self) -> Deferred[None]:
        """Close the connections."""
        super().stopService()
        self._known.stop()
        return self._fetcher.stop()

    async def _search(self, arguments: dict[str, Any], scene: Scene) -> Outcome:
        query = text(arguments, "query")
        if not query:
            raise ServiceError("tool", "query is missing")
        language = scene.language
        find = partial(self._find, query, language)
        found = (await self._known.get((query.casefold(), language), find)).value
        if not found:
            return Outcome(
                f"nothing was found about {query!r}",
                said(
                    language,
                    f"没有找到关于{query}的内容。",
                    f"I found nothing about {query}.",
                ),
            )
        return Outcome(
            "\n".join(_told(number, one) for number, one in enumerate(found, 1)),
            found[0].text,
        )

    async def _find(self, query: str, language: str) -> Sequence[Found]:
        """Ask one after the other until somebody knows something."""
        failures = []
        for searcher in self._engines:
            try:
                if found := await searcher.search(query, language, self._count):
                    return found
            except ServiceError as error:
                failures.append(error)
        if len(failures) == len(self._engines):
            raise failures[0]
        return ()


def _told(number: int, found: Found) -> str:
    """Write a result on a line for the model, with its source."""
    source = urlsplit(found.url).hostname or ""
    title = f"{found.title}: " if found.title else ""
    return f"{number}. {title}{found.text}" + (f" (source: {source})" if source else "")


def _engines(settings: Settings, fetcher: Fetcher) -> Sequence[Engine]:
    """Make who is asked, in this order; raise Unavailable for one that lacks something."""
    engines: list[Engine] = []
    if settings.provider != "free":
        engines.append(_chosen(settings, fetcher))
    if settings.duckduckgo_url:
        url = address(settings.duckduckgo_url, "duckduckgo_url")
        engines.append(DuckDuckGo(fetcher, url))
    if settings.wikipedia_url:
        address(settings.wikipedia_url.replace("{language}", "en"), "wikipedia_url")
        engines.append(Wikipedia(fetcher, settings.wikipedia_url))
    return engines


def _chosen(settings: Settings, fetcher: Fetcher) -> Engine:
    given = settings.url or _ADDRESSES.get(settings.provider, "")
    url = address(given, "url").rstrip("/")
    if settings.provider == "searxng":
        return SearXNG(fetcher, url)
    if not settings.api_key:
        name = settings.provider
        raise Unavailable(f"{name} needs an api_key", f"{name} 需要 api_key")
    kinds: Mapping[str, Callable[[Fetcher, str, str], Engine]] = {
        "tavily": Tavily,
        "brave": Brave,
        "bocha": Bocha,
    }
    return kinds[settings.provider](fetcher, url, settings.api_key)
