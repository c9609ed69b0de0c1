"""Who serves the sessions: lists of engines, and what the server says itself.

What did not change with the settings stays as it is: an engine whose settings are the same is
the same, with its model in memory. Turns under way end with whom they began; the next ones have
the new.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import attrs
import msgspec
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import Logger

from xiaozhi.announcement import Lineup
from xiaozhi.choices import Wish
from xiaozhi.conversation import KeepRole, Recall, Talk, keep_nothing, know_nothing
from xiaozhi.doubts import unfulfilled, wishes
from xiaozhi.engines import Engines, Made, now
from xiaozhi.errors import Unavailable
from xiaozhi.messages import AudioParams
from xiaozhi.modes.chat import Chat
from xiaozhi.phrases import everything
from xiaozhi.preferences import Preferences
from xiaozhi.services import engine, tts
from xiaozhi.services.asr import Recognition
from xiaozhi.services.llm import Minds, Preferring
from xiaozhi.services.llm.writing import write
from xiaozhi.services.prompts import Line, Maker, Prompts, Shelf
from xiaozhi.services.roster import Roster
from xiaozhi.services.tts import Speaker, Speech, espeak
from xiaozhi.services.vad import Detector
from xiaozhi.session import Staff
from xiaozhi.settings import Audio, Config, Role
from xiaozhi.toolbox import See
from xiaozhi.tooling import Source
from xiaozhi.tools.kits import Kits
from xiaozhi.voice import Solo, Voice

SETTLING: Final = 30.0
"""Seconds that engines have to load until they are asked all the same: others stand in."""


@attrs.frozen
class Resources:
    """What helps to answer and is no engine of a list."""

    sources: Sequence[Source] = ()
    """Where tools come from, besides those of the house and of the device."""
    see: See | None = None
    recall: Recall = know_nothing
    keep_role: KeepRole = keep_nothing


class Staffing:
    """Makes the staff of sessions, out of the engines there are."""

    log = Logger()

    def __init__(self, engines: Engines, made: Made, resources: Resources) -> None:
        """Begin with what was `made`, by `engines`."""
        clock, counters = engines.clock, engines.counters
        self.recognition = Recognition(made.named("asr"), clock)
        self.minds = Minds(made.named("llm"), clock)
        self.speech = Speech(made.named("tts"), clock)
        self._models = Preferences(self.minds, engines.standby)
        self._voices = Preferences(self.speech, engines.standby)
        self.kits = Kits([kit for _, kit in made.engines["tools"]])
        self._resources = attrs.evolve(resources, sources=(self.kits, *resources.sources))
        self._engines = engines
        self._made = engines.here = made
        self._audio = engines.workers("audio")
        self._allow(made)
        self._prompts = self._new_prompts()
        self._prefer(made)
        for roster in self.rosters:
            roster.measure(counters)
        for service in (*self.rosters, self.kits, self._prompts):
            service.setServiceParent(engines.tree)

    @property
    def rosters(self) -> Sequence[Roster[Any]]:
        """The lists of engines."""
        return self.recognition, self.minds, self.speech

    @property
    def detector(self) -> Detector:
        """The voice detector."""
        ((_, detector), *_) = self._made.named("vad")
        return detector  # type: ignore[no-any-return]

    @property
    def lineup(self) -> Lineup:
        """The engines there are."""
        lists = self.recognition.lineup, self.minds.lineup, self.speech.lineup
        return Lineup(self._made.named("vad")[0][0], *lists)

    def settled(self) -> Deferred[None]:
        """Wait until the engines are as ready as they will be for now; not for ever."""
        return self._soon(roster.settled() for roster in self.rosters)

    def _soon(self, waits: Iterable[Deferred[None]]) -> Deferred[None]:
        waiting = DeferredList(list(waits), consumeErrors=True)
        waiting.addTimeout(SETTLING, self._engines.clock, onTimeoutCancel=lambda *_: None)
        return waiting.addCallback(lambda _: None)

    # -- when the settings change --

    async def welcome(self, made: Made) -> None:
        """Let the new engines load, but not for ever."""
        for roster in self.rosters:
            for _, one in made.engines[roster.stage]:
                roster.house(one)
        before = {id(one) for pairs in self._made.engines.values() for _, one in pairs}
        new = [one for pairs in made.engines.values() for _, one in pairs if id(one) not in before]
        await self._soon(one.settled() for one in new if hasattr(one, "settled"))

    def replace(self, made: Made) -> None:
        """Go on with what was `made`; prompts are made by the new voices."""
        before, self._made = self._made.config, made
        self._engines.here = made
        self.recognition.replace(made.named("asr"))
        self._prefer(made)
        self.kits.replace([kit for _, kit in made.engines["tools"]])
        self._allow(made)
        if (before.audio, before.tts) != (made.config.audio, made.config.tts):
            self._prompts.disownServiceParent()
            self._prompts = self._new_prompts()
            self._prompts.setServiceParent(self._engines.tree)

    def _prefer(self, made: Made) -> None:
        """Go on with the models and voices of the settings, those some prefer among them."""
        for doubt in unfulfilled(made.config):
            self.log.warn("{doubt}", doubt=doubt)
        wanted = list(wishes(made.config))
        models = [wish for kind, _, wish in wanted if kind == "llm"]
        voices = [wish for kind, _, wish in wanted if kind == "tts"]
        self._models.replace(made.engines["llm"], models)
        self._voices.replace(made.engines["tts"], voices)

    def _allow(self, made: Made) -> None:
        """Let as many answers wait at the encoder as there may be: each has one piece there."""
        self._audio.queue = made.config.server.max_connections

    # -- what a session is served by --

    def staff(self, sound: AudioParams | None = None) -> Staff:
        """Make the staff of a session that was promised `sound`; the usual, if none was yet."""
        config, prompts = self._made.config, self._prompts
        audio = config.audio
        if sound is None:
            sound = AudioParams("opus", audio.sample_rate, 1, audio.frame_duration)
        audio = msgspec.structs.replace(
            audio, sample_rate=sound.sample_rate, frame_duration=sound.frame_duration
        )
        kept = prompts.get if audio == config.audio else _nothing
        return Staff(
            self.recognition,
            self._talk(config),
            lambda role: self._voice(role, audio, kept),
            self._warm,
            sound,
            config.end_prompt.prompt,
            config.listen.enable_stt_message,
            self._engines.counters,
        )

    def _talk(self, config: Config) -> Talk:
        """Tell what talks are made with."""
        engines = self._engines
        return Talk(
            Chat(self.mind, config.assistant, now, engines.clock),
            engines.language,
            self._resources.sources,
            config.listen.exit_commands,
            self._resources.see,
            self._resources.recall,
            self._resources.keep_role,
            lambda *asked: write(self.mind("memory"), *asked),
            engines.counters,
        )

    def mind(self, purpose: str, wish: Wish | None = None) -> Preferring:
        """Give the models for a purpose, the one that is wished for first."""
        chain = self._made.config.llm_by_mode.chain(purpose)
        return Preferring(self.minds, self._models.members([wish, *chain]))

    def _voice(
        self, role: Role | None, audio: Audio, kept: Callable[[str], Sequence[bytes]]
    ) -> Voice:
        """Make a voice; what is kept was spoken by the usual one."""
        first = self._voices.members([role.voice if role else None])
        speaking = tts.Preferring(self.speech, first)
        return Voice(speaking, self._audio, audio, kept, kept_last=bool(first))

    def _warm(self, role: Role | None) -> None:
        """Let those get ready who will be asked."""
        self.recognition.warm()
        minds = [self.mind("chat", role.model if role else None)]
        if self._made.config.assistant.intent == "intent_llm":
            minds.append(self.mind("intent"))
        for mind in minds:
            self.minds.warm(mind.first)
        self.speech.warm(self._voices.members([role.voice if role else None]))

    # -- prompts --

    def _new_prompts(self) -> Prompts:
        """Have what the server itself says made by the voices; till then by one always there."""
        sound = self._made.config.audio
        makers = [
            self._maker(chosen.name, chosen.settings, speaker, sound)
            for chosen, speaker in self._made.engines["tts"]
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
        lines = [Line(text, spoken) for text, spoken in everything(workshop.language)]
        shelf = Shelf(workshop.state / "prompts")
        return Prompts(makers, lines, shelf, workshop.pool, workshop.reactor)

    def _maker(self, name: str, settings: Any, speaker: Speaker, sound: Audio) -> Maker:
        audio = self._audio
        return Maker(
            signature=msgspec.json.encode((name, settings, sound)).decode(),
            languages=lambda: speaker.languages,
            speak=lambda text, language: Voice(Solo(speaker), audio, sound).speak(text, language),
        )


def _nothing(text: str) -> Sequence[bytes]:
    return ()
