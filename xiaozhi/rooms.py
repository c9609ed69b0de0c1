"""The house as the settings want it: how it is furnished, and how anew while it is lived in."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

import attrs
import msgspec
from twisted.internet.defer import Deferred

from xiaozhi.changes import changed, live
from xiaozhi.conversation import know_nothing
from xiaozhi.endpointing import Limits
from xiaozhi.engines import Engines, Made, now
from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.factory import DeviceFactory, House
from xiaozhi.idling import Patience
from xiaozhi.limits import Crowd
from xiaozhi.manners import Manners
from xiaozhi.messages import Obeyed, Order
from xiaozhi.presence import Presence
from xiaozhi.services.activation import Enrolment
from xiaozhi.services.auth import Gate, make_gate
from xiaozhi.services.auth.jwt import with_key
from xiaozhi.services.auth.settings import Auth
from xiaozhi.services.devices import Devices
from xiaozhi.services.logs import Log
from xiaozhi.services.logs.masking import secrets_in
from xiaozhi.services.mcp import Servers
from xiaozhi.services.memory import Memories, Nothing
from xiaozhi.services.reminders import Reminders
from xiaozhi.services.store import SessionMemory, Store
from xiaozhi.services.vision import Vision
from xiaozhi.services.web.address import Arrival, public
from xiaozhi.services.web.guard import Guarded
from xiaozhi.services.web.ota import Offer
from xiaozhi.services.web.proxies import Proxies
from xiaozhi.services.web.tls import certificates
from xiaozhi.services.web.vision import PATH, Explain, Passes
from xiaozhi.settings import Config, Idle
from xiaozhi.settings import Listen as ListenSettings
from xiaozhi.staffing import Resources, Staffing
from xiaozhi.tooling import Picture
from xiaozhi.visit import Terms


@attrs.frozen
class Walls:
    """What stands as long as the server runs, whatever the settings come to say."""

    store: Store
    presence: Presence
    remember: Callable[[SessionMemory], None]
    """Keeps what was said in a session."""
    obey: Callable[[Order], Deferred[Obeyed]]
    """Does what an operator's message asks for."""
    crowd: Crowd
    devices: Devices
    pages: Mapping[str, Guarded]
    """Those for whoever runs the server."""
    log: Log | None
    reminders: Reminders
    memories: Memories | None = None
    """What is known of users."""

    def heed(self, config: Config) -> None:
        """Keep to other bounds from now on."""
        self.crowd.most = config.server.max_connections
        self.crowd.per_address = config.server.max_connections_per_address
        self.presence.most = config.server.max_devices
        for page in self.pages.values():
            page.open_to(config.metrics.open_to)
        if self.log is not None:
            self.log.change(config.log, set(secrets_in(config)))


@attrs.frozen
class Prepared:
    """What was made for a configuration, and is not used yet."""

    made: Made
    proxies: Proxies
    auth: Auth
    """Its part about the gate, with the key a file has."""
    gate: Gate | None
    """None if the one of before will do."""


