"""The talk with one device: what was said, in which role, with which tools."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, Final, Protocol

import attrs
from twisted.internet.defer import Deferred, DeferredList, succeed

from xiaozhi.answers import Part
from xiaozhi.briefing import Briefing
from xiaozhi.commands import plain
from xiaozhi.condensing import Condensing
from xiaozhi.dialogue import Dialogue, Entry
from xiaozhi.errors import Absent
from xiaozhi.modes.chat import Asked, Chat
from xiaozhi.phrases import phrase
from xiaozhi.services.counters import Counters
from xiaozhi.services.memory import Thinking
from xiaozhi.services.memory.framing import framed, framed_summary
from xiaozhi.services.memory.words import mentions
from xiaozhi.services.store.records import Recollection
from xiaozhi.settings import Role
from xiaozhi.toolbox import See, Toolbox
from xiaozhi.tooling import Clip, Outcome, Source, Tool
from xiaozhi.wakewords import same

NOTHING: Final = Recollection()

Recall = Callable[[str], Deferred[Recollection]]
"""Tells what is known of a device's user; soon, and it never fails."""


KeepRole = Callable[[str, str], object]
"""Keeps the name of a role, "" for the usual one, for a device. It never fails."""


def keep_nothing(device: str, role: str) -> None:
    """Keep no role from one connection to the next."""


def know_nothing(device: str) -> Deferred[Recollection]:
    """Know nothing of a device's user."""
    return succeed(NOTHING)


async def think_nothing(*asked: str) -> AsyncGenerator[str, None]:
    """Have no mind, whatever is asked."""
    if asked:
        raise Absent("llm", "there is no model")
    yield ""


@attrs.frozen
class Talk:
    """What talks are made with."""

    chat: Chat
    language: str
    """The server's language, spoken until the user's is known."""
    sources: Sequence[Source] = ()
    """Where tools come from, but those of the device itself."""
    exits: Sequence[str] = ()
    """What a user says to end the connection."""
    see: See | None = None
    recall: Recall = know_nothing
    keep_role: KeepRole = keep_nothing
    think: Thinking = think_nothing
    """Has a model sum up what is too old to be told whole; without one, an extract has to do."""
    counters: Counters = attrs.field(factory=Counters)


class Own(Source, Protocol):
    """The tools of the device itself."""

    def introduced(self) -> Deferred[None]:
        """Wait until they are known; not long, if the device does not tell."""

    def free(self) -> Deferred[None]:
        """Wait until none of them is at work."""


@attrs.define
class _Answer:
    """What tools want done with the answer under way."""

    language: str
    """The one it is in."""
    clip: Clip | None = None
    """What is played when it has been spoken."""
    parting: bool = False


