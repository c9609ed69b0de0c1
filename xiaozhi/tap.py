"""`twistd xiaozhi`: the one place that sees everything, and puts it together."""

# The reactor must be ours before anything imports another.
from xiaozhi._reactor import install

install(fast=True)

import os  # noqa: E402
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from datetime import datetime  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import attrs  # noqa: E402
import msgspec  # noqa: E402
from twisted.application.service import IService, MultiService  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.python import usage  # noqa: E402

from xiaozhi import config as configuration  # noqa: E402
from xiaozhi.announcement import Announcement, Lineup  # noqa: E402
from xiaozhi.endpointing import Limits  # noqa: E402
from xiaozhi.errors import ConfigError, Unavailable  # noqa: E402
from xiaozhi.factory import DeviceFactory, Doors, House  # noqa: E402
from xiaozhi.modes.chat import Chat  # noqa: E402
from xiaozhi.phrases import everything  # noqa: E402
from xiaozhi.services import engine  # noqa: E402
from xiaozhi.services.activation import Enrolment  # noqa: E402
from xiaozhi.services.asr import Recognition  # noqa: E402
from xiaozhi.services.auth import Gate, make_gate  # noqa: E402
from xiaozhi.services.counters import Counters  # noqa: E402
from xiaozhi.services.devices import Devices  # noqa: E402
from xiaozhi.services.llm import Minds  # noqa: E402
from xiaozhi.services.pool import Workers  # noqa: E402
from xiaozhi.services.prompts import Line, Maker, Prompts, Shelf  # noqa: E402
from xiaozhi.services.store import Store  # noqa: E402
from xiaozhi.services.tts import Speaker, Speech, espeak  # noqa: E402
from xiaozhi.services.web.address import public  # noqa: E402
from xiaozhi.services.web.api import Api, Verbs  # noqa: E402
from xiaozhi.services.web.listening import Listening  # noqa: E402
from xiaozhi.services.web.operators import Operators  # noqa: E402
from xiaozhi.services.web.ota import Offer  # noqa: E402
from xiaozhi.services.web.proxies import Proxies  # noqa: E402
from xiaozhi.services.web.site import site  # noqa: E402
from xiaozhi.session import Staff  # noqa: E402
from xiaozhi.settings import Chosen, Config  # noqa: E402
from xiaozhi.settings import Listen as ListenSettings  # noqa: E402
from xiaozhi.turn import Manners  # noqa: E402
from xiaozhi.voice import Solo, Voice  # noqa: E402
from xiaozhi.wire import AudioParams  # noqa: E402


class Options(usage.Options):
    """What can be said on the command line after `twistd xiaozhi`."""

    optParameters = [["config", "c", None, "The configuration file (see `xiaozhi init`)."]]


def makeService(options: Mapping[str, Any]) -> IService:
    """Build the server. What keeps it from starting is said, and ends the command with 1."""
    environ = os.environ
    try:
        path = configuration.locate(options["config"], environ, Path.cwd())
        config = configuration.load(path, environ)
        state = config.state_path(environ)
        owner = getattr(options, "parent", None) or {}
        make_folder(state, owner.get("uid"), owner.get("gid"))
        server = build(config, config.language(environ), state, reactor, path)
        # Now, while whoever started us still reads what we say, and before twistd forks.
        for service in server:
            if isinstance(service, Listening):
                service.bind()
    except ConfigError as error:
        raise SystemExit(f"xiaozhi: the configuration is wrong:\n{error}") from None
    except (OSError, Unavailable) as error:
        raise SystemExit(f"xiaozhi: {error}") from None
    return server


def make_folder(state: Path, uid: int | None, gid: int | None) -> None:
    """Make the state folder, for the user the server will run as."""
    if state.is_dir():
        return
    try:
        state.mkdir(parents=True, mode=0o750)
        if uid is not None or gid is not None:
            os.chown(state, -1 if uid is None else uid, -1 if gid is None else gid)
    except OSError as error:
        raise OSError(
            f"the folder for what the server keeps cannot be made: {state}: {error.strerror}"
            " (server.state, XDG_STATE_HOME or STATE_DIRECTORY name another)"
        ) from error


