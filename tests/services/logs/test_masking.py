"""Secrets: how they are told, and that nothing else is taken for one."""

from __future__ import annotations

import time

from twisted.trial.unittest import SynchronousTestCase

from xiaozhi.choices import Chosen
from xiaozhi.services.llm.openai import Settings as OpenAi
from xiaozhi.services.logs.masking import Masking, is_secret, secrets_in


class Masked(SynchronousTestCase):
    def test_forms(self) -> None:
        """What is said to be a secret is masked; all around it stays."""
        mask = Masking()
        for text, masked in (
            ("GET /xiaozhi/v1/?token=abc.def&device=1", "GET /xiaozhi/v1/?token=***&device=1"),
            ('{"api_key": "sk-1", "model": "m"}', '{"api_key": "***", "model": "m"}'),
            ("{'Authorization': 'Bearer abc.d_f'}", "{'Authorization': '***'}"),
            ("got Bearer eyJhbGciOi.x-y_z= there", "got Bearer *** there"),
            ("https://me:pass@example.org/x", "https://***@example.org/x"),
            ("OPENAI_API_KEY=sk-2 client-secret: s", "OPENAI_API_KEY=*** client-secret: ***"),
        ):
            self.assertEqual(mask(text), masked)

    def test_innocent(self) -> None:
        """What only looks a little like one stays as it is."""
        mask = Masking()
        for text in (
            "the token has expired",
            "answer of 20 tokens: fine",
            "keyboard: monkey=1",
            "http://example.org:8000/a@b",
            "me@example.org",
        ):
            self.assertEqual(mask(text), text)

    def test_known(self) -> None:
        """Known secrets are masked anywhere, the longest first; short ones are not."""
        mask = Masking(["secret", "secret-and-more", "on"])
        self.assertEqual(mask("a secret-and-more, secret on"), "a ***, *** on")

    def test_keys(self) -> None:
        """The names of keys tell."""
        for key in ("token", "api_key", "apikey", "access-token", "Authorization", "db_password"):
            self.assertTrue(is_secret(key), key)
        for key in ("tokens", "key", "device", "speech", "tokenizer"):
            self.assertFalse(is_secret(key), key)

    def test_of_the_settings(self) -> None:
        """The secrets of a configuration are found at any depth."""
        settings = (
            Chosen("llm", "openai", OpenAi(api_key="sk-deep")),
            {"headers": {"X-Token": "t-1", "X-Other": "no"}, "tokens": ["t-2", "t-3"]},
        )
        self.assertEqual(set(secrets_in(settings)) - {""}, {"sk-deep", "t-1", "t-2", "t-3"})

    def test_time(self) -> None:
        """No text takes long, whatever a device makes up."""
        mask = Masking(["a" * 30])
        for text in (
            "token" * 1000,
            "a://" * 1000,
            "x" * 5000,
            "a" * 29 + "b" * 5000,
            "Bearer " * 700,
        ):
            began = time.perf_counter()
            mask(text)
            self.assertLess(time.perf_counter() - began, 0.05, text[:10])