class Conversation:
    """One talk; the `Scene` on which tools act."""

    def __init__(
        self, talk: Talk, device: str, known: bool, language: str, clock: Any, *own: Own
    ) -> None:
        """Talk with `device`, whose user's `language` is known, or "" if not.

        It is `known` unless its id is made up. It has tools of its `own`.
        """
        self._talk = talk
        self._device = device
        self._known = known
        self._clock = clock
        self._own = own
        about = talk.chat.assistant
        self._dialogue = Dialogue(
            about.history_tokens, language, talk.language, about.history_turns
        )
        self._toolbox = self._new_toolbox()
        self._role: Role | None = None
        """None for the usual one."""
        self._chosen = False
        """Whether the user has asked for it in this talk."""
        self._now = _Answer(self._dialogue.language)
        self._recollection: Recollection | None = None
        """What is known of the user, once it was asked for."""
        self._condensing = Condensing(self._dialogue, self._think, clock)

    @property
    def parting(self) -> bool:
        """Whether the connection ends with this answer."""
        return self._now.parting

    @property
    def usual_language(self) -> str:
        """The user's language: what they set, else the one last spoken."""
        return self._dialogue.language

    def free(self) -> Deferred[None]:
        """Wait until the device is done with its tools, and hears again that speech begins."""
        waits = [own.free() for own in self._own]
        return DeferredList(waits, consumeErrors=True).addCallback(lambda _: None)

    def engage(self, talk: Talk) -> None:
        """Go on with what `talk` says, from the next question on."""
        self._talk = talk
        self._toolbox = self._new_toolbox()
        if self._role is not None and not self._take(self._role.name):
            self._role = None

    def _new_toolbox(self) -> Toolbox:
        talk = self._talk
        return Toolbox((*talk.sources, *self._own), self._clock, talk.counters, talk.see)

    # -- question and answer --

    def answer(self, text: str, spoken: str = "") -> tuple[AsyncGenerator[Part, None], str]:
        """Answer what the user said, `spoken` in that language if known.

        Gives the answer in parts, and the language it is in.
        """
        language = self._dialogue.ask(text, spoken, self._clock.seconds())
        self._now = _Answer(language)
        if same(text, self._talk.exits) or same(plain(text), self._talk.exits):
            self.part()
            return self._one(phrase("goodbye", language)), language
        return self._parts(language), language

    async def _one(self, sentence: str) -> AsyncGenerator[Part, None]:
        yield sentence

    async def _parts(self, language: str) -> AsyncGenerator[Part, None]:
        for own in self._own:  # one that is asked at once has not told its tools yet
            await own.introduced()
        if self._recollection is None:
            self._recollection = await self._talk.recall(self._device) if self._known else NOTHING
        brief = self._brief(language, self._recollection).text()
        chat, model = self._talk.chat, self._role.model if self._role else None
        asked = Asked(self._dialogue.render(), language, brief, self, self._toolbox, model)
        async with aclosing(chat.answer(asked)) as parts:
            async for part in parts:
                yield part
        if self._now.clip is not None:
            yield self._now.clip

    def _brief(self, language: str, known: Recollection) -> Briefing:
        """Tell the model what it has to know."""
        about, role, now = self._talk.chat.assistant, self._role, self._talk.chat.now()
        variables = {
            "name": about.name_in(language),
            "role": role.name if role else "",
            "language": language,
            "device": self._device,
            "date": f"{now:%Y-%m-%d}",
            "weekday": f"{now:%A}",
            "time": f"{now:%H:%M}",
        }
        return Briefing(
            (role and role.prompt) or about.prompt,
            variables,
            tools=about.intent != "nointent" and bool(self._toolbox.offered(self._device)),
            known=(framed(known), framed_summary(self._dialogue.summary)),
            now=f"{now:%A, %Y-%m-%d %H:%M}",
        )

    def heard(self, text: str, whole: bool) -> None:
        """Note what the user can have heard of the answer, and whether it was all of it."""
        self._now.parting = False
        self._dialogue.answer(text, whole, self._clock.seconds())
        self._condensing.look()

    def _think(self, instruction: str, text: str, language: str) -> AsyncGenerator[str, None]:
        return self._talk.think(instruction, text, language)

    def close(self) -> None:
        """Give up what is done in the background. Idempotent."""
        self._condensing.close()

    def retract(self) -> None:
        """Forget a question of which nothing was answered: the user is still asking it."""
        self._now.parting = False
        self._dialogue.retract()

    def said(self) -> list[Entry]:
        """Give what was said, the user first, with the clock's times."""
        return self._dialogue.said()

    # -- the scene --

    @property
    def device(self) -> str:
        """The device's id."""
        return self._device

    @property
    def known(self) -> bool:
        """Whether anything may be stored for this device."""
        return self._known

    @property
    def language(self) -> str:
        """The language of the answer."""
        return self._now.language

    def part(self) -> None:
        """Close the connection when this answer is over."""
        self._now.parting = True

    def play(self, clip: Clip) -> None:
        """Play a clip when this answer has been spoken."""
        self._now.clip = clip

    @property
    def role(self) -> Role | None:
        """Who answers; None for the usual one."""
        return self._role

    def become(self, role: str) -> bool:
        """Take another role from the next answer on, or the usual one by the assistant's name."""
        taken = self._take(role)
        if taken:
            self._chosen = True
            if self._known:
                self._talk.keep_role(self._device, self._role.name if self._role else "")
        return taken

    def begin_as(self, role: str) -> None:
        """Take the role of the talk before, unless the user has asked for another already."""
        if role and not self._chosen:
            self._take(role)

    def _take(self, role: str) -> bool:
        about = self._talk.chat.assistant
        if same(role, ("default", "默认", about.name_in("zh"), about.name_in("en"))):
            self._role = None
            return True
        found = next((one for one in about.roles if same(role, (one.name,))), None)
        self._role = found or self._role
        return found is not None

    @property
    def last(self) -> float | None:
        """How many seconds ago the user said what came before this question; None if nothing."""
        before = self._dialogue.before()
        return None if before is None else self._clock.seconds() - before

    def forget(self, seconds: float | None, about: str = "") -> None:
        """Drop what was said in the last `seconds`, or (None) ever; or only `about` something."""
        self._recollection = None  # some of it may be gone, too
        self._dialogue.forget(
            None if seconds is None else self._clock.seconds() - seconds,
            mentions(about) if about else None,
        )

    def offers(self, name: str) -> bool:
        """Say whether there is a tool that its source calls `name`."""
        return self._tool(name) is not None

    async def use(self, name: str, arguments: dict[str, Any]) -> Outcome:
        """Call another tool, by the name its source gives it."""
        if (tool := self._tool(name)) is None:
            return Outcome(f"there is no tool called {name!r}", failed=True)
        return await self._toolbox.use(tool, arguments, self)

    def _tool(self, name: str) -> Tool | None:
        """Find another tool: the device's own, whoever else has one that is called so."""
        return self._toolbox.find(self._device, name, self._own)
