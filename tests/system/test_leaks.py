"""Two thousand connections that break at any moment leave nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from tests.fakes import packets, silence, tone
from tests.system.instant import HELLO, Client, Server, Store, connect
from tests.websocket import masked
from xiaozhi.conversation import Conversation
from xiaozhi.devicetools import DeviceTools
from xiaozhi.idling import Patience
from xiaozhi.protocol import DeviceProtocol
from xiaozhi.reply import Reply
from xiaozhi.session import Session
from xiaozhi.visit import Visit

reactor: Any = the_reactor

SESSIONS = 2000
AT_ONCE = 300
UTTERANCE = packets(tone(0.36) + silence(0.48))
KINDS = (DeviceProtocol, Visit, Session, Conversation, DeviceTools, Reply, Client)
WAYS = ("reset", "hang up", "goodbye", "garbage", "silence", "takeover")


class Leaks(TestCase):
    timeout = 100

    def act(self, client: Client) -> str:
        """Do something a device does, or a part of it."""
        heard = UTTERANCE[: random.randint(1, len(UTTERANCE))]
        auto = {"type": "listen", "state": "start", "mode": random.choice(("auto", "realtime"))}
        typed = {"type": "listen", "state": "detect", "text": "how are you"}
        acts: dict[str, list[object]] = {
            "nothing": [],
            "hello": [HELLO],
            "typed": [HELLO, typed],
            "spoken": [HELLO, auto, *UTTERANCE],
            "half spoken": [HELLO, auto, *heard],
            "by button": [
                *(HELLO, {"type": "listen", "state": "start", "mode": "manual"}, *heard),
                *({"type": "listen", "state": "stop"}, *heard[:3]),
            ],
            "woken": [HELLO, *heard, typed | {"text": "hey jarvis"}],
            "aborted": [HELLO, typed, {"type": "abort"}, auto, *heard],
            "typed later": [HELLO],
        }
        act = random.choice([*acts, "spoken", "typed", *["typed later"] * 4])
        if act == "typed later":
            client.later = [typed]
        client.say(*acts[act])
        return act

    async def one(self, number: int) -> None:
        """Connect, do something, and break at a random moment in a random way."""
        client = await connect(self.port, f"device-{number}")
        act = self.act(client)
        await deferLater(reactor, random.choice((0, random.uniform(0, 0.4), random.uniform(0, 1))))
        way = random.choices(WAYS, (8, 3, 3, 2, 1, 1))[0]
        if way == "silence" and (act == "nothing" or client.silent):
            way = "reset"  # nobody waits half a minute for its hello, or for its answer
        client.obliging = True
        self.ways[way] += 1
        match way:
            case "reset":
                client.wire.abortConnection()
            case "hang up":
                client.wire.loseConnection()
            case "goodbye":
                client.wire.write(masked(8, b"\x03\xe8"))
            case "garbage":
                client.say(*[[]] * 10)
            case "takeover":
                newer = await connect(self.port, f"device-{number}")
                newer.say(HELLO, *([] if number % 2 else [{"type": "listen", "state": "start"}]))
                if act == "nothing":
                    client.wire.abortConnection()  # it has no route that could be taken
                await client.lost
                newer.wire.abortConnection()
                await newer.lost
        await client.lost

    async def many(self, count: int) -> None:
        """Break so many connections, some at a time."""
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                await self.one(number)

        done = await DeferredList(
            [Deferred.fromCoroutine(some()) for _ in range(AT_ONCE)], consumeErrors=True
        )
        outcomes: list[tuple[bool, Any]] = done
        for good, result in outcomes:
            if not good:
                result.raiseException()

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition()` holds."""
        deadline = reactor.seconds() + 10
        while not condition():
            self.assertLess(
                reactor.seconds(), deadline, (self.account(), reactor.getDelayedCalls())
            )
            await deferLater(reactor, 0.05)

    def account(self) -> dict[str, object]:
        """Count what a process has of everything a connection could leave behind."""
        gc.collect()
        kinds = Counter(type(thing) for thing in gc.get_objects())
        return {
            "calls": len(reactor.getDelayedCalls()),
            "descriptors": len(os.listdir("/proc/self/fd")),
            "tasks": len(asyncio.all_tasks(reactor._asyncioEventloop)),
            "objects": [kinds[kind] for kind in KINDS],
            "tools": self.hands.at_work.total(),
            "sessions": len(self.factory.sessions),
            "routes": list(self.factory.presence),
            "places": self.factory.crowd.total,
            "journal": os.listdir(self.folder),
        }

    async def test_leaks(self) -> None:
        """The process ends as it began: calls, descriptors, tasks, objects, routes, memory."""
        states: Counter[str] = Counter()
        close = Visit.close

        def note(visit: Visit) -> None:
            if visit._stage != "gone":
                states[visit.session.state] += 1
                states["device"] += visit.tools.busy
                for kind in ("tool", "music"):
                    states[kind] += self.hands.at_work[visit.identity.device, kind] > 0
            close(visit)

        self.patch(Visit, "close", note)
        self.ways: Counter[str] = Counter()
        random.seed(4)
        self.folder, store = Path(self.mktemp()), Store()
        patience = Patience(voice=0.8, grace=0.2, beyond=0.3, last=0.2, dialog=0.2)
        server = Server(self.folder, store, patience)
        server.startService()
        self.addCleanup(server.stopService)
        await deferLater(reactor, 0)
        calls = len(reactor.getDelayedCalls())
        self.factory, self.port = server.factory, server.listening.port
        self.hands = server.hands

        def quiet() -> bool:
            left = self.factory.sessions or os.listdir(self.folder)
            return not left and len(reactor.getDelayedCalls()) == calls

        await self.many(AT_ONCE)  # what is made once is made
        await self.settled(quiet)
        before = self.account()
        states.clear()
        self.ways.clear()
        resident = []
        remembered = 0
        for _ in range(2):
            await self.many(SESSIONS // 2)
            remembered += len(store.memories)
            store.memories.clear()
            store.known.clear()
            gc.collect()
            resident.append(_resident())
        await self.settled(quiet)
        self.assertEqual(self.account(), before)
        # The first half grows the heap to what so many at once need; the second adds nothing.
        self.assertLess(resident[1] - resident[0], 4 * 2**20, resident)
        for state in ("idle", "waking", "listening", "hearing", "thinking", "speaking"):
            self.assertGreater(states[state], 10, states)
        # Each was broken off in the middle; how often, depends on how busy the machine is.
        for work in ("tool", "music", "device"):
            self.assertGreater(states[work], 0, states)
        self.assertEqual(set(self.ways), set(WAYS))
        self.assertGreater(remembered, 100)


def _resident() -> int:
    """Tell how many bytes of memory this process has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
