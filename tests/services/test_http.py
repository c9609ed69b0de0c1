"""What engines that speak HTTP have in common."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import Unavailable
from xiaozhi.services.http import address, short, shown


class HTTPTests(SynchronousTestCase):
    def test_address(self) -> None:
        """An address of HTTP is one, whatever stands around it."""
        for url in ("http://h", "https://me:pw@h:8443/v1?key=x", "http://[::1]:80/v1"):
            self.assertEqual(address(f" {url}\n", "url"), url)

    def test_no_address(self) -> None:
        """What is none is refused, by the setting's name and without its text: a secret, maybe."""
        for url in (
            "",
            "sk-oops",
            "oops:8000",
            "ftp://oops/v1",
            "http://",
            "http://[oops",
            "http://oops:99999",
            "http://oops:x/v1",
            "http://oops\x01/v1",
        ):
            with self.assertRaises(Unavailable) as caught:
                address(url, "base_url")
            self.assertEqual(
                str(caught.exception), "its base_url is not an http:// or https:// address"
            )

    def test_shown(self) -> None:
        """An address is shown without what may be secret in it."""
        self.assertEqual(shown("https://me:pw@host:8443/v1?key=hidden"), "https://host:8443/v1")

    def test_short(self) -> None:
        """What somebody says becomes one line that is not too long."""
        self.assertEqual(short(" no\n\tvoice "), "no voice")
        self.assertEqual(short("x" * 200), "x" * 200)
        self.assertEqual(short("x" * 201), "x" * 199 + "…")
