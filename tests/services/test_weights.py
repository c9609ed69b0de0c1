"""How model files are got: from packages, from a hub, and not at all."""

from __future__ import annotations

import hashlib
import sys
from typing import Any

from huggingface_hub import close_session
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.hub_server import BlackHole, Hub, folder, nobody
from xiaozhi.services.weights import Carried, Fetch, File, Model, Stopped, WeightsError

CONTENT = bytes(range(256)) * 4096
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()


class FromHub(TestCase):
    """The hub's own client, speaking to a hub on loopback."""

    timeout = 20

    def setUp(self) -> None:
        self.hub = Hub()
        self.hub.files = {"owner/name/deep/model.bin": CONTENT, "owner/name/config.json": b"{}"}
        self.endpoint = self.hub.start()
        self.addCleanup(self.hub.stop)
        self.addCleanup(close_session)
        self.store = folder(self)
        self.seen: list[tuple[int, int]] = []

    def fetch(self, endpoint: str = "", **changes: str) -> Fetch:
        files = (
            File("model.bin", "deep/model.bin", changes.get("sha256", CHECKSUM)),
            File("config.json", "config.json"),
            File("extra.json", "extra.json", required=False),
        )
        model = Model("toy", changes.get("repository", "owner/name"), files)
        return Fetch(
            model,
            self.store,
            endpoint or self.endpoint,
            lambda done, total: self.seen.append((done, total)),
            connect=0.3,
            stall=0.3,
        )

    async def refused(self, fetch: Fetch) -> str:
        """Run `fetch`, which must fail; return why. No folder may pass for a model then."""
        error: Any = await self.assertFailure(deferToThread(fetch.run), WeightsError)
        self.assertFalse((self.store / "toy").exists())
        self.assertTrue(error.text("zh"))
        return str(error.text("en"))

    async def test_all_of_it(self) -> None:
        """The files arrive under their names, and how far it is is told up to the end."""
        folder = await deferToThread(self.fetch().run)
        self.assertEqual((folder / "model.bin").read_bytes(), CONTENT)
        self.assertEqual({path.name for path in folder.iterdir()}, {"model.bin", "config.json"})
        self.assertEqual(self.seen[-1], (len(CONTENT) + 2, len(CONTENT) + 2))

    async def test_once(self) -> None:
        """What is there is not asked for again."""
        await deferToThread(self.fetch().run)
        del self.hub.asked[:]
        await deferToThread(self.fetch().run)
        self.assertEqual(self.hub.asked, [])

    async def test_cut_and_resumed(self) -> None:
        """A connection that breaks is taken up where it broke."""
        self.hub.breaks = [300_000, 400_000]
        folder = await deferToThread(self.fetch().run)
        self.assertEqual((folder / "model.bin").read_bytes(), CONTENT)
        spans = [span for method, path, span in self.hub.asked if path.startswith("/store/")]
        self.assertEqual(spans[0], "")
        self.assertTrue(all(int(span[:-1]) > 0 for span in spans[1:]) and len(spans) == 3)

    async def test_stall(self) -> None:
        """A transfer that stalls is given up, and a later attempt goes on from there."""
        self.hub.stalls_after = 600_000
        self.assertIn("cannot be reached (ReadTimeout)", await self.refused(self.fetch()))
        self.hub.stalls_after = None
        del self.hub.asked[:]
        folder = await deferToThread(self.fetch().run)
        self.assertEqual((folder / "model.bin").read_bytes(), CONTENT)
        spans = [span for method, path, span in self.hub.asked if path.startswith("/store/")]
        self.assertGreater(int(spans[0][:-1]), 0)

    async def test_truncated_always(self) -> None:
        """A hub that always cuts the connection at once does not yield a model."""
        self.hub.breaks = [0] * 9
        self.assertIn("cannot be reached", await self.refused(self.fetch()))

    async def test_damaged(self) -> None:
        """Bytes that are not the ones promised are thrown away."""
        self.hub.corrupt = True
        self.assertEqual(await self.refused(self.fetch(sha256="")), "model.bin arrived damaged")
        self.hub.corrupt = False
        await deferToThread(self.fetch().run)

    async def test_another_file(self) -> None:
        """A file that is not the one we know is refused, though the hub vouches for it."""
        self.assertEqual(
            await self.refused(self.fetch(sha256="0" * 64)), "model.bin arrived damaged"
        )

    async def test_no_such_model(self) -> None:
        """A name that the hub does not know is reported with its status."""
        self.assertEqual(
            await self.refused(self.fetch(repository="owner/other")),
            "the model hub has no toy (owner/other, status 401)",
        )

    async def test_no_such_file(self) -> None:
        """A required file that is missing is reported as a missing model."""
        del self.hub.files["owner/name/config.json"]
        self.assertIn("status 404", await self.refused(self.fetch()))

    async def test_refused(self) -> None:
        """Where nobody listens it is over at once."""
        self.assertIn("(ConnectError)", await self.refused(self.fetch(nobody())))

    async def test_black_hole(self) -> None:
        """Where packets vanish it is over when the deadline for connecting is."""
        hole = BlackHole()
        self.addCleanup(hole.close)
        self.assertIn("(ConnectTimeout)", await self.refused(self.fetch(hole.address)))

    async def test_silence(self) -> None:
        """A hub that takes the question and never answers is given up."""
        self.hub.silent = True
        self.assertIn("(ReadTimeout)", await self.refused(self.fetch()))

    async def test_stop(self) -> None:
        """A fetch that is stopped ends with the next piece and keeps what it has."""
        fetch = self.fetch()
        fetch._advanced = lambda done, total: fetch.stopped.set() if done else None
        await self.assertFailure(deferToThread(fetch.run), Stopped)
        self.assertTrue(list((self.store / "toy.part").glob("model.bin.*.incomplete")))

    async def test_no_room(self) -> None:
        """A folder that cannot be written is named."""
        self.store.rmdir()
        self.addCleanup(self.store.mkdir)
        self.addCleanup(self.store.unlink)
        self.store.write_text("a file where the folder should be")
        error = await self.assertFailure(deferToThread(self.fetch().run), WeightsError)
        self.assertIn("cannot write", str(error))


