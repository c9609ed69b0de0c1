"""How search engines are asked, and what they answer: one class each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import attrs
import msgspec

from xiaozhi.errors import ServiceError
from xiaozhi.services.fetching import Fetcher
from xiaozhi.services.http import short

_TEXT = 500
"""Characters of a result that the model is told."""


_Text = str | None
"""Where some write null for nothing."""


def _or_empty(text: _Text) -> str:
    return text or ""


@attrs.frozen
class Found:
    """A result."""

    title: str = attrs.field(converter=_or_empty)
    text: str = attrs.field(converter=_or_empty)
    url: str = attrs.field(converter=_or_empty, default="")


class Engine(Protocol):
    """Somebody who searches."""

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find up to `count` results, the best first; raise ServiceError."""


class _Related(msgspec.Struct):
    """A topic, or (with topics in it) a group of some."""

    text: str = msgspec.field(name="Text", default="")
    url: str = msgspec.field(name="FirstURL", default="")
    topics: list[_Related] = msgspec.field(name="Topics", default=[])


class _Instant(msgspec.Struct):
    heading: str = msgspec.field(name="Heading", default="")
    # An answer that is calculated can be an object, for a page to show.
    answer: Any = msgspec.field(name="Answer", default="")
    text: str = msgspec.field(name="AbstractText", default="")
    url: str = msgspec.field(name="AbstractURL", default="")
    definition: str = msgspec.field(name="Definition", default="")
    related: list[_Related] = msgspec.field(name="RelatedTopics", default=[])


@attrs.frozen
class DuckDuckGo:
    """DuckDuckGo's instant answers: facts and definitions, without a key."""

    fetcher: Fetcher
    url: str

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find what it knows at once, which often is nothing."""
        params = {"q": query, "format": "json", "no_html": "1", "skip_disambig": "1"}
        if language == "zh":
            params["kl"] = "cn-zh"
        answer = await self.fetcher.json(_Instant, self.url, params)
        found = []
        if isinstance(answer.answer, str) and answer.answer:
            found.append(Found(query, answer.answer))
        if told := answer.text or answer.definition:
            found.append(Found(answer.heading or query, told, answer.url))
        found += [Found("", topic.text, topic.url) for topic in _flat(answer.related) if topic.text]
        return _cut(found, count)


def _flat(related: Sequence[_Related]) -> Iterator[_Related]:
    for topic in related:
        yield topic
        yield from topic.topics


class _WikiPage(msgspec.Struct):
    title: str
    index: int = 0
    extract: _Text = ""
    fullurl: _Text = ""


class _WikiQuery(msgspec.Struct, frozen=True):
    pages: list[_WikiPage] = []


class _WikiError(msgspec.Struct):
    info: str = ""


class _Wiki(msgspec.Struct):
    query: _WikiQuery = _WikiQuery()
    error: _WikiError | None = None


@attrs.frozen
class Wikipedia:
    """The encyclopaedia in the user's language, without a key."""

    fetcher: Fetcher
    url: str
    """With {language} where the language's tag belongs."""

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find articles, and how they begin."""
        params = {
            "action": "query",
            "format": "json",
            "formatversion": "2",
            "generator": "search",
            "gsrsearch": query,
            "gsrlimit": str(count),
            "prop": "extracts|info",
            "exintro": "1",
            "explaintext": "1",
            "exlimit": "max",
            "inprop": "url",
            "redirects": "1",
        }
        if language == "zh":
            params["variant"] = "zh-cn"
        url = self.url.replace("{language}", language)
        answer = await self.fetcher.json(_Wiki, url, params)
        if answer.error is not None:  # which comes with the status 200
            raise ServiceError("tool", f"Wikipedia: {short(answer.error.info)}")
        pages = sorted(answer.query.pages, key=lambda page: page.index)
        return _cut([Found(page.title, page.extract, page.fullurl) for page in pages], count)


class _Result(msgspec.Struct):
    """A result, as most name its parts."""

    title: _Text = ""
    content: _Text = ""
    url: _Text = ""


class _Results(msgspec.Struct):
    results: list[_Result] = []
    # SearXNG has a list of answers, as text or objects; Tavily has one text or none.
    answers: list[Any] = []
    answer: str | None = None


@attrs.frozen
class SearXNG:
    """A SearXNG server of one's own; its settings must allow the format `json`."""

    fetcher: Fetcher
    url: str

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find pages."""
        params = {"q": query, "format": "json", "language": language}
        answer = await self.fetcher.json(_Results, f"{self.url}/search", params)
        told = [one.get("answer", "") if isinstance(one, dict) else one for one in answer.answers]
        found = [Found(query, one) for one in told if isinstance(one, str) and one]
        return _cut(found + _pages(answer.results), count)


@attrs.frozen
class Tavily:
    """Tavily, which searches for language models; needs a key."""

    fetcher: Fetcher
    url: str
    api_key: str = attrs.field(repr=False)

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find pages, and an answer made of them."""
        body = {"query": query, "max_results": count, "include_answer": True}
        headers = {"Authorization": f"Bearer {self.api_key}"}
        answer = await self.fetcher.json(_Results, f"{self.url}/search", headers=headers, json=body)
        found = [Found(query, answer.answer)] if answer.answer else []
        return _cut(found + _pages(answer.results), count)


