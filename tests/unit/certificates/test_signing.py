from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from hypothesis import given
from hypothesis import strategies as st

from phantomdb.base.errors import Refused, UsageError
from phantomdb.certificates.signing import Authority, Signed

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.make("bank", now=NOW, days=3_650)


def read(signed: Signed) -> x509.Certificate:
    return x509.load_pem_x509_certificate(signed.certificate)


def name(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> str:
    [found] = certificate.subject.get_attributes_for_oid(oid)
    return str(found.value)


def usages(certificate: x509.Certificate) -> set[x509.ObjectIdentifier]:
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


def policy(authority: Authority, at: datetime) -> PolicyBuilder:
    return PolicyBuilder().store(Store([read(authority.files)])).time(at)


@pytest.mark.parametrize("host", ["n1.example", "*.db.example", "10.0.0.1", "fd00::1", "[fd00::2]"])
def test_a_node_is_who_a_client_has_dialled(authority: Authority, host: str):
    signed = authority.sign_node("n1", ["localhost", host], now=NOW, days=365)
    certificate = read(signed)
    assert name(certificate, NameOID.COMMON_NAME) == "n1"
    assert name(certificate, NameOID.ORGANIZATION_NAME) == "bank"
    assert usages(certificate) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    plain = host.strip("[]")
    is_name = plain[-1].isalpha()
    dialled = plain.replace("*", "a")
    subject = x509.DNSName(dialled) if is_name else x509.IPAddress(ip_address(dialled))
    policy(authority, NOW).build_server_verifier(subject).verify(certificate, [])
    other = policy(authority, NOW).build_server_verifier(x509.DNSName("other.example"))
    with pytest.raises(VerificationError):
        other.verify(certificate, [])


def test_a_client_is_its_role_and_no_node(authority: Authority):
    certificate = read(authority.sign_client("alice", now=NOW, days=365))
    assert name(certificate, NameOID.COMMON_NAME) == "alice"
    assert usages(certificate) == {ExtendedKeyUsageOID.CLIENT_AUTH}


def test_a_certificate_is_good_for_its_days_and_an_hour_before(authority: Authority):
    certificate = read(authority.sign_node("n1", ["n1.example"], now=NOW, days=3))
    subject = x509.DNSName("n1.example")
    for at, is_good in [
        (NOW - timedelta(minutes=61), False),
        (NOW - timedelta(minutes=59), True),
        (NOW + timedelta(days=3), True),
        (NOW + timedelta(days=3, seconds=1), False),
    ]:
        verifier = policy(authority, at).build_server_verifier(subject)
        if is_good:
            verifier.verify(certificate, [])
        else:
            with pytest.raises(VerificationError):
                verifier.verify(certificate, [])


def test_nothing_outlives_the_authority(authority: Authority):
    later = NOW + timedelta(days=3_600)
    authority.sign_client("alice", now=later, days=50)
    with pytest.raises(Refused, match="the authority ends on 2039-12-30") as caught:
        authority.sign_client("alice", now=later, days=51)
    assert "--days 50" in caught.value.hint


def test_an_authority_is_read_as_it_was_written(authority: Authority):
    again = Authority.read(authority.files)
    assert again.cluster == "bank"
    certificate = read(again.sign_node("n1", ["n1.example"], now=NOW, days=1))
    policy(authority, NOW).build_server_verifier(x509.DNSName("n1.example")).verify(certificate, [])


def test_files_that_are_no_authority_are_refused(authority: Authority):
    other = Authority.make("bank", now=NOW, days=1).files
    good = authority.files
    client = authority.sign_client("alice", now=NOW, days=1)
    for certificate, key, why in [
        (good.certificate, other.key, "not the key of ca.crt"),
        (client.certificate, client.key, "not the certificate of an authority"),
        (b"", good.key, "cannot be read"),
        (good.certificate, b"", "cannot be read"),
        (good.certificate[:-40], good.key, "cannot be read"),
        (good.certificate, good.key.replace(b"PRIVATE", b"PUBLIC"), "cannot be read"),
        (*of_another_kind("bank", rsa.generate_private_key(65_537, 2048)), "elliptic curve"),
        (*of_another_kind(None, ec.generate_private_key(ec.SECP256R1())), "names no cluster"),
    ]:
        with pytest.raises(Refused, match=why):
            Authority.read(Signed(certificate, key))


def of_another_kind(
    cluster: str | None, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
) -> tuple[bytes, bytes]:
    said = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster)] if cluster else []
    subject = x509.Name([*said, x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
    builder = builder.public_key(key.public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    certificate = builder.sign(key, hashes.SHA256())
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


@pytest.mark.parametrize(
    "host", ["", "n1.example:5432", "10.0.0.1:5432", "a b", "-a", "*", "a.*.b", "ä.example", "a/b"]
)
def test_a_host_that_nobody_could_dial_is_refused(authority: Authority, host: str):
    with pytest.raises(UsageError, match="neither the name of a host nor an address"):
        authority.sign_node("n1", [host], now=NOW, days=1)


def test_a_node_without_a_host_or_with_another_name_is_refused(authority: Authority):
    with pytest.raises(UsageError, match="reached somewhere"):
        authority.sign_node("n1", [], now=NOW, days=1)
    with pytest.raises(UsageError, match="no name of a node"):
        authority.sign_node("n 1", ["a"], now=NOW, days=1)


@given(st.text(max_size=80))
def test_a_role_is_signed_as_it_is_or_refused(authority: Authority, role: str):
    try:
        signed = authority.sign_client(role, now=NOW, days=1)
    except UsageError:
        assert not 0 < len(role.encode(errors="replace")) <= 63 or "\0" in role
    else:
        assert name(read(signed), NameOID.COMMON_NAME) == role
