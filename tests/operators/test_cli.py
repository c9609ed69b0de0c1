"""The commands of operators, against the real pages."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import stat
from string import Formatter
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from tests.fakes import FakeHands
from tests.loopback import Folder, Loopback
from tests.services.serving import BADGE, NOON, ServerCase
from xiaozhi.config import load
from xiaozhi.hosting import Server, Store
from xiaozhi.operators import cli, errors, show, tokens
from xiaozhi.operators.errors import NOT_DONE, UNREACHABLE, Failed
from xiaozhi.operators.remote import Remote, address
from xiaozhi.operators.show import Show
from xiaozhi.services import store as stores
from xiaozhi.services.auth.credential import fingerprint
from xiaozhi.services.store import Entry, Seen, SessionMemory
from xiaozhi.upkeep import Tls

TLS = Tls(certificate="/c.pem", key="/k.pem")


class CommandCase(ServerCase):
    """A test with a server that listens, and whoever runs commands."""

    def setUp(self) -> Any:
        ready: Deferred[Any] = super().setUp()
        self.environ: dict[str, str] = {}
        self.config = load(None, {})
        server = Loopback(self.site.resource)
        self.addCleanup(lambda: Deferred.fromCoroutine(server.stop()))
        self.url = f"http://127.0.0.1:{server.port}"
        return ready

    async def says(self, *words: str, language: str = "en", url: str | None = None) -> list[str]:
        """Run a command, in a thread since it waits; give the lines it prints."""
        server = self.url if url is None else url
        given = argparse.Namespace(server=server, token="", json=False)
        options = cli.parser().parse_args(words, given)
        desk = cli.Desk(options, self.config, self.folder, self.environ, Show(language))
        with contextlib.redirect_stderr(io.StringIO()) as self.aside:
            lines: list[str] = list(await deferToThread(desk.run))
        return lines

    async def fails(self, *words: str, url: str | None = None) -> tuple[int, str]:
        """Run a command that is not done; give its exit code and what it says."""
        try:
            lines = await self.says(*words, url=url)
        except Failed as failed:
            self.assertNotIn("\n", failed.said("en") + failed.said("zh"))
            return failed.code, failed.said("en")
        raise AssertionError(f"it was done: {lines}")

    async def hire(self, subject: str = "anna") -> None:
        """Have a token in the environment."""
        issued = await self.store.issue_token("operator", subject, "", NOON)
        self.environ["XIAOZHI_TOKEN"] = issued.secret


class DeviceTests(CommandCase):
    """Devices."""

    async def test_life(self) -> None:
        """A device is activated, looked at, named, blocked, let in again, and forgotten."""
        await self.hire()
        self.assertEqual(await self.says("devices"), ["no device has been seen yet"])
        code = (await self.boot())["activation"]["code"]
        head, row = await self.says("devices", "list")
        self.assertEqual(head.split(), ["ID", "NAME", "BOARD", "FIRMWARE", "STATE", "LAST", "SEEN"])
        self.assertIn("not activated", row)
        self.assertIn(f"{BADGE} is activated", (await self.says("activate", code))[0])
        for words, said in (
            (("devices", "rename", BADGE, "the badge"), f"{BADGE} is called the badge"),
            (("devices", "block", BADGE.upper()), "is blocked"),
            (("devices", "show", BADGE), "blocked"),
            (("devices", "unblock", BADGE), "no longer"),
            (("devices",), "the badge"),
            (("activate", BADGE), "is activated"),
            (("devices", "forget", BADGE), "forgotten"),
        ):
            self.assertIn(said, "\n".join(await self.says(*words)))
        self.assertEqual(self.kicked, [BADGE, BADGE])
        self.assertEqual(
            await self.fails("devices", "show", BADGE), (NOT_DONE, "there is no such thing")
        )
        self.assertEqual(
            await self.fails("activate", code), (NOT_DONE, "no device shows this code")
        )

    async def test_pages(self) -> None:
        """All are listed, however many the server tells at a time; the one seen last first."""
        await self.hire()
        self.patch(cli, "PAGE", 2)
        for when, name in enumerate("cadb"):
            await self.store.seen(Seen(id=name), NOON + when)
            if name in "ab":  # a page that is not full, and one that is
                rows = await self.says("devices")
                self.assertEqual([row[0] for row in rows[1:]], list(reversed("cadb"[: when + 1])))

    async def test_memory(self) -> None:
        """What is known of its user is shown and erased."""
        await self.hire()
        await self.boot()
        words = ("devices", "memory", BADGE)
        self.assertEqual(await self.says(*words), ["nothing is known of its user"])
        await self.learnt("I like tea", "I live\x1b in Bonn", "My name is Tom")
        head, *rows = await self.says(*words)
        self.assertEqual(head.split(), ["SAID", "WHAT"])
        self.assertEqual(len(rows), 5)
        self.assertTrue(rows[0].endswith("The user likes tea."))
        for more, erased, lines in (
            (("--minutes", "1"), 2, 4),
            (("--about", "名字 & Tom?"), 0, 4),
            (("--about", "my name, Tom"), 2, 2),
            ((), 1, 1),
        ):
            self.assertEqual(await self.says(*words, "--forget", *more), [f"erased: {erased}"])
            self.assertEqual(len(await self.says(*words)), lines)
        with contextlib.redirect_stderr(io.StringIO()), self.assertRaises(SystemExit):
            await self.says(*words, "--about", "tea")

    async def test_tools(self) -> None:
        """What a connected device can do is shown, and done."""
        await self.hire()
        gone = (NOT_DONE, "the device is not connected")
        self.assertEqual(await self.fails("devices", "tools", BADGE), gone)
        self.assertEqual(await self.fails("devices", "call", BADGE, "self.reboot"), gone)
        self.hands[BADGE] = FakeHands()
        head, reboot, photo = await self.says("devices", "tools", BADGE)
        self.assertEqual(head.split()[:2], ["NAME", "WHO"])
        self.assertEqual(reboot.split()[:2], ["self.reboot", "operators"])
        self.assertEqual(photo.split(), ["take_photo", "models", "Looks.Once."])
        self.assertEqual(await self.says("devices", "call", BADGE, "self.reboot"), ["true"])
        call = ("devices", "call", BADGE, "take_photo", '{"question": "?"}')
        told = await self.says(*call)
        self.assertEqual(told, ["a cat", "(a picture: image/jpeg; --json has it)"])
        (line,) = await self.says(*call, "--json")
        self.assertEqual(json.loads(line)["text"], "a cat")
        for words, why in (
            (("broken",), "no"),
            (("x", "{"), "the arguments must be a JSON object, such as '{\"volume\": 30}'"),
            (("x", "[]"), "the arguments must be a JSON object, such as '{\"volume\": 30}'"),
        ):
            self.assertEqual(await self.fails("devices", "call", BADGE, *words), (NOT_DONE, why))

    async def test_json(self) -> None:
        """With --json programs read what the server has answered, before the verb or after."""
        await self.hire()
        await self.boot()
        for words in (("devices", "--json"), ("devices", "list", "--json")):
            (line,) = await self.says(*words)
            self.assertEqual([device["id"] for device in json.loads(line)], [BADGE])
        (line,) = await self.says("devices", "--json", "show", BADGE)
        self.assertEqual(json.loads(line)["firmware"], "2.0.1")
        self.assertEqual(await self.says("devices", "forget", BADGE, "--json"), ["null"])

    async def test_memories(self) -> None:
        """What is shown of a device is how many sessions are kept, and the last two of them."""
        await self.hire()
        await self.boot()
        for number in range(3):
            said = (Entry("user", f"question\x1b[2J\n{number}"), Entry("assistant", "回答"))
            await self.store.remember(
                SessionMemory(
                    session_id=f"s{number}", device_id=BADGE,
                    began=NOON, ended=NOON + number, entries=said,
                )
            )  # fmt: skip
        lines = await self.says("devices", "show", BADGE)
        begins = next(n for n, line in enumerate(lines) if line.startswith("SESSIONS KEPT  3"))
        blank, when, *entries = lines[begins + 1 :][:4]
        self.assertEqual(blank, "")
        self.assertRegex(when, r"^\d{4}-\d\d-\d\d \d\d:\d\d$")
        self.assertEqual(entries, ["  user: question[2J2", "  assistant: 回答"])
        self.assertEqual(len(lines), begins + 1 + 8)
        chinese = "\n".join(await self.says("devices", "show", BADGE, language="zh"))
        self.assertIn("  用户: question", chinese)
        (line,) = await self.says("devices", "--json", "show", BADGE)
        told = json.loads(line)
        self.assertEqual(told["memories"], 3)
        self.assertEqual([one["session_id"] for one in told["latest_memories"]], ["s2", "s1"])

    async def test_chinese(self) -> None:
        """In Chinese the columns are aligned as well."""
        await self.hire()
        await self.boot()
        await self.says("devices", "rename", BADGE, "小明\x1b[2J的徽章")
        await self.boot(Device_Id="b")
        head, first, second = await self.says("devices", language="zh")
        self.assertTrue(head.startswith("编号 "))
        self.assertNotIn("\x1b", first + second)
        named = first if "徽章" in first else second
        columns = [_width(head.partition("硬件")[0]), _width(named.partition("bread")[0])]
        self.assertEqual(columns[0], columns[1])


class TokenTests(CommandCase):
    """Tokens."""

    async def test_first(self) -> None:
        """The first is made in the store itself, printed once, kept, and then used."""
        code, why = await self.fails("devices")
        self.assertEqual(code, NOT_DONE)
        self.assertIn("xiaozhi token new --save", why)
        (secret,) = await self.says("token", "new", "--save", "--for", "anna", url="")
        self.assertIn("only now", self.aside.getvalue())
        path = self.folder / tokens.FILE
        self.assertEqual(path.read_text().strip(), secret)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertIn("anna", (await self.says("token"))[1])
        path.chmod(0o640)
        self.assertEqual(
            await self.fails("devices"),
            (NOT_DONE, f"{path} can be read by others: chmod 600 {path}"),
        )
        (again,) = await self.says("token", "new", "--save", url="")
        self.assertNotEqual(again, secret)
        self.assertEqual(len(await self.says("token", "list")), 3)

    async def test_more(self) -> None:
        """Who has one has the server make others, and revokes them."""
        await self.hire()
        (made,) = await self.says("token", "new", "--for", "ben", "--label", "phone", "--json")
        self.assertIn("phone", "\n".join(await self.says("token", "list")))
        name = json.loads(made)["id"]
        self.assertEqual(await self.says("token", "revoke", name), [f"revoked: {name}"])
        self.assertEqual((await self.fails("token", "revoke", name))[0], NOT_DONE)
        self.assertIn("revoked", "\n".join(await self.says("token")))
        self.environ["XIAOZHI_TOKEN"] = json.loads(made)["secret"]
        code, why = await self.fails("devices")
        self.assertEqual((code, why), (NOT_DONE, "the server does not know this token (any more)"))

    async def test_of_devices(self) -> None:
        """A device's token is made, and revoked by its name in the log, or with all others."""
        await self.hire()
        await self.boot()
        await self.store.activate(BADGE, NOON)
        for words in ((), ("--label", "spare")):
            (token,) = await self.says("token", "new", "--device", BADGE, *words)
            self.assertTrue(await self.admitted(token))
        (token,) = await self.says("token", "new", "--device", BADGE)
        await self.says("token", "revoke", "--device", BADGE, fingerprint(token))
        self.assertFalse(await self.admitted(token))
        self.assertEqual(len(await self.says("token", "list")), 3)
        await self.says("token", "revoke", "--device", BADGE)
        self.assertEqual(sum("revoked" in line for line in await self.says("token")), 1)

    async def test_of_mcp_servers(self) -> None:
        """One for MCP servers is printed as the address they connect to; they are listed."""
        await self.hire()
        (url,) = await self.says("token", "new", "--mcp", f"{BADGE.upper()},b")
        base, _, secret = url.partition("?token=")
        self.assertEqual(base, f"ws{self.url.removeprefix('http')}/mcp/")
        found = await self.store.find_token("mcp", secret)
        assert found is not None
        self.assertEqual(found.subject, f"{BADGE},b")
        self.environ.clear()  # then it is made in the store
        self.config = load(None, {})
        (url,) = await self.says("token", "new", "--mcp", "all", url="")
        self.assertTrue(url.startswith("ws://127.0.0.1:8000/mcp/?token="))
        found = await self.store.find_token("mcp", url.partition("=")[2])
        assert found is not None
        self.assertEqual(found.subject, "*")
        await self.hire()
        head, row = await self.says("mcp")
        self.assertEqual(head.split(), ["NAME", "HOW", "STATE", "TOOLS", "DEVICES", "WHY"])
        self.assertEqual(row.split(), ["demo", "stdio", "connected", "1", "all", "-"])
        self.assertIn("已连接", (await self.says("mcp", language="zh"))[1])

    async def test_no_store(self) -> None:
        """Where there is no store none is made: the server might not be able to use it."""
        with self.assertRaises(Failed) as caught:
            tokens.issue(self.config, self.folder / "elsewhere", "operator", "anna", "", NOON)
        self.assertIn("start the server once", caught.exception.said("en"))
        self.assertFalse((self.folder / "elsewhere").exists())
        self.patch(stores, "_has_psycopg", lambda: False)
        config = msgspec.structs.replace(self.config, store=Store(url="postgresql:///x"))
        with self.assertRaises(Failed) as caught:
            tokens.issue(config, self.folder, "operator", "anna", "", NOON)
        self.assertIn("xiaozhi[postgres]", caught.exception.said("en"))


