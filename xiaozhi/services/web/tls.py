"""TLS on the port: the certificate, renewed while the server runs.

The files are looked at when a device connects, at most once a second. New connections get what
is new; those there are keep theirs. Files that cannot be used are said, and change nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator, IProtocolFactory
from twisted.internet.ssl import CertificateOptions, TLSVersion
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from zope.interface import implementer

from xiaozhi.upkeep import Tls

EVERY: Final = 1.0
"""Seconds between two looks at the files."""
SOON: Final = 14 * 86400.0
"""Seconds before its end from which on a certificate is said to run out."""

_Stamp = tuple[tuple[int, int, int], ...]


@implementer(IOpenSSLServerConnectionCreator)
class Certificates:
    """What a connection is secured with: what the files of now say, if they are any good."""

    log = Logger()

    def __init__(self, certificate: Path, key: Path, clock: Any) -> None:
        """Read PEM files: the `certificate`, followed by its chain, and the private `key`.

        Raises OSError with a message for the operator. `clock` is the reactor.
        """
        self._certificate = certificate
        self._key = key
        self._clock = clock
        self._looked = clock.seconds()
        self._stamp = self._look()
        try:
            self._context, self.expires = self._read()
        except ValueError as error:
            raise OSError(str(error)) from error

    def wrap(self, factory: IProtocolFactory) -> IProtocolFactory:
        """Make a factory that speaks TLS for `factory`."""
        return TLSMemoryBIOFactory(self, False, factory, self._clock)

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin the TLS of one connection."""
        if self._clock.seconds() - self._looked >= EVERY:
            self._looked = self._clock.seconds()
            self.refresh()
        return SSL.Connection(self._context, None)

    def refresh(self) -> None:
        """Take files that have changed; say so, or what is wrong with them."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._context, self.expires = self._read()
        except (OSError, ValueError) as error:
            self.log.warn("{error}; the certificate of before is still used", error=error)
            return
        self.log.info("a new certificate is used, valid until {until}", until=_day(self.expires))
        self.warn()

    def warn(self) -> None:
        """Say so if the certificate has run out, or soon will."""
        left = self.expires - self._clock.seconds()
        if left < SOON:
            self.log.warn(
                "the certificate {file} {ends} on {day}",
                file=self._certificate,
                ends="ends" if left > 0 else "ended",
                day=_day(self.expires),
            )

    def _look(self) -> _Stamp:
        """Tell the state of the files; if one cannot be seen, a state of its own."""
        return tuple(_stamp(path) for path in (self._certificate, self._key))

    def _read(self) -> tuple[SSL.Context, float]:
        """Make a context, and tell until when it is valid; raises OSError or ValueError."""
        pem = _content(self._certificate, "certificate")
        leaf: Any  # Twisted takes these, though its annotations know only pyOpenSSL's
        chain: Any
        try:
            leaf, *chain = x509.load_pem_x509_certificates(pem)
        except ValueError as error:
            raise ValueError(f"{self._certificate} has no PEM certificate in it") from error
        key = self._read_key()
        options = CertificateOptions(
            privateKey=key,
            certificate=leaf,
            extraCertChain=chain,
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        try:
            context = options.getContext()
        except (SSL.Error, TypeError) as error:  # another key, or of a kind that is no use
            raise ValueError(
                f"{self._key} is not the key of the first certificate in {self._certificate}"
            ) from error
        expires: float = leaf.not_valid_after_utc.timestamp()
        return context, expires

    def _read_key(self) -> Any:
        pem = _content(self._key, "key")
        try:
            return load_pem_private_key(pem, password=None)
        except TypeError as error:
            raise ValueError(f"{self._key} is encrypted; only a plain key will do") from error
        except ValueError as error:
            raise ValueError(f"{self._key} has no PEM private key in it") from error


def certificates(settings: Tls, clock: Any) -> Certificates | None:
    """Read what `settings` name, if that is anything; raises OSError."""
    files = settings.files()
    return None if files is None else Certificates(*files, clock)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return found.st_mtime_ns, found.st_size, found.st_ino


def _content(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"cannot read {path}: {error.strerror} (server.tls.{what})") from error


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