def build(
    config: Config, language: str, state: Path, clock: Any, path: Path | None = None
) -> MultiService:
    """Put the server together, to run on the reactor `clock`."""
    server = MultiService()
    store = Store(clock, config.store.url or state / "xiaozhi.db")
    store.setServiceParent(server)  # first to start, and last to stop
    builder = _Builder(server, config, language, state, clock)
    recognition = Recognition(builder.engines("asr", config.asr), clock)
    minds = Minds(builder.engines("llm", config.llm), clock)
    voices = builder.engines("tts", config.tts)
    speech = Speech(voices, clock)
    (vad, detector), *_ = builder.engines("vad", config.vad, required=True)
    # An answer has one piece at the encoder, so that none is refused however many there are.
    audio = builder.workers("audio", config.server.max_connections)
    prompts = builder.prompts(voices, audio)
    devices = Devices()

    def warm() -> None:
        for engines in (recognition, minds, speech):
            engines.warm()

    staff = Staff(
        recognition,
        Chat(minds, config.assistant, _now),
        lambda: Voice(speech, audio, config.audio, prompts.get),
        warm,
        AudioParams("opus", config.audio.sample_rate, 1, config.audio.frame_duration),
        language,
    )
    house = House(staff, detector, _limits(config.listen), _manners(config.listen), devices)
    proxies = Proxies(config.server.trusted_proxies)
    counters = Counters()
    gate = make_gate(config.auth, proxies, counters, builder.workshop("auth"), time.time, store)
    enrolment = _enrolment(config, store, gate, clock)
    operators = Operators(store, proxies, counters, clock)
    pages = {"api": Api(operators, Verbs(store, enrolment, time.time))}
    factory = DeviceFactory(house, gate, clock, config.server.max_connections)
    address = public(config.server.public_url)
    offer = Offer(address, config.audio.framing, _now, proxies, language)
    doors = site(factory, offer, devices, enrolment, pages)
    listening = [
        Listening(clock, doors, config.server.ip, port)
        for port in (config.server.port, config.server.http_port)
        if port is not None
    ]
    lineup = Lineup(vad, recognition.lineup, minds.lineup, speech.lineup)
    services: Sequence[Any] = (
        recognition,
        minds,
        speech,
        prompts,
        gate,
        Doors(factory, clock),
        *listening,
        Announcement(listening[0], address, lineup, builder.lacking, language, path),
    )
    for service in services:
        service.setServiceParent(server)
    return server


@attrs.define
class _Builder:
    """Makes the engines of each kind, and notes those that cannot be had."""

    server: MultiService
    config: Config
    language: str
    state: Path
    clock: Any
    lacking: dict[str, list[str]] = attrs.field(factory=dict)
    """The engines that cannot be had, by reason."""

    def workers(self, kind: str, queue: int = 64) -> Workers:
        """Make the thread pool of one kind of work; so many calls may wait for a thread."""
        pool = Workers(self.clock, kind, self.config.server.threadpool_max_workers, queue)
        pool.setServiceParent(self.server)
        return pool

    def workshop(self, kind: str) -> engine.Workshop:
        """Tell what those of one `kind` may use of the house."""
        return engine.Workshop(self.clock, self.workers(kind), self.state, self.language)

    def engines(
        self, kind: str, wanted: Sequence[Chosen], required: bool = False
    ) -> list[tuple[str, Any]]:
        """Make the `wanted` engines that can be had, in order."""
        workshop = self.workshop(kind)
        made = []
        for chosen in wanted:
            try:
                made.append(
                    (chosen.name, engine.make(kind, chosen.name, chosen.settings, workshop))
                )
            except Unavailable as error:
                self.lacking.setdefault(error.said(self.language), []).append(
                    f"{kind}.{chosen.name}"
                )
        if required and not made:
            raise Unavailable(f"{kind}: {'; '.join(self.lacking)}")
        return made

    def prompts(self, voices: Sequence[tuple[str, Speaker]], audio: Workers) -> Prompts:
        """Have what the server itself says made by `voices`; till then by one always there."""
        settings = {chosen.name: chosen.settings for chosen in self.config.tts}
        makers = [self._maker(name, settings[name], speaker, audio) for name, speaker in voices]
        workers = self.workers("prompts")
        workshop = engine.Workshop(self.clock, workers, self.state, self.language)
        try:
            resort = engine.make("tts", "espeak", espeak.Settings(), workshop)
        except Unavailable:
            pass  # the voices that were asked for have to do
        else:
            makers.append(
                attrs.evolve(self._maker("", espeak.Settings(), resort, audio), lasting=False)
            )
        lines = [Line(text, language) for text, language in everything(self.language)]
        return Prompts(makers, lines, Shelf(self.state / "prompts"), workers, self.clock)

    def _maker(self, name: str, settings: Any, speaker: Speaker, audio: Workers) -> Maker:
        sound = self.config.audio
        return Maker(
            signature=msgspec.json.encode((name, settings, sound)).decode(),
            languages=lambda: speaker.languages,
            speak=lambda text, language: Voice(Solo(speaker), audio, sound).speak(text, language),
        )


def _enrolment(config: Config, store: Store, gate: Gate, clock: Any) -> Enrolment:
    most = config.server.max_devices
    return Enrolment(store, gate.mint, config.auth, config.activation, most, clock, time.time)


def _limits(listen: ListenSettings) -> Limits:
    return Limits(
        silence=listen.silence_ms / 1000,
        pause=listen.pause_ms / 1000,
        fallback=listen.vad_fallback_ms / 1000,
        manual_fallback=listen.manual_listen_fallback_ms / 1000,
        longest=float(listen.max_utterance_s),
    )


def _manners(listen: ListenSettings) -> Manners:
    return Manners(wakeup_words=listen.wakeup_words, greets=listen.enable_greeting)


def _now() -> datetime:
    return datetime.now().astimezone()
