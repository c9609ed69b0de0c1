"""The settings of what whoever runs the server looks at: the log, the metrics, the certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta

from xiaozhi.mistakes import Mistake
from xiaozhi.section import Section
from xiaozhi.services.networks import NEIGHBOURS, check_networks


class Tls(Section, frozen=True):
    """What the port is secured with."""

    certificate: Annotated[
        str,
        Meta(
            description="PEM file with the certificate and its chain; without one there is no "
            "TLS. A renewed file is taken without a restart."
        ),
    ] = ""
    key: Annotated[
        str, Meta(description="PEM file with its private key, which has no passphrase.")
    ] = ""

    def __post_init__(self) -> None:
        """Refuse one without the other."""
        if bool(self.certificate) != bool(self.key):
            raise Mistake("half_a_pair")

    def files(self) -> tuple[Path, Path] | None:
        """Tell the certificate's file and the key's; None without TLS."""
        if not self.certificate:
            return None
        return Path(self.certificate).absolute(), Path(self.key).absolute()


class Log(Section, frozen=True):
    """What is written about what happens."""

    format: Annotated[
        Literal["text", "json"],
        Meta(description="Lines for people, or a JSON object a line for programs."),
    ] = "text"
    level: Annotated[
        Literal["debug", "info", "warn", "error"],
        Meta(description="The least important events that are written."),
    ] = "info"
    file: Annotated[
        str,
        Meta(
            description="File to write to. If empty, standard output, or what twistd's --logfile "
            "says."
        ),
    ] = ""
    max_size: Annotated[
        int,
        Meta(
            description="Size at which the file is put aside and a new one begun, in MB.",
            ge=1,
            le=10_000,
        ),
    ] = 10
    keep_days: Annotated[
        int,
        Meta(description="Days after which a file put aside is deleted.", ge=1, le=3650),
    ] = 30
    max_message_length: Annotated[
        int,
        Meta(
            description="Characters of a message or a value; what is longer is cut.",
            ge=200,
            le=100_000,
        ),
    ] = 2000
    speech: Annotated[
        bool,
        Meta(
            description="Write what users say and what they are told. If false, only how long "
            "it was."
        ),
    ] = False


class Metrics(Section, frozen=True):
    """Who may read the numbers."""

    open_to: Annotated[
        tuple[str, ...],
        Meta(
            description="Networks that may read /metrics, /healthz and /readyz. Who comes through "
            "a proxy is judged by X-Forwarded-For, too.",
            extra={"check": check_networks},
        ),
    ] = NEIGHBOURS
