"""An authority, and what it signs.

Keys are on the curve P-256: libpq, Go and every Java since 8 take it, and it is as fast as any.
Ed25519 would do for libpq alone: Java knows it in TLS only since 16. Keys are written as PKCS#8,
which all of them read.

What is signed is good from an hour ago on, since clocks differ, and no longer than the authority.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from phantomdb.base.errors import Refused, UsageError
from phantomdb.base.settings import NodeSettings

#: As long as a name in a certificate may be (X.520), and a role in PostgreSQL, in bytes.
NAME_MAX = 63
_OTHER_TOOLS = "Sign with the tools that made it; docs/operate.md says what nodes look for."
#: How far clocks may differ.
_EARLIER = timedelta(hours=1)
#: Hosts as certificates name them: labels, the first of which may be any.
_HOST = re.compile(r"(\*\.)?([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?)+")


@dataclass(frozen=True, slots=True)
class Signed:
    """A certificate and its key, as PEM."""

    certificate: bytes
    key: bytes


class Authority:
    """Signs certificates of one cluster."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def make(cls, cluster: str, *, now: datetime, days: int) -> Self:
        """Return a new one; raises `UsageError` for a name that none can have."""
        check_name(cluster, "cluster")
        key = ec.generate_private_key(ec.SECP256R1())
        name = _subject(cluster, f"{cluster[:50]} authority")
        usage = _key_usage(signs_certificates=True)
        builder = (
            _builder(name, key, now, now + timedelta(days=days))
            .issuer_name(name)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def read(cls, signed: Signed) -> Self:
        """Return the one of these files; raises `Refused` if they are none."""
        try:
            certificate = x509.load_pem_x509_certificate(signed.certificate)
            key = serialization.load_pem_private_key(signed.key, password=None)
        except (ValueError, TypeError) as error:
            raise Refused(f"the authority cannot be read: {error}") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise Refused("ca.key is not on an elliptic curve", hint=_OTHER_TOOLS)
        if key.public_key() != certificate.public_key():
            raise Refused("ca.key is not the key of ca.crt", hint="Look for the other file.")
        if len(certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)) != 1:
            raise Refused("ca.crt names no cluster: it has no organization", hint=_OTHER_TOOLS)
        try:
            certificate.verify_directly_issued_by(certificate)
        except (InvalidSignature, ValueError, TypeError) as error:
            raise Refused("ca.crt is not the certificate of an authority") from error
        return cls(certificate, key)

    @property
    def cluster(self) -> str:
        """The cluster whose it is."""
        [name] = self._certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return str(name.value)

    @property
    def files(self) -> Signed:
        """What it is kept as."""
        return _signed(self._certificate, self._key)

    def sign_node(self, name: str, hosts: list[str], *, now: datetime, days: int) -> Signed:
        """Return a node's certificate for these names of hosts and addresses.

        Raises `UsageError` for what no certificate can say, `Refused` if it would outlive ours.
        """
        if not NodeSettings.is_name(name):
            raise UsageError(
                f"{name!r} is no name of a node",
                hint="It is what `phantomdb start --name` is given: letters, digits, . _ -",
            )
        if not hosts:
            raise UsageError(
                "a node is reached somewhere",
                hint="Name hosts and addresses: --host n1.example --host 10.0.0.1",
            )
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        return self._sign(name, usages, [_host(host) for host in hosts], now=now, days=days)

    def sign_client(self, role: str, *, now: datetime, days: int) -> Signed:
        """Return a client's certificate for a role; raises as `sign_node` does."""
        check_name(role, "role")
        return self._sign(role, [ExtendedKeyUsageOID.CLIENT_AUTH], [], now=now, days=days)

    def _sign(
        self,
        name: str,
        usages: list[x509.ObjectIdentifier],
        hosts: list[x509.GeneralName],
        *,
        now: datetime,
        days: int,
    ) -> Signed:
        end = now + timedelta(days=days)
        last = self._certificate.not_valid_after_utc
        if end > last:
            raise Refused(
                f"the authority ends on {last:%Y-%m-%d}, before the certificate would",
                hint=f"Choose at most --days {max((last - now).days, 0)}, or a new authority.",
            )
        key = ec.generate_private_key(ec.SECP256R1())
        ours = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours.value)
        builder = (
            _builder(_subject(self.cluster, name), key, now, end)
            .issuer_name(self._certificate.subject)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(issuer, critical=False)
        )
        if hosts:
            builder = builder.add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        return _signed(builder.sign(self._key, hashes.SHA256()), key)


def check_name(text: str, what: str) -> None:
    """Refuse what a certificate cannot name; raises `UsageError`."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise UsageError(f"the {what} {text!r} is not UTF-8") from error
    if not 0 < size <= NAME_MAX or "\0" in text:
        raise UsageError(f"a {what} has a name of 1 to {NAME_MAX} bytes, not {size}")


def _host(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text.removeprefix("[").removesuffix("]")))
    except ValueError:
        if _HOST.fullmatch(text) is None:
            raise UsageError(
                f"{text!r} is neither the name of a host nor an address",
                hint="Give it without a port, as n1.example or 10.0.0.1.",
            ) from None
        return x509.DNSName(text)


def _subject(cluster: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _builder(
    name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _signed(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Signed:
    return Signed(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