class _Page(Resource):
    isLeaf = True

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text

    def render(self, request: Request) -> bytes:
        return self._text


class TroubleTests(CommandCase):
    """Servers that are none."""

    async def test_nobody(self) -> None:
        """Where nobody answers, that is said, and the exit code tells it apart."""
        await self.hire()
        gone = Loopback(Folder())
        url = f"http://127.0.0.1:{gone.port}"
        await gone.stop()
        code, why = await self.fails("devices", url=url)
        self.assertEqual(code, UNREACHABLE)
        self.assertIn("Connection refused", why)

    async def test_something_else(self) -> None:
        """What answers with anything else is no server of ours."""
        await self.hire()
        for text in (b"<html>", b"[]", b'{"success": false}', b'"x"', b"\xff"):
            other = Loopback(_Page(text))
            code, why = await self.fails("devices", url=f"http://127.0.0.1:{other.port}")
            await other.stop()
            self.assertEqual((code, "is no xiaozhi server" in why), (UNREACHABLE, True))


class TextTests(SynchronousTestCase):
    """What commands say."""

    def test_both_languages(self) -> None:
        """Whatever is said can be said in both languages, with the same facts in it."""
        pairs = [(texts["en"], texts["zh"]) for texts in errors._TEXTS.values()]
        english, chinese = show._TEXTS["en"], show._TEXTS["zh"]
        self.assertEqual(set(english), set(chinese))
        for one, other in (*pairs, *((english[key], chinese[key]) for key in english)):
            fields = [{name for _, name, *_ in Formatter().parse(text)} for text in (one, other)]
            self.assertEqual(fields[0] - {None}, fields[1] - {None})

    def test_reasons(self) -> None:
        """Why an MCP server is not there is told in both; what it said itself, as it said it."""
        for reason, chinese in (
            ("it answered 404 Not Found", "对方回答 404 Not Found"),
            ("no answer: none within 10 s", "10 秒内没有回应"),
            ("KeyError: \\1", "KeyError: \\1"),
        ):
            server: dict[str, Any] = {"name": "x", "how": "http", "state": "lost", "why": reason}
            for language, told in (("zh", chinese), ("en", reason)):
                _, row = show.Show(language).servers([server | {"tools": [], "devices": None}])
                self.assertTrue(row.endswith(f"  {told}"), row)

    def test_wrong_configuration(self) -> None:
        """A configuration that cannot be read is said as elsewhere."""
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertEqual(cli.main(["devices", "--config", "/nowhere.yaml"]), 1)
        self.assertIn("there is no such file", said.getvalue())