class Rooms:
    """The house; a `Plan` for who changes the settings."""

    def __init__(
        self, walls: Walls, engines: Engines, config: Config, load: Callable[[], Config]
    ) -> None:
        """Furnish it as `config` says; `load` reads the settings again.

        Raises Unavailable if that cannot be done.
        """
        self._walls = walls
        self._engines = engines
        self._load = load
        self._first = config
        self.made = engines.make(config)
        self.mcp = Servers(engines.clock, engines.counters, engines.workers("mcp"))
        self.mcp.replace(config.mcp)
        self.mcp.setServiceParent(engines.tree)
        shop = engines.workshop("vision")
        vision = Vision(config.vision, shop)
        vision.setServiceParent(engines.tree)
        self.photos = Explain(vision, Passes(), self._language, shop.pool)
        """The page that looks at photos."""
        memories = walls.memories
        recall = know_nothing if memories is None else memories.recall
        resources = Resources((self.mcp,), self._see, recall, self._keep_role)
        self.staffing = Staffing(engines, self.made, resources)
        self._remember_by(self.made)
        proxies = Proxies(config.server.trusted_proxies)
        self._auth = with_key(config.auth)
        gate = self._gate(self._auth, proxies)
        gate.setServiceParent(engines.tree)
        address = public(config.server.public_url)
        self.offer = Offer(address, config.audio.framing, now, proxies, engines.language)
        self.enrolment = Enrolment(
            walls.store,
            gate.mint,
            config.auth,
            config.activation,
            config.server.max_devices,
            engines.clock,
            time.time,
        )
        self.enrolment.setServiceParent(engines.tree)
        self.factory = DeviceFactory(self._house(), gate, engines.clock, walls.crowd)

    @property
    def secret(self) -> str:
        """What an operator's message must know."""
        return self.made.config.secret

    # -- the plan --

    def read(self, restart: bool = False) -> Prepared:
        """Read the settings and make what they want, in a thread. What serves is not touched."""
        config, before = self._load(), self.made.config
        if restart or config.server.tls != before.server.tls:
            try:
                certificates(config.server.tls, self._engines.clock)
            except OSError as error:
                raise Unavailable(str(error)) from error
        made = self._engines.make(config)
        proxies = Proxies(config.server.trusted_proxies)
        auth = with_key(config.auth)
        same = (auth, config.server.trusted_proxies) == (
            self._auth,
            before.server.trusted_proxies,
        )
        return Prepared(made, proxies, auth, None if same else self._gate(auth, proxies))

    async def apply(self, prepared: Prepared) -> Sequence[str]:
        """Go on with what was read; give the keys that are changed.

        Those that wait for a restart are given each time, until it comes.
        """
        await self.staffing.welcome(prepared.made)
        before, self.made = self._in_effect, prepared.made
        config, self._auth = self.made.config, prepared.auth
        self.staffing.replace(self.made)
        self._remember_by(self.made)
        self._walls.heed(config)
        self.mcp.replace(config.mcp)
        if prepared.gate is not None:
            self._admit_by(prepared.gate)
        self.enrolment.heed(
            self.factory.gate.mint, config.auth, config.activation, config.server.max_devices
        )
        if config.vision != before.vision:
            self.photos.vision.heed(config.vision)
        self.offer.public = public(config.server.public_url)
        self.offer.framing = config.audio.framing
        self.offer.proxies = prepared.proxies
        await self.factory.furnish(self._house(), self.staffing.staff)
        now = [key for key in changed(before, self._in_effect) if live(key)]
        return now + [key for key in changed(self._first, config) if not live(key)]

    def _remember_by(self, made: Made) -> None:
        """Have users be remembered by the first memory that can be had, or by none."""
        if self._walls.memories is not None:
            self._walls.memories.use(next((one for _, one in made.named("memory")), Nothing()))

    def _see(self, picture: Picture, language: str) -> Deferred[str]:
        """Look at a picture that a tool gave."""
        return self.photos.vision.describe(picture, "", language)

    def _admit_by(self, gate: Gate) -> None:
        """Have another gate judge who comes from now on."""
        before, self.factory.gate = self.factory.gate, gate
        gate.setServiceParent(self._engines.tree)
        before.disownServiceParent()

    @property
    def _in_effect(self) -> Config:
        """The settings, with what stands in files they name."""
        return msgspec.structs.replace(self.made.config, auth=self._auth)

    def _gate(self, auth: Auth, proxies: Proxies) -> Gate:
        engines, store = self._engines, self._walls.store
        workshop = engines.workshop("auth")
        return make_gate(auth, proxies, engines.counters, workshop, time.time, store, store)

    # -- what visits and sessions are made with --

    def _house(self) -> House:
        config = self.made.config
        return House(
            self.staffing.staff(),
            self.staffing.detector,
            _limits(config.listen),
            Manners(
                wakeup_words=config.listen.wakeup_words,
                greets=config.listen.enable_greeting,
                farewell=config.end_prompt.enable,
            ),
            self._walls.devices,
            Terms(
                presence=self._walls.presence,
                counters=self._engines.counters,
                wall=time.time,
                remember=self._walls.remember,
                obey=self._walls.obey,
                reminders=self._walls.reminders,
                patience=_patience(config.idle),
                rate=config.server.max_messages_per_second,
            ),
            self._photos,
        )

    def _photos(self, device: str, arrival: Arrival) -> Mapping[str, str]:
        """Tell a device where its photos go, and with which token."""
        url = self.offer.address(arrival).http(f"/{PATH}")
        return {"url": url, "token": self.photos.passes.mint(device)}

    def _keep_role(self, device: str, role: str) -> None:
        """Have a device's next talk begin in a role."""
        kept = self._walls.store.keep_role(device, role)
        kept.addErrback(lambda failure: failure.trap(ServiceError))  # the store has said so

    def _language(self, device: str) -> str:
        """Tell what a connected device speaks; "" of any other."""
        guest = self._walls.presence.find(device)
        return "" if guest is None else guest.language


def _limits(listen: ListenSettings) -> Limits:
    return Limits(
        silence=listen.silence_ms / 1000,
        pause=listen.pause_ms / 1000,
        fallback=listen.vad_fallback_ms / 1000,
        manual_fallback=listen.manual_listen_fallback_ms / 1000,
        longest=float(listen.max_utterance_s),
    )


def _patience(idle: Idle) -> Patience:
    return Patience(
        voice=idle.close_connection_no_voice_time,
        grace=idle.idle_close_grace_seconds,
        dialog=idle.dialog_idle_timeout_ms / 1000,
    )
