"""`twistd xiaozhi`: the one place that sees everything, and puts it together."""

# The reactor must be ours before anything imports another.
from xiaozhi._reactor import install

install(fast=True)

import os  # noqa: E402
import platform  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from datetime import datetime  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import attrs  # noqa: E402
import msgspec  # noqa: E402
from twisted.application.service import IService, MultiService  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.internet.interfaces import IProtocolFactory  # noqa: E402
from twisted.python import usage  # noqa: E402
from twisted.web.resource import Resource  # noqa: E402

from xiaozhi import __version__  # noqa: E402
from xiaozhi import config as configuration  # noqa: E402
from xiaozhi.announcement import Announcement, Lineup  # noqa: E402
from xiaozhi.endpointing import Limits  # noqa: E402
from xiaozhi.errors import ConfigError, Unavailable  # noqa: E402
from xiaozhi.factory import DeviceFactory, Doors, House  # noqa: E402
from xiaozhi.idling import Patience  # noqa: E402
from xiaozhi.limits import Crowd  # noqa: E402
from xiaozhi.modes.chat import Chat  # noqa: E402
from xiaozhi.phrases import everything  # noqa: E402
from xiaozhi.presence import Presence  # noqa: E402
from xiaozhi.services import engine  # noqa: E402
from xiaozhi.services.asr import Recognition  # noqa: E402
from xiaozhi.services.auth import make_gate  # noqa: E402
from xiaozhi.services.counters import Counters  # noqa: E402
from xiaozhi.services.devices import Devices  # noqa: E402
from xiaozhi.services.journal import Journal  # noqa: E402
from xiaozhi.services.lag import Lag  # noqa: E402
from xiaozhi.services.llm import Minds  # noqa: E402
from xiaozhi.services.logs import Log  # noqa: E402
from xiaozhi.services.logs.masking import secrets_in  # noqa: E402
from xiaozhi.services.logs.twistd import Logged, make_log  # noqa: E402
from xiaozhi.services.pool import Workers  # noqa: E402
from xiaozhi.services.prompts import Line, Maker, Prompts, Shelf  # noqa: E402
from xiaozhi.services.roster import Roster  # noqa: E402
from xiaozhi.services.store import Store  # noqa: E402
from xiaozhi.services.tts import Speaker, Speech, espeak  # noqa: E402
from xiaozhi.services.web.address import public  # noqa: E402
from xiaozhi.services.web.health import Alive, Condition, Ready  # noqa: E402
from xiaozhi.services.web.listening import Listening  # noqa: E402
from xiaozhi.services.web.metrics import Metrics  # noqa: E402
from xiaozhi.services.web.ota import Offer  # noqa: E402
from xiaozhi.services.web.proxies import Proxies  # noqa: E402
from xiaozhi.services.web.site import site  # noqa: E402
from xiaozhi.services.web.tls import Certificates  # noqa: E402
from xiaozhi.session import Staff  # noqa: E402
from xiaozhi.settings import Chosen, Config  # noqa: E402
from xiaozhi.settings import Listen as ListenSettings  # noqa: E402
from xiaozhi.settings import Server as ServerSettings  # noqa: E402
from xiaozhi.turn import Manners  # noqa: E402
from xiaozhi.visit import Terms  # noqa: E402
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
        log = make_log(config.log, set(secrets_in(config)), owner, sys.stdout)
        server = build(config, config.language(environ), state, reactor, path, log)
        # Now, while whoever started us still reads what we say, and before twistd forks.
        for service in server:
            if isinstance(service, Listening):
                service.bind()
    except ConfigError as error:
        raise SystemExit(f"xiaozhi: the configuration is wrong:\n{error}") from None
    except (OSError, Unavailable) as error:
        raise SystemExit(f"xiaozhi: {error}") from None
    whole = Logged(log, reactor)
    server.setServiceParent(whole)
    return whole


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
    config: Config,
    language: str,
    state: Path,
    clock: Any,
    path: Path | None = None,
    log: Log | None = None,
) -> MultiService:
    """Put the server together, to run on the reactor `clock`."""
    server = MultiService()
    counters = Counters()
    store = Store(clock, config.store.url or state / "xiaozhi.db")
    store.setServiceParent(server)  # first to start, and last to stop
    journal = Journal(state / "journal", store, counters, clock)
    journal.setServiceParent(server)
    builder = _Builder(server, config, language, state, clock, counters)
    recognition = Recognition(builder.engines("asr", config.asr), clock)
    minds = Minds(builder.engines("llm", config.llm), clock)
    voices = builder.engines("tts", config.tts)
    speech = Speech(voices, clock)
    (vad, detector), *_ = builder.engines("vad", config.vad, required=True)
    # An answer has one piece at the encoder, so that none is refused however many there are.
    audio = builder.workers("audio", config.server.max_connections)
    prompts = builder.prompts(voices, audio)
    devices = Devices()
    rosters: Sequence[Roster[Any]] = (recognition, minds, speech)
    for roster in rosters:
        roster.measure(counters)

    def warm() -> None:
        for engines in rosters:
            engines.warm()

    staff = Staff(
        recognition,
        Chat(minds, config.assistant, _now),
        lambda: Voice(speech, audio, config.audio, prompts.get),
        warm,
        AudioParams("opus", config.audio.sample_rate, 1, config.audio.frame_duration),
        language,
        config.end_prompt.prompt,
        counters,
    )
    house = House(
        staff,
        detector,
        _limits(config.listen),
        _manners(config),
        devices,
        _terms(config, counters, clock, store, journal),
    )
    proxies = Proxies(config.server.trusted_proxies)
    gate = make_gate(config.auth, proxies, counters, builder.workshop("auth"), time.time)
    crowd = Crowd(config.server.max_connections, config.server.max_connections_per_address)
    factory = DeviceFactory(house, gate, clock, crowd)
    address = public(config.server.public_url)
    conditions: dict[str, Condition] = {roster.stage: partial(_lacks, roster) for roster in rosters}
    pages = _pages(config.metrics.open_to, counters, conditions)
    doors = site(factory, Offer(address, config.audio.framing, _now, proxies), devices, pages)
    listening = _listening(config.server, doors, clock, counters)
    conditions["port"] = lambda: "" if listening[0].accepting else "nobody is let in"
    _tell_of_itself(counters, log)
    lineup = Lineup(vad, recognition.lineup, minds.lineup, speech.lineup)
    services: Sequence[Any] = (
        *rosters,
        prompts,
        gate,
        Lag(counters, clock),
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
    counters: Counters
    lacking: dict[str, list[str]] = attrs.field(factory=dict)
    """The engines that cannot be had, by reason."""

    def workers(self, kind: str, queue: int = 64) -> Workers:
        """Make the thread pool of one kind of work; so many calls may wait for a thread."""
        pool = Workers(self.clock, kind, self.config.server.threadpool_max_workers, queue)
        pool.setServiceParent(self.server)
        pool.measure(self.counters)
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


def _pages(
    networks: Sequence[str], counters: Counters, conditions: Mapping[str, Condition]
) -> dict[str, Resource]:
    """Make the pages for whoever runs the server."""
    return {
        "healthz": Alive(networks),
        "readyz": Ready(networks, conditions),
        "metrics": Metrics(networks, counters),
    }


def _lacks(roster: Roster[Any]) -> str:
    return "" if roster.able else f"no {roster.title} can serve now"


def _tell_of_itself(counters: Counters, log: Log | None) -> None:
    """Have the metrics tell what runs, and how its log does."""
    running = {"version": __version__, "python": platform.python_version()}
    counters.gauge("build_info", lambda: 1, **running)
    if log is not None:
        counters.gauge("log_lost", lambda: log.sink.lost)


def _listening(
    server: ServerSettings, doors: IProtocolFactory, clock: Any, counters: Counters
) -> list[Listening]:
    """Make what listens: the port, by TLS if there is a certificate, and perhaps one without."""
    files = server.tls.files()
    certificates = None if files is None else Certificates(*files, clock)
    if certificates is not None:
        counters.gauge("tls_expiry_timestamp_seconds", lambda: certificates.expires)
    listening = [Listening(clock, doors, server.ip, server.port, certificates)]
    if server.http_port is not None:
        listening.append(Listening(clock, doors, server.ip, server.http_port))
    return listening


def _limits(listen: ListenSettings) -> Limits:
    return Limits(
        silence=listen.silence_ms / 1000,
        pause=listen.pause_ms / 1000,
        fallback=listen.vad_fallback_ms / 1000,
        manual_fallback=listen.manual_listen_fallback_ms / 1000,
        longest=float(listen.max_utterance_s),
    )


def _manners(config: Config) -> Manners:
    return Manners(
        wakeup_words=config.listen.wakeup_words,
        greets=config.listen.enable_greeting,
        farewell=config.end_prompt.enable,
    )


def _terms(config: Config, counters: Counters, clock: Any, store: Store, journal: Journal) -> Terms:
    return Terms(
        presence=Presence(store, config.server.max_devices, counters, clock, time.time),
        counters=counters,
        wall=time.time,
        remember=journal.add,
        patience=Patience(
            voice=config.idle.close_connection_no_voice_time,
            grace=config.idle.idle_close_grace_seconds,
            dialog=config.idle.dialog_idle_timeout_ms / 1000,
        ),
        rate=config.server.max_messages_per_second,
    )


def _now() -> datetime:
    return datetime.now().astimezone()
