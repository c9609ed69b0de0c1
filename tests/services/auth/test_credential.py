"""The token a request shows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.auth.credential import LONGEST, credential, masked


class Credential(SynchronousTestCase):
    def test_header(self) -> None:
        """The token is in the header, with or without Bearer before it."""
        for text in ("Bearer abc", "bearer  abc ", "abc", " abc", "BEARER abc"):
            self.assertEqual(credential({}, {"authorization": text}), "abc", text)

    def test_query(self) -> None:
        """It may be in the query instead; the header comes first."""
        for name in ("authorization", "Authorization"):
            for text in ("Bearer abc", "abc"):
                self.assertEqual(credential({name: [text]}, {}), "abc")
        both = credential({"authorization": ["q"]}, {"authorization": "Bearer h"})
        self.assertEqual(both, "h")

    def test_none(self) -> None:
        """To show nothing is one thing, to show what is no token another."""
        for headers in ({}, {"authorization": ""}, {"authorization": "Bearer "}):
            self.assertEqual(credential({"authorization": []}, headers), "")
        for text in ("Basic YTpi", "a b", "Bearer a b", "\x7f", "é", "a" * (LONGEST + 1), "a,\tb"):
            self.assertIsNone(credential({}, {"authorization": text}), text)

    @given(some.text(max_size=50))
    def test_anything(self, text: str) -> None:
        """Whatever is shown is a token of printable ASCII, or none."""
        for found in (
            credential({}, {"authorization": text}),
            credential({"authorization": [text]}, {}),
        ):
            self.assertTrue(found is None or (found.isascii() and " " not in found))

    def test_masked(self) -> None:
        """In the log an address has no token, and some length only."""
        for url, shown in (
            ("/v1/?authorization=Bearer%20abc&device-id=a", "/v1/?authorization=***&device-id=a"),
            ("/v1/?a=b&Authorization=abc", "/v1/?a=b&Authorization=***"),
            ("/v1/?%61uthorization=abc&c=d", "/v1/?%61uthorization=***&c=d"),
            ("/v1/?device-id=a", "/v1/?device-id=a"),
            ("/mcp/?token=abc", "/mcp/?token=***"),
        ):
            self.assertEqual(masked(url), shown)
        self.assertEqual(len(masked("/" + "x" * 1000)), 256)