class FromPackages(SynchronousTestCase):
    """Files that installed packages carry."""

    def setUp(self) -> None:
        place = folder(self)
        for number, half in enumerate((CONTENT[:1000], CONTENT[1000:])):
            (place / f"carrier{number}").mkdir(parents=True)
            (place / f"carrier{number}" / "__init__.py").write_text("raise RuntimeError")
            (place / f"carrier{number}" / "half").write_bytes(half)
        self.patch(sys, "path", [*sys.path, str(place)])
        self.store = folder(self)

    def model(self, *packages: str, sha256: str = CHECKSUM) -> Model:
        parts = tuple(Carried(package, "half") for package in packages)
        return Model("toy", "owner/name", (File("model.bin", "model.bin", sha256, parts=parts),))

    def test_joined(self) -> None:
        """Parts of several packages are joined, without importing the packages."""
        folder = Fetch(self.model("carrier0", "carrier1"), self.store).run()
        self.assertEqual((folder / "model.bin").read_bytes(), CONTENT)

    def test_not_all_there(self) -> None:
        """A part that is not installed sends us to the hub."""
        fetch = Fetch(self.model("carrier0", "carrier2"), self.store, nobody())
        self.assertIn("cannot be reached", str(self.assertRaises(WeightsError, fetch.run)))

    def test_other_bytes(self) -> None:
        """A package with other bytes than we know is not taken."""
        model = self.model("carrier0", "carrier1", sha256="0" * 64)
        self.assertRaises(WeightsError, Fetch(model, self.store, nobody()).run)
        self.assertFalse((self.store / "toy").exists())