def _pages(results: Sequence[_Result]) -> list[Found]:
    return [Found(result.title, result.content, result.url) for result in results]


class _BraveResult(msgspec.Struct):
    title: _Text = ""
    description: _Text = ""
    url: _Text = ""


class _BraveWeb(msgspec.Struct):
    results: list[_BraveResult] = []


class _BraveAnswer(msgspec.Struct):
    web: _BraveWeb | None = None


@attrs.frozen
class Brave:
    """Brave Search; needs a key."""

    fetcher: Fetcher
    url: str
    api_key: str = attrs.field(repr=False)

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find pages."""
        params = {
            "q": query,
            "count": str(count),
            "text_decorations": "false",
        }
        if tag := {"zh": "zh-hans", "en": "en"}.get(language):  # its tags of others are its own
            params["search_lang"] = tag
        headers = {"X-Subscription-Token": self.api_key, "Accept": "application/json"}
        url = f"{self.url}/res/v1/web/search"
        answer = await self.fetcher.json(_BraveAnswer, url, params, headers)
        results = answer.web.results if answer.web else []
        return _cut([Found(one.title, one.description, one.url) for one in results], count)


class _BingResult(msgspec.Struct):
    name: _Text = ""
    url: _Text = ""
    snippet: _Text = ""
    summary: _Text = None


class _BingPages(msgspec.Struct):
    value: list[_BingResult] = []


class _BingData(msgspec.Struct):
    webPages: _BingPages | None = None


class _BochaAnswer(msgspec.Struct):
    data: _BingData | None = None


@attrs.frozen
class Bocha:
    """Bocha (博查), whose answers look like Bing's; needs a key."""

    fetcher: Fetcher
    url: str
    api_key: str = attrs.field(repr=False)

    async def search(self, query: str, language: str, count: int) -> Sequence[Found]:
        """Find pages, with a summary each."""
        body = {"query": query, "summary": True, "count": count}
        headers = {"Authorization": f"Bearer {self.api_key}"}
        url = f"{self.url}/v1/web-search"
        answer = await self.fetcher.json(_BochaAnswer, url, headers=headers, json=body)
        pages = answer.data.webPages if answer.data else None
        results = pages.value if pages else []
        return _cut(
            [Found(one.name, one.summary or one.snippet, one.url) for one in results], count
        )


def _cut(found: Sequence[Found], count: int) -> Sequence[Found]:
    """Leave out what says nothing, and shorten the rest."""
    told = [attrs.evolve(one, text=short(one.text, _TEXT)) for one in found if one.text.strip()]
    return told[:count]
