"""`twistd xiaozhi`: the one place that sees everything, and puts it together."""

# The reactor must be ours before anything imports another.
from xiaozhi._reactor import install

install(fast=True)

import os  # noqa: E402
import platform  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from functools import partial  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import attrs  # noqa: E402
from twisted.application.service import IService, MultiService  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.internet.interfaces import IProtocolFactory  # noqa: E402
from twisted.python import usage  # noqa: E402

from xiaozhi import __version__  # noqa: E402
from xiaozhi import config as configuration  # noqa: E402
from xiaozhi.announcement import Announcement  # noqa: E402
from xiaozhi.doubts import unnamed  # noqa: E402
from xiaozhi.ending import Command, Ending, begun_anew  # noqa: E402
from xiaozhi.engines import Engines, now  # noqa: E402
from xiaozhi.errors import ConfigError, Unavailable  # noqa: E402
from xiaozhi.factory import Doors  # noqa: E402
from xiaozhi.hosting import Server as ServerSettings  # noqa: E402
from xiaozhi.languages import of_environment  # noqa: E402
from xiaozhi.limits import Crowd  # noqa: E402
from xiaozhi.mistakes import why, words  # noqa: E402
from xiaozhi.operating import Operator, Process  # noqa: E402
from xiaozhi.presence import Presence  # noqa: E402
from xiaozhi.rooms import Rooms, Walls  # noqa: E402
from xiaozhi.server import Parts, Server  # noqa: E402
from xiaozhi.services.auth.refusals import Refusals  # noqa: E402
from xiaozhi.services.counters import Counters  # noqa: E402
from xiaozhi.services.devices import Devices  # noqa: E402
from xiaozhi.services.journal import Journal  # noqa: E402
from xiaozhi.services.lag import Lag  # noqa: E402
from xiaozhi.services.learning import Learning  # noqa: E402
from xiaozhi.services.llm.writing import write  # noqa: E402
from xiaozhi.services.logs import Log  # noqa: E402
from xiaozhi.services.logs.masking import secrets_in  # noqa: E402
from xiaozhi.services.logs.twistd import Logged, make_log  # noqa: E402
from xiaozhi.services.memory import Desk, Memories, Thinking  # noqa: E402
from xiaozhi.services.reminders import Reminders  # noqa: E402
from xiaozhi.services.roster import Roster  # noqa: E402
from xiaozhi.services.store import Store  # noqa: E402
from xiaozhi.services.systemd import Manager, Watchdog, environment, handed  # noqa: E402
from xiaozhi.services.web.api import Api, Means  # noqa: E402
from xiaozhi.services.web.health import Alive, Condition, Ready  # noqa: E402
from xiaozhi.services.web.listening import Listening  # noqa: E402
from xiaozhi.services.web.mcp import Endpoint, McpPages  # noqa: E402
from xiaozhi.services.web.metrics import Metrics  # noqa: E402
from xiaozhi.services.web.operators import Operators  # noqa: E402
from xiaozhi.services.web.proxies import Proxies  # noqa: E402
from xiaozhi.services.web.site import site  # noqa: E402
from xiaozhi.services.web.tls import certificates  # noqa: E402
from xiaozhi.services.web.vision import PATH as PHOTOS  # noqa: E402
from xiaozhi.settings import Config  # noqa: E402
from xiaozhi.tools import Room  # noqa: E402


class Options(usage.Options):
    """What can be said on the command line after `twistd xiaozhi`."""

    optParameters = [["config", "c", None, "The configuration file (see `xiaozhi init`)."]]

    def postOptions(self) -> None:
        """Note what twistd knows; go on as what this process is, if the server begins anew."""
        twistd: Any = getattr(self, "parent", None) or {}
        self.pidfile = twistd.get("pidfile") or ""
        self.anew = begun_anew(os.environ, os.getpid())
        if self.anew:
            # It is a daemon already, if it was one, and the user it was to become; its pidfile
            # says the truth.
            if not twistd["nodaemon"] and not twistd["logfile"]:
                twistd["logfile"] = "twistd.log"
            twistd.update({"nodaemon": True, "uid": None, "gid": None, "pidfile": ""})