class AddressTests(SynchronousTestCase):
    """Where the server is."""

    def test_of_settings(self) -> None:
        """A server on this machine is asked at the first address it listens at."""
        for server, expected in (
            (Server(), "http://127.0.0.1:8000"),
            (Server(ip=("::",), port=1), "http://[::1]:1"),
            (Server(ip=("192.0.2.1",), port=1), "http://192.0.2.1:1"),
            (Server(tls=TLS), "https://localhost:8000"),
            (Server(tls=TLS, http_port=81), "http://127.0.0.1:81"),
            (Server(tls=TLS, public_url="https://x.example"), "https://x.example:443"),
        ):
            self.assertEqual(address(server), expected)
        self.assertIn("--server", self.failed(address, Server(port=0)))

    def test_no_address(self) -> None:
        """What is no address is refused."""
        for url in ("", "x", "ftp://x", "http://", "http://x:99999", "http://[x"):
            self.assertIn("http://", self.failed(Remote, url, ""))

    def failed(self, call: Any, *args: Any) -> str:
        with self.assertRaises(Failed) as caught:
            call(*args)
        said: str = caught.exception.said("en")
        return said


def _width(text: str) -> int:
    """Count columns: a Chinese sign takes two."""
    return sum(2 if sign > "\u2e80" else 1 for sign in text)
