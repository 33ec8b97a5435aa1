"""The chain and the key that manifests are signed with: the operator's, or one of the server's own making.

What a certificate has to be: C2PA specification, "Trust model", X.509 certificates.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ferrotype.config import ConfigError

FOLDER: Final = "c2pa"
CHAIN, KEY, ROOT = "chain.pem", "key.pem", "root.pem"
ORGANIZATION: Final = "Ferrotype (development, trusted by nobody)"
#: Without a time stamp a manifest is good for as long as the certificate is.
VALID: Final = timedelta(days=3650)
#: A clock that is behind ours still finds it valid.
BEFORE: Final = timedelta(days=1)
#: A new one is made so long before the old one ends.
RENEWED: Final = timedelta(days=30)
#: id-kp-documentSigning (RFC 9336), which cryptography has no name for.
DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
#: C2PA's name of the algorithm of a curve.
CURVES: Final = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
MIN_RSA_BITS: Final = 2048


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate chain and its key, both PEM; `algorithm` is C2PA's name of it, `name` whom the
    certificate was given to, `ends` when it is no longer good."""

    chain: bytes
    key: bytes
    algorithm: str
    name: str
    ends: datetime


def read_credential(chain_file: Path, key_file: Path, now: datetime) -> Credential:
    """The operator's. Raises ConfigError naming the variable at fault."""
    chain = _read("FERROTYPE_C2PA_CERTIFICATE", chain_file)
    key = _read("FERROTYPE_C2PA_KEY", key_file)
    try:
        certificate, *_ = x509.load_pem_x509_certificates(chain)
    except ValueError as error:
        raise ConfigError(
            f"FERROTYPE_C2PA_CERTIFICATE: {chain_file} is no PEM certificate ({error})."
        ) from None
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"FERROTYPE_C2PA_KEY: {key_file} is no open PEM key ({error}).") from None
    if private.public_key() != certificate.public_key():
        raise ConfigError("FERROTYPE_C2PA_KEY: it is not the key of the first certificate.")
    if certificate.issuer == certificate.subject:
        raise ConfigError("FERROTYPE_C2PA_CERTIFICATE: C2PA takes no certificate that signs itself.")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise ConfigError(
            f"FERROTYPE_C2PA_CERTIFICATE: it is good from {certificate.not_valid_before_utc:%Y-%m-%d}"
            f" to {certificate.not_valid_after_utc:%Y-%m-%d}."
        )
    return Credential(chain, key, _algorithm(private), _name(certificate), certificate.not_valid_after_utc)


def development_credential(data_dir: Path, now: datetime) -> Credential:
    """The one in the data folder, made where there is none or it ends soon.

    `c2pa/root.pem` beside it is what whoever wants to trust it adds to the anchors; the root's key is thrown
    away. Raises OSError when the folder cannot be written to.
    """
    folder = data_dir / FOLDER
    try:
        found = read_credential(folder / CHAIN, folder / KEY, now + RENEWED)
    except ConfigError:  # none, or one cut short by a crash, or one that ends
        _make(folder, now)
        found = read_credential(folder / CHAIN, folder / KEY, now)
    return found


def _make(folder: Path, now: datetime) -> None:
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _named("Ferrotype development root"), _named("Ferrotype development signer")
    root = (
        _builder(root_name, root_name, root_key, root_key, now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    usages = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION, DOCUMENT_SIGNING])
    leaf = (
        _builder(name, root_name, key, root_key, now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(usages, critical=False)
        .sign(root_key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    pem = serialization.Encoding.PEM
    # The chain comes last: without it, or with one of another key, all are made again.
    for file, data in ((ROOT, root.public_bytes(pem)), (KEY, secret), (CHAIN, leaf.public_bytes(pem))):
        _write(folder / file, data)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.CertificateBuilder:
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
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


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, and for nobody else to read."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def _read(variable: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be read ({error.strerror}).") from None


def _algorithm(key: object) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= MIN_RSA_BITS:
        return "ps256"
    raise ConfigError(
        "FERROTYPE_C2PA_KEY: C2PA takes keys on P-256, P-384 and P-521, Ed25519, and RSA from 2048 bits on."
    )


def _name(certificate: x509.Certificate) -> str:
    for oid in (NameOID.ORGANIZATION_NAME, NameOID.COMMON_NAME):
        found = certificate.subject.get_attributes_for_oid(oid)
        if found:
            return str(found[0].value)
    return certificate.subject.rfc4514_string()