def makeService(options: Options) -> IService:
    """Build the server. What keeps it from starting is said, and ends the command with 1."""
    environ = os.environ
    try:
        path = configuration.locate(options["config"], environ, Path.cwd())
        config = configuration.load(path, environ)
        owner: Any = getattr(options, "parent", None) or {}
        make_folder(config.state_path(environ), owner.get("uid"), owner.get("gid"))
        log = make_log(config.log, set(secrets_in(config)), owner, sys.stdout)
        # In a chroot the command would not find itself.
        command = None if owner.get("chroot") else Command.own()
        ending = Ending(command, options.pidfile, keeps=options.anew)
        server = build(config, path, reactor, ending, log)
        # Now, while whoever started us still reads what we say, and before twistd forks.
        given = handed(environment(), os.getpid())
        for port in server.listening:
            port.adopt(given)
            port.bind()
        for unwanted in given:
            unwanted.socket.close()
    except ConfigError as error:
        told = words("wrong", why=error).said(of_environment(environ))
        raise SystemExit(f"xiaozhi: {told}") from None
    except (OSError, Unavailable) as error:
        raise SystemExit(f"xiaozhi: {why(error).said(of_environment(environ))}") from None
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


@attrs.frozen
class Kept:
    """What outlives the server, and who keeps it."""

    store: Store
    journal: Journal
    memories: Memories
    reminders: Reminders


def build(
    config: Config, path: Path | None, clock: Any, ending: Ending, log: Log | None = None
) -> Server:
    """Put the server together, as the `config` of the file `path` says, for the reactor `clock`."""
    settings, tree, counters = config.server, MultiService(), Counters()
    state, language = config.state_path(os.environ), config.language(os.environ)
    kept = _keep(tree, config.store.url or state / "xiaozhi.db", state, clock, counters)
    manager = Manager(os.environ, os.getpid())
    engines = Engines(tree, language, state, clock, counters, settings.threadpool_max_workers)
    _furnish(engines, kept, lambda *asked: write(rooms.staffing.mind("memory"), *asked))
    operator = Operator(clock, engines.workers("operator"), manager, counters)
    crowd = Crowd(settings.max_connections, settings.max_connections_per_address)
    conditions: dict[str, Condition] = {}
    walls = Walls(
        kept.store,
        Presence(kept.store, settings.max_devices, counters, clock, time.time),
        kept.journal.add,
        operator.obey,
        crowd,
        Devices(),
        {
            "healthz": Alive(config.metrics.open_to),
            "readyz": Ready(config.metrics.open_to, conditions),
            "metrics": Metrics(config.metrics.open_to, counters),
        },
        log,
        kept.reminders,
        kept.memories,
    )
    rooms = Rooms(walls, engines, config, partial(configuration.load, path, os.environ))
    spoken = _site(rooms, walls, kept, clock, counters)
    listening, doors = _listening(settings, spoken, clock, counters), Doors(rooms.factory, clock)
    conditions.update(_conditions(rooms.staffing.rosters, listening[0], crowd))
    parts = Parts(tree, listening, doors, kept.journal, rooms.staffing.settled)
    operator.serve(rooms, _process(parts, ending, manager, clock))
    _tell_of_itself(counters, log)
    lineup, lacking = rooms.staffing.lineup, rooms.made.lacking
    for service in (
        Lag(counters, clock),
        doors,
        *listening,
        operator,
        Watchdog(manager, clock),
        Announcement(
            *(listening[0], rooms.offer.public, lineup, lacking, language, path),
            unnamed(config),
        ),
    ):
        service.setServiceParent(tree)
    cause = partial(_cause, clock, ending)
    return Server(parts, clock, settings.shutdown_grace, ending, manager, cause)


def _keep(
    tree: MultiService, database: str | Path, state: Path, clock: Any, counters: Counters
) -> Kept:
    """Make what outlives the server: in the `tree` the first to start, and the last to stop."""
    store = Store(clock, database)
    journal = Journal(state / "journal", store, counters, clock)
    memories = Memories(clock, store, journal.moved)
    learning = Learning(memories, store, clock, time.time)
    journal.stored = learning.stir
    reminders = Reminders(store, clock, time.time)
    for first in (store, journal, memories, learning, reminders):
        first.setServiceParent(tree)
    return Kept(store, journal, memories, reminders)


