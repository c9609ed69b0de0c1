"""What the settings fill: engines, prompts, manners. They are filled anew when settings change.

What did not change stays as it is: an engine whose settings are the same is the same, with its
model in memory. Turns under way end with whom they began; the next ones have the new.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, DeferredList

from xiaozhi.announcement import Lineup
from xiaozhi.changes import changed
from xiaozhi.endpointing import Limits
from xiaozhi.errors import Unavailable
from xiaozhi.factory import DeviceFactory, House
from xiaozhi.modes.chat import Chat
from xiaozhi.phrases import everything
from xiaozhi.services import engine
from xiaozhi.services.asr import Recognition
from xiaozhi.services.devices import Devices
from xiaozhi.services.llm import Minds
from xiaozhi.services.pool import Workers
from xiaozhi.services.prompts import Line, Maker, Prompts, Shelf
from xiaozhi.services.tts import Speaker, Speech, espeak
from xiaozhi.services.web.address import public
from xiaozhi.services.web.ota import Offer
from xiaozhi.session import Staff
from xiaozhi.settings import Audio, Chosen, Config
from xiaozhi.settings import Listen as ListenSettings
from xiaozhi.turn import Manners
from xiaozhi.voice import Solo, Voice
from xiaozhi.wire import AudioParams, Obeyed, Order

SETTLING: Final = 30.0
"""Seconds that new engines have to load before they are asked; the old ones serve meanwhile."""


@attrs.frozen
class Made:
    """The engines of one configuration, not started."""

    config: Config
    engines: Mapping[str, Sequence[tuple[Chosen, Any]]]
    """By kind, in order."""
    lacking: Mapping[str, Sequence[str]]
    """Those that cannot be had, by reason."""

    def named(self, kind: str) -> list[tuple[str, Any]]:
        """Give the engines of a `kind` with their names."""
        return [(chosen.name, made) for chosen, made in self.engines[kind]]


@attrs.define
class Engines:
    """Makes the engines of each kind, and keeps those that are wanted again."""

    server: MultiService
    language: str
    state: Path
    clock: Any
    threads: int
    """For the blocking work of each kind."""
    here: Made | None = None
    _pools: dict[str, Workers] = attrs.field(factory=dict)

    def workers(self, kind: str) -> Workers:
        """Give the thread pool of one kind of work."""
        if kind not in self._pools:
            self._pools[kind] = Workers(self.clock, kind, self.threads)
            self._pools[kind].setServiceParent(self.server)
        return self._pools[kind]

    def workshop(self, kind: str) -> engine.Workshop:
        """Give what an engine may use of the house."""
        return engine.Workshop(self.clock, self.workers(kind), self.state, self.language)

    def make(self, config: Config) -> Made:
        """Make the engines `config` wants, in a thread if there are some already.

        Raises Unavailable if there is no voice detector.
        """
        lacking: dict[str, list[str]] = {}
        made: dict[str, list[tuple[Chosen, Any]]] = {}
        wanted: tuple[tuple[str, Sequence[Chosen]], ...] = (
            ("asr", config.asr),
            ("llm", config.llm),
            ("tts", config.tts),
            ("vad", [config.vad]),
        )
        for kind, choices in wanted:
            before = list(self.here.engines[kind]) if self.here else []
            made[kind] = []
            for chosen in choices:
                same = next((pair for pair in before if pair[0] == chosen), None)
                if same is not None:
                    before.remove(same)
                    made[kind].append(same)
                    continue
                try:
                    new = engine.make(kind, chosen.name, chosen.settings, self.workshop(kind))
                except Unavailable as error:
                    lacking.setdefault(error.said(self.language), []).append(
                        f"{kind}.{chosen.name}"
                    )
                else:
                    made[kind].append((chosen, new))
        if not made["vad"]:
            raise Unavailable(f"vad: {'; '.join(lacking)}")
        return Made(config, made, lacking)


class Rooms:
    """The house as the settings want it; a `Plan` for who changes them."""

    def __init__(
        self,
        engines: Engines,
        made: Made,
        load: Callable[[], Config],
        obey: Callable[[Order], Deferred[Obeyed]],
    ) -> None:
        """Fill it with what was `made`. `load` reads the settings again; operators are obeyed."""
        clock = engines.clock
        self.recognition = Recognition(made.named("asr"), clock)
        self.minds = Minds(made.named("llm"), clock)
        self.speech = Speech(made.named("tts"), clock)
        self.devices = Devices()
        self._engines = engines
        self._load = load
        self._obey = obey
        self._audio = engines.workers("audio")
        self._made = engines.here = made
        self._prompts = self._new_prompts()
        settings = made.config
        self.offer = Offer(public(settings.server.public_url), settings.audio.framing, _now)
        self.factory = DeviceFactory(self._house(), clock, settings.server.max_connections)
        for service in (*self._lists.values(), self._prompts):
            service.setServiceParent(engines.server)

    @property
    def secret(self) -> str:
        """What an operator's message must know."""
        return self._made.config.secret

    @property
    def lineup(self) -> Lineup:
        """The engines there are."""
        lists = self.recognition.lineup, self.minds.lineup, self.speech.lineup
        return Lineup(self._made.config.vad.name, *lists)

    def settled(self) -> Deferred[None]:
        """Wait until the engines are as ready as they will be for now."""
        return _all(roster.settled() for roster in self._lists.values())

    # -- the plan --

    def read(self) -> Made:
        """Read the settings and make the engines they want, in a thread."""
        return self._engines.make(self._load())

    async def apply(self, prepared: Made) -> Sequence[str]:
        """Go on with what was read; give the keys that are changed."""
        for kind, roster in self._lists.items():
            for _, made in prepared.engines[kind]:
                roster.house(made)
        await self._ready(prepared)
        before, self._made = self._made, prepared
        self._engines.here = prepared
        for kind, roster in self._lists.items():
            roster.replace(prepared.named(kind))
        old, new = before.config, prepared.config
        if (old.audio, old.tts) != (new.audio, new.tts):
            self._prompts.disownServiceParent()
            self._prompts = self._new_prompts()
            self._prompts.setServiceParent(self._engines.server)
        self.offer.public = public(new.server.public_url)
        self.offer.framing = new.audio.framing
        self.factory.limit(new.server.max_connections)
        self.factory.furnish(self._house(), self._staff)
        return changed(old, new)

    async def _ready(self, prepared: Made) -> None:
        """Let the new engines load, but not for ever."""
        before = {id(made) for pairs in self._made.engines.values() for _, made in pairs}
        new = [
            made for pairs in prepared.engines.values() for _, made in pairs
            if id(made) not in before
        ]  # fmt: skip
        waiting = _all(made.settled() for made in new if hasattr(made, "settled"))
        waiting.addTimeout(SETTLING, self._engines.clock, onTimeoutCancel=lambda *_: None)
        await waiting

    # -- what sessions are made with --

    @property
    def _lists(self) -> Mapping[str, Any]:
        return {"asr": self.recognition, "llm": self.minds, "tts": self.speech}

    def _house(self) -> House:
        config = self._made.config
        ((_, detector),) = self._made.named("vad")
        sound = AudioParams("opus", config.audio.sample_rate, 1, config.audio.frame_duration)
        return House(
            self._staff(sound),
            detector,
            _limits(config.listen),
            Manners(config.listen.wakeup_words, greets=config.listen.enable_greeting),
            self.devices,
        )

    def _staff(self, sound: AudioParams) -> Staff:
        """Make the staff of a session that was promised `sound`."""
        config, prompts = self._made.config, self._prompts
        audio = msgspec.structs.replace(
            config.audio, sample_rate=sound.sample_rate, frame_duration=sound.frame_duration
        )
        kept = prompts.get if audio == config.audio else _nothing
        return Staff(
            self.recognition,
            Chat(self.minds, config.assistant, _now),
            lambda: Voice(self.speech, self._audio, audio, kept),
            self._warm,
            sound,
            self._engines.language,
            self._obey,
        )

    def _warm(self) -> None:
        for engines in self._lists.values():
            engines.warm()

    # -- prompts --

    def _new_prompts(self) -> Prompts:
        """Have what the server itself says made by the voices; till then by one always there."""
        sound = self._made.config.audio
        makers = [
            self._maker(chosen.name, chosen.settings, made, sound)
            for chosen, made in self._made.engines["tts"]
        ]
        workshop = self._engines.workshop("prompts")
        try:
            resort = engine.make("tts", "espeak", espeak.Settings(), workshop)
        except Unavailable:
            pass  # the voices that were asked for have to do
        else:
            makers.append(
                attrs.evolve(self._maker("", espeak.Settings(), resort, sound), lasting=False)
            )
        language = self._engines.language
        lines = [Line(text, spoken) for text, spoken in everything(language)]
        shelf = Shelf(self._engines.state / "prompts")
        return Prompts(makers, lines, shelf, workshop.pool, self._engines.clock)

    def _maker(self, name: str, settings: Any, speaker: Speaker, sound: Audio) -> Maker:
        audio = self._audio
        return Maker(
            signature=msgspec.json.encode((name, settings, sound)).decode(),
            languages=lambda: speaker.languages,
            speak=lambda text, language: Voice(Solo(speaker), audio, sound).speak(text, language),
        )


def _all(waits: Any) -> Deferred[None]:
    waiting: Deferred[None] = DeferredList(list(waits), consumeErrors=True).addCallback(
        lambda _: None
    )
    return waiting


def _limits(listen: ListenSettings) -> Limits:
    return Limits(
        silence=listen.silence_ms / 1000,
        pause=listen.pause_ms / 1000,
        fallback=listen.vad_fallback_ms / 1000,
        manual_fallback=listen.manual_listen_fallback_ms / 1000,
        longest=float(listen.max_utterance_s),
    )


def _nothing(text: str) -> Sequence[bytes]:
    return ()


def _now() -> datetime:
    return datetime.now().astimezone()
