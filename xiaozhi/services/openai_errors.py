"""What can go wrong with a server that speaks OpenAI's API, in words. Imports it when asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xiaozhi.errors import Refused, ServiceError
from xiaozhi.services.http import failure, short

if TYPE_CHECKING:
    from openai import APIStatusError


class BadAnswer(ValueError):
    """The server's answer is not what it was asked for; `str()` says what it did instead."""


class Declined(BadAnswer):
    """The server is well, but would not answer this."""


def raised() -> tuple[type[Exception], ...]:
    """List what openai raises, or lets through, when a server or its answer fails."""
    import httpx2
    import openai

    # In the middle of a stream it lets through what httpx2 raises, and, as ValueErrors, lines
    # that are no JSON and texts or keys that cannot be sent.
    return openai.OpenAIError, httpx2.HTTPError, httpx2.StreamError, ValueError


def explained(error: Exception, stage: str, where: str, key: str) -> ServiceError:
    """Turn one of those into a ServiceError that says `where`, and does not show the `key`."""
    import openai

    why = f"{where}: {short(_masked(_cause(error), key))}"
    if isinstance(error, openai.APIStatusError):
        return failure(stage, why, error.status_code, error.response.headers)
    return Refused(stage, why) if isinstance(error, Declined) else ServiceError(stage, why)


def _cause(error: Exception) -> str:
    """Say what went wrong; it may hold the key."""
    import httpx2
    import openai

    if isinstance(error, openai.AuthenticationError | openai.PermissionDeniedError):
        # What the server says to these may repeat parts of the key.
        return f"HTTP {error.status_code}, the API key was refused"
    if isinstance(error, openai.APIStatusError):
        return f"HTTP {error.status_code}, {_message(error)}"
    if isinstance(error, openai.APITimeoutError | httpx2.TimeoutException):
        return "timed out"
    if isinstance(error, openai.APIConnectionError):
        return str(error.__cause__ or error) or "the connection broke"
    if isinstance(error, UnicodeEncodeError):
        return "the text or the key cannot be sent"
    if isinstance(error, ValueError) and not isinstance(error, BadAnswer):
        return f"the answer makes no sense ({type(error).__name__})"
    return str(error) or type(error).__name__


def _message(error: APIStatusError) -> str:
    """What the server said, without the JSON around it."""
    body = error.body
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        return str(body["message"])
    return error.message


def _masked(text: str, key: str) -> str:
    """Take the key out, also as it looks in the repr of a header."""
    for secret in filter(None, (key, repr(key)[1:-1])):
        text = text.replace(secret, "***")
    return text
