"""What the model is told of each kind of content."""

from __future__ import annotations

import base64
from typing import Any

from mcp_types import CallToolResult
from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.services.mcp.results import PICTURES, outcome
from xiaozhi.tooling import Outcome

DATA = base64.b64encode(b"data").decode()


def made(*content: dict[str, Any], **more: Any) -> Outcome:
    """Make the outcome of what a server sends."""
    return outcome(CallToolResult.model_validate({"content": list(content)} | more))


def image(data: str = DATA) -> dict[str, Any]:
    """Write a picture as a server sends it."""
    return {"type": "image", "data": data, "mimeType": "image/jpeg"}


class ResultTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        """Texts are joined; what is no text is named."""
        resource = {"uri": "file:///a", "mimeType": "text/plain"}
        sound = {"type": "audio", "data": DATA, "mimeType": "audio/wav"}
        blob = {"type": "resource", "resource": resource | {"blob": DATA}}
        for content, text in (
            ({"type": "text", "text": "b"}, "b"),
            (sound, "(audio/wav, which cannot be shown)"),
            ({"type": "resource_link", "name": "a", "uri": "file:///a"}, "a: file:///a"),
            ({"type": "resource", "resource": resource | {"text": "inside"}}, "inside"),
            (blob, "(file:///a, which is no text)"),
            (image(), "(a picture, image/jpeg)"),
            (image("!"), "(a picture that cannot be read)"),
        ):  # fmt: skip
            self.assertEqual(made({"type": "text", "text": "a"}, content).text, f"a\n{text}")

    def test_pictures(self) -> None:
        """Pictures are kept as they are, some of them."""
        told = made(*[image()] * (PICTURES + 1))
        self.assertEqual([picture.data for picture in told.pictures], [b"data"] * PICTURES)
        self.assertIn("one more picture", told.text)

    def test_structured(self) -> None:
        """An object counts where there is no text; nothing at all is said to be."""
        told = made(structuredContent={"温度": 21})
        self.assertEqual(told.text, '{"温度": 21}')
        self.assertEqual(made(image(), structuredContent={"a": 1}).text, "(a picture, image/jpeg)")
        self.assertEqual(made().text, "(no text)")

    def test_failed(self) -> None:
        """A tool that says it failed has failed, with its text."""
        told = made({"type": "text", "text": "no"}, isError=True)
        self.assertEqual((told.failed, told.text), (True, "no"))
        self.assertFalse(made({"type": "text", "text": "yes"}).failed)

    def test_shown(self) -> None:
        """Only an object that says what is to be shown is told whole."""
        for text, whole in (
            ('{"action": "show_result", "x": "%s"}', True),
            ('{"action": "other", "x": "show_result%s"}', False),
            ('{"action": "show_result", "x": "%s', False),
            ('["show_result", "%s"]', False),
        ):
            long = text % ("y" * 20_000)
            told = made({"type": "text", "text": long})
            self.assertEqual((told.text == long, told.whole), (whole, whole), text)
