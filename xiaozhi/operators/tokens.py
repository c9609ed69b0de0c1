"""Operators' tokens: the one this user has, and the first, which no server can be asked for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from xiaozhi.errors import ServiceError, Unavailable
from xiaozhi.operators.errors import NOT_DONE, Failed
from xiaozhi.services.store import IssuedToken, TokenKind, check_place
from xiaozhi.settings import Config

FILE: Final = "operator-token"
PATIENCE: Final = 5.0
"""Seconds for which a lock of the database is waited for."""


def held(given: str, environ: Mapping[str, str], state: Path) -> str:
    """Tell the token to use: as `given`, from the environment or the file; raises Failed."""
    token = given or environ.get("XIAOZHI_TOKEN", "").strip()
    return token or _read(state / FILE)


def save(secret: str, state: Path) -> Path:
    """Keep a token for this user alone, in place of any there is; raises Failed."""
    path = state / FILE
    draft = path.with_name(f".{FILE}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secret + "\n")
        draft.replace(path)
    except OSError as error:
        raise Failed("failed", NOT_DONE, why=f"{path}: {error.strerror}") from error
    return path


def issue(
    config: Config, state: Path, kind: TokenKind, subject: str, label: str, now: float
) -> IssuedToken:
    """Make a token, an operator's say, in the store itself, whether or not the server runs.

    Who may open the store may have one. Raises Failed.
    """
    from xiaozhi.services.store.database import Database, locate

    try:
        place = check_place(config.store.url or state / "xiaozhi.db")
        url = locate(place)
        if url.get_backend_name() == "sqlite":
            _check_file(Path(str(url.database)))
        database = Database(url, PATIENCE, 1)
        try:
            return database.write(lambda books: books.tokens.issue(kind, subject, label, now))
        finally:
            database.close()
    except (ServiceError, Unavailable) as error:
        raise Failed("failed", NOT_DONE, why=str(error)) from error


def _check_file(path: Path) -> None:
    """Check that the database is there: made here, it might not be the server's to use."""
    try:
        path.stat()
    except FileNotFoundError:
        raise Failed("no_store", NOT_DONE, path=path) from None
    except OSError as error:
        raise Failed("failed", NOT_DONE, why=f"{path}: {error.strerror}") from error


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise Failed("readable", NOT_DONE, path=path)
            token = file.read(1024).strip()
    except FileNotFoundError:
        token = ""
    except OSError as error:
        raise Failed("failed", NOT_DONE, why=f"{path}: {error.strerror}") from error
    if not token:
        raise Failed("no_token", NOT_DONE, path=path)
    return token
