"""`twistd xiaozhi`: the one place that sees everything, and puts it together."""

# The reactor must be ours before anything imports another.
from xiaozhi._reactor import install

install(fast=True)

import os  # noqa: E402
import signal  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from twisted.application.service import IService  # noqa: E402
from twisted.internet import reactor  # noqa: E402
from twisted.python import usage  # noqa: E402

from xiaozhi import config as configuration  # noqa: E402
from xiaozhi.announcement import Announcement  # noqa: E402
from xiaozhi.ending import Command, Ending, begun_anew  # noqa: E402
from xiaozhi.errors import ConfigError, Unavailable  # noqa: E402
from xiaozhi.factory import Doors  # noqa: E402
from xiaozhi.operating import Operator, Process  # noqa: E402
from xiaozhi.rooms import Engines, Rooms  # noqa: E402
from xiaozhi.server import Server  # noqa: E402
from xiaozhi.services.systemd import Manager, Watchdog, environment, handed  # noqa: E402
from xiaozhi.services.web.listening import Listening  # noqa: E402
from xiaozhi.services.web.site import site  # noqa: E402
from xiaozhi.settings import Config  # noqa: E402


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
        state = config.state_path(environ)
        owner: Any = getattr(options, "parent", None) or {}
        make_folder(state, owner.get("uid"), owner.get("gid"))
        # In a chroot the command would not find itself.
        command = None if owner.get("chroot") else Command.own()
        ending = Ending(command, options.pidfile, keeps=options.anew)
        server = build(config, config.language(environ), state, reactor, path, ending)
        # Now, while whoever started us still reads what we say, and before twistd forks.
        given = handed(environment(), os.getpid())
        for port in server.listening:
            port.adopt(given)
            port.bind()
        for unwanted in given:
            unwanted.socket.close()
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
    config: Config,
    language: str,
    state: Path,
    clock: Any,
    path: Path | None,
    ending: Ending,
) -> Server:
    """Put the server together, to run on the reactor `clock`."""
    manager = Manager(os.environ, os.getpid())
    server = Server(clock, config.server.shutdown_grace, ending, manager)
    engines = Engines(server, language, state, clock, config.server.threadpool_max_workers)
    operator = _operator(server, engines, clock)
    made = engines.make(config)
    rooms = Rooms(engines, made, lambda: configuration.load(path, os.environ), operator.obey)
    operator.serve(rooms, lambda: rooms.secret)
    doors = site(rooms.factory, rooms.offer, rooms.devices, server.draining)
    server.doors = Doors(rooms.factory, clock)
    server.settled = rooms.settled
    server.listening = [
        Listening(clock, doors, config.server.ip, port)
        for port in (config.server.port, config.server.http_port)
        if port is not None
    ]
    main = server.listening[0]
    for service in (
        server.doors,
        *server.listening,
        operator,
        Watchdog(manager, clock),
        Announcement(main, rooms.offer.public, rooms.lineup, made.lacking, language, path),
    ):
        service.setServiceParent(server)
    return server


def _operator(server: Server, engines: Engines, clock: Any) -> Operator:
    """Make who may stop the server, or have it begin anew."""

    def begin_anew() -> None:
        server.ending.begin_anew(server.manager.there, lambda: server.sockets)
        clock.stop()

    able = server.manager.there or server.ending.command is not None
    fixed = "" if able else "a server in a chroot cannot begin anew"
    process = Process(clock.stop, begin_anew, _on_hangup, fixed)
    return Operator(clock, engines.workers("operator"), process, server.manager)


def _on_hangup(call: Callable[[], None]) -> None:
    """Have `call` made on the reactor when SIGHUP comes."""
    core: Any = reactor
    signal.signal(signal.SIGHUP, lambda *_: core.callFromThread(call))