def _furnish(engines: Engines, kept: Kept, think: Thinking) -> None:
    """Give the engines that need more than a workshop what they need."""
    engines.desks["memory"] = lambda usual: Desk(
        **attrs.asdict(usual, recurse=False), store=kept.store, think=think, now=time.time
    )
    engines.desks["tools"] = lambda usual: Room(
        **attrs.asdict(usual, recurse=False),
        store=kept.store,
        now=now,
        memories=kept.memories,
        reminders=kept.reminders,
    )


def _site(
    rooms: Rooms, walls: Walls, kept: Kept, clock: Any, counters: Counters
) -> IProtocolFactory:
    """Make what speaks on a connection: the devices' WebSocket, and all the pages."""
    means = Means(
        kept.store,
        rooms.enrolment,
        time.time,
        walls.presence.send_away,
        servers=rooms.mcp,
        hands=walls.presence.tools,
        remembered=kept.memories,
        interrupt=walls.presence.forget,
    )

    def proxies() -> Proxies:
        return rooms.offer.proxies

    guests = Endpoint(rooms.mcp, kept.store, walls.crowd, counters, Refusals(clock), proxies)
    pages = {
        **walls.pages,
        "api": Api(Operators(kept.store, proxies, counters, clock), means),
        "mcp": McpPages(guests),
        PHOTOS: rooms.photos,
    }
    return site(
        rooms.factory,
        rooms.offer,
        walls.devices,
        rooms.enrolment,
        pages,
        walls.crowd.most,
        lambda limit: counters.count("connections_refused", reason=limit),
        {f"/{PHOTOS}": rooms.photos.allows},
    )


def _listening(
    settings: ServerSettings, doors: IProtocolFactory, clock: Any, counters: Counters
) -> list[Listening]:
    """Make what listens: the port, by TLS if there is a certificate, and perhaps one without."""
    secured = certificates(settings.tls, clock)
    if secured is not None:
        counters.gauge("tls_expiry_timestamp_seconds", lambda: secured.expires)
    listening = [Listening(clock, doors, settings.ip, settings.port, secured)]
    if settings.http_port is not None:
        listening.append(Listening(clock, doors, settings.ip, settings.http_port))
    return listening


def _conditions(
    rosters: Sequence[Roster[Any]], main: Listening, crowd: Crowd
) -> dict[str, Condition]:
    """Tell what may be in the way of new devices."""

    def lacks(roster: Roster[Any]) -> str:
        return "" if roster.able else f"no {roster.title} can serve now"

    return {
        **{roster.stage: partial(lacks, roster) for roster in rosters},
        "port": lambda: "" if main.accepting else "nobody is let in",
        "draining": lambda: "the server is stopping" if crowd.closed else "",
    }


def _process(parts: Parts, ending: Ending, manager: Manager, clock: Any) -> Process:
    """Tell what can be done with the process."""

    def begin_anew() -> None:
        ending.begin_anew(manager.there, lambda: parts.sockets)
        clock.stop()

    able = manager.there or ending.command is not None
    fixed = "" if able else "a server in a chroot cannot begin anew"
    return Process(clock.stop, begin_anew, _on_hangup, fixed)


def _cause(clock: Any, ending: Ending) -> str:
    """Tell why the server stops, when it does."""
    if ending.anew:
        return "it begins anew"
    number = clock._exitSignal  # what twistd goes by, too, to pass it on
    return "as ordered" if number is None else signal.Signals(number).name


def _on_hangup(call: Callable[[], None]) -> None:
    """Have `call` made on the reactor when SIGHUP comes."""
    core: Any = reactor
    signal.signal(signal.SIGHUP, lambda *_: core.callFromThread(call))


def _tell_of_itself(counters: Counters, log: Log | None) -> None:
    """Have the metrics tell what runs, and how its log does."""
    running = {"version": __version__, "python": platform.python_version()}
    counters.gauge("build_info", lambda: 1, **running)
    if log is not None:
        counters.gauge("log_lost", lambda: log.sink.lost)
