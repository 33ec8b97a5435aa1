"""What is particular about stores that are elsewhere: faults on the way, credentials, signed URLs."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from obstore.exceptions import GenericError

from ferrotype.domain.problems import Overloaded, StoreMisconfigured, StoreUnavailable
from ferrotype.sim.gcs import GcsSim
from ferrotype.sim.options import Failure
from ferrotype.storage.base import WrongBytes
from ferrotype.storage.fingerprint import fingerprint
from ferrotype.storage.object_clients import s3
from ferrotype.storage.object_errors import translated
from ferrotype.storage.object_store import CACHE_CONTROL, PART_BYTES, ObjectStore
from ferrotype.storage.store_settings import S3Settings
from tests.ports import free_port
from tests.storage.azurite import ACCOUNT, OTHER_KEY, Azurite
from tests.storage.azurite import KEY as KEY_OF_AZURE
from tests.storage.conftest import gcs_store
from tests.storage.proxy import Proxy
from tests.storage.seaweed import READER, WRITER, Seaweed
from tests.storage.wrong_clock import POSSIBLE, health

MIB = 1024 * 1024
KEY = "2026/01/31/picture.png"
SMALL = os.urandom(MIB)
#: Three parts, the last of them short.
LARGE = os.urandom(2 * PART_BYTES + 12_345)


@dataclass
class Place:
    """A service, a way to a store there over any port, and what it has."""

    port: int
    store: Callable[..., ObjectStore]
    keys: Callable[[], Any]
    secret: str
    path: str = ""

    def at(self, port: int) -> str:
        """The service's address by another way."""
        return f"http://127.0.0.1:{port}{self.path}"


@pytest.fixture(params=["s3", "gcs", "azure"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "s3":
        server: Seaweed = request.getfixturevalue("s3_server")
        return Place(server.port, server.store, server.keys, WRITER[1])
    if request.param == "azure":
        emulator: Azurite = request.getfixturevalue("azure_server")
        return Place(emulator.port, emulator.store, emulator.keys, KEY_OF_AZURE, f"/{ACCOUNT}")
    sim: GcsSim = request.getfixturevalue("gcs_sim")

    async def keys() -> list[str]:
        return sorted(name for _, name in sim.buckets.objects)

    def store(**values: Any) -> ObjectStore:
        return gcs_store(sim, **values)

    return Place(sim.port, store, keys, "PRIVATE KEY")


def a_file(folder: Path, body: bytes) -> dict[str, Any]:
    path = folder / "source"
    path.write_bytes(body)
    return {"source": path, "content_type": "image/png", "sha256": hashlib.sha256(body).hexdigest()}


async def read(store: ObjectStore, key: str) -> bytes:
    return b"".join([chunk async for chunk in store.open(key)])


async def test_a_large_picture_goes_in_parts(place: Place, tmp_path: Path) -> None:
    store = place.store()
    file = a_file(tmp_path, LARGE)
    await store.put(KEY, **file)
    assert await read(store, KEY) == LARGE
    await store.put(KEY, **file)
    assert await place.keys() == [KEY]


async def test_a_picture_is_sent_once(gcs_sim: GcsSim, tmp_path: Path) -> None:
    store = gcs_store(gcs_sim)
    for body, sent in ((SMALL, "put object"), (LARGE, "complete upload")):
        gcs_sim.journal.clear()
        for _ in range(3):
            await store.put(f"{sent[:3]}.png", **a_file(tmp_path, body))
        assert gcs_sim.journal.count(sent) == 1


async def test_the_md5_of_the_service_saves_reading_back(gcs_sim: GcsSim, tmp_path: Path) -> None:
    """Google tells one for what came in one piece; what came in parts is read back."""
    store = gcs_store(gcs_sim)
    await store.put("small.png", **a_file(tmp_path, SMALL))
    assert gcs_sim.journal.count("get object") == 0
    await store.put("large.png", **a_file(tmp_path, LARGE))
    assert gcs_sim.journal.count("get object") == 1


@pytest.mark.parametrize("body", [SMALL, LARGE])
async def test_a_bit_that_turned_on_the_way_is_found(gcs_sim: GcsSim, tmp_path: Path, body: bytes) -> None:
    store = gcs_store(gcs_sim)
    gcs_sim.script.corrupt = 1
    with pytest.raises(WrongBytes):
        await store.put(KEY, **a_file(tmp_path, body))
    assert not gcs_sim.buckets.objects
    await store.put(KEY, **a_file(tmp_path, body))
    assert await read(store, KEY) == body


async def test_a_bit_that_turned_on_the_way_to_azure(azure_server: Azurite, tmp_path: Path) -> None:
    """Its signatures do not cover what is sent: the service takes it."""
    async with Proxy(azure_server.port) as proxy:
        store = azure_server.store(endpoint=f"{proxy.url}/{ACCOUNT}")
        proxy.turn_bit(there=len(SMALL) // 2)
        with pytest.raises(WrongBytes, match="store azure"):
            await store.put(KEY, **a_file(tmp_path, SMALL))
        assert await azure_server.keys() == []
        await store.put(KEY, **a_file(tmp_path, SMALL))
        assert await read(store, KEY) == SMALL


async def test_a_file_that_is_not_what_it_should_be_is_not_sent(place: Place, tmp_path: Path) -> None:
    file = a_file(tmp_path, SMALL)
    with pytest.raises(WrongBytes):
        await place.store().put(KEY, **(file | {"sha256": "0" * 64}))
    assert await place.keys() == []


async def test_nobody_listens(place: Place, tmp_path: Path) -> None:
    store = place.store(endpoint=place.at(free_port()))
    file = a_file(tmp_path, SMALL)
    for call in (
        lambda: store.put(KEY, **file),
        lambda: store.size(KEY),
        lambda: store.delete(KEY),
        lambda: read(store, KEY),
    ):
        with pytest.raises(StoreUnavailable, match="nothing listens there") as caught:
            await call()
        assert caught.value.retryable
        assert isinstance(caught.value, Overloaded)
        assert store.name in caught.value.detail
    health = await store.health()
    assert not health.ok
    assert "nothing listens there" in health.detail


@pytest.mark.parametrize("body", [SMALL, LARGE])
async def test_an_upload_that_is_cut(place: Place, tmp_path: Path, body: bytes) -> None:
    file = a_file(tmp_path, body)
    async with Proxy(place.port) as proxy:
        store = place.store(endpoint=place.at(proxy.port))
        proxy.cut_after(there=len(body) // 2)
        with pytest.raises(StoreUnavailable):
            await store.put(KEY, **file)
        assert proxy.broke
        assert await place.keys() == []
        assert await place.store().size(KEY) is None
        proxy.mend()
        await store.put(KEY, **file)
        assert await read(store, KEY) == body


async def test_the_answer_to_an_upload_is_lost(gcs_sim: GcsSim, tmp_path: Path) -> None:
    """The picture is there already: the next put finds it and sends nothing."""
    store = gcs_store(gcs_sim)
    gcs_sim.script.failures = [Failure("put object", status=0, times=-1, after=True)]
    with pytest.raises(StoreUnavailable):
        await store.put(KEY, **a_file(tmp_path, SMALL))
    gcs_sim.script.failures = []
    gcs_sim.journal.clear()
    await store.put(KEY, **a_file(tmp_path, SMALL))
    assert gcs_sim.journal.count("put object") == 0


async def test_reading_that_is_cut_never_ends_as_if_it_were_whole(place: Place, tmp_path: Path) -> None:
    await place.store().put(KEY, **a_file(tmp_path, LARGE))
    async with Proxy(place.port) as proxy:
        store = place.store(endpoint=place.at(proxy.port))
        proxy.cut_after(back=3 * MIB)
        got = bytearray()

        async def pour() -> None:
            async for chunk in store.open(KEY):
                got.extend(chunk)

        with pytest.raises(StoreUnavailable):
            await pour()
        assert LARGE.startswith(got)
        assert len(got) < len(LARGE)


async def test_a_service_that_falls_silent(place: Place, tmp_path: Path) -> None:
    async with Proxy(place.port) as proxy:
        store = place.store(endpoint=place.at(proxy.port), timeout=0.3)
        proxy.hold()
        with pytest.raises(StoreUnavailable, match="does not answer in time"):
            await store.put(KEY, **a_file(tmp_path, SMALL))
        with pytest.raises(StoreUnavailable, match="does not answer in time"):
            await read(store, KEY)


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_a_service_that_asks_for_patience(gcs_sim: GcsSim, tmp_path: Path, status: int) -> None:
    store = gcs_store(gcs_sim)
    gcs_sim.script.failures = [Failure("put object", status=status, times=2, body="<Code>SlowDown</Code>")]
    with pytest.raises(StoreUnavailable, match="SlowDown"):
        await store.put(KEY, **a_file(tmp_path, SMALL))
    await store.put(KEY, **a_file(tmp_path, SMALL))


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"secret_access_key": "another-secret-it-is"}, "secret of the access key"),
        ({"access_key_id": "nobody"}, "access key"),
        ({"access_key_id": READER[0], "secret_access_key": READER[1]}, "read, write and delete"),
        ({"bucket": "nowhere"}, ""),
    ],
)
async def test_s3_refuses(s3_server: Seaweed, tmp_path: Path, values: dict[str, str], mend: str) -> None:
    store = s3_server.store(**values)
    with pytest.raises(StoreMisconfigured) as caught:
        await store.put(KEY, **a_file(tmp_path, SMALL))
    health = await store.health()
    assert not health.ok
    for text in (caught.value.detail, health.detail):
        assert "store s3" in text
        assert mend in text
        assert WRITER[1] not in text
        assert values.get("secret_access_key", WRITER[1]) not in text
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("values", "mend"),
    [
        ({"account_key": OTHER_KEY}, "correct the account's key"),
        ({"container": "nowhere"}, "make the container"),
        ({"account_key": None, "sas_token": {"rights": "r"}}, "allow these credentials"),
        ({"account_key": None, "sas_token": {"kinds": "c"}}, "containers and objects"),
        ({"account_key": None, "sas_token": {"age": timedelta(days=1)}}, "SAS"),
    ],
)
async def test_azure_refuses(
    azure_server: Azurite, tmp_path: Path, values: dict[str, Any], mend: str
) -> None:
    if rights := values.get("sas_token"):
        values = {**values, "sas_token": azure_server.sas(**rights)}
    store = azure_server.store(**values)
    with pytest.raises(StoreMisconfigured) as caught:
        await store.put(KEY, **a_file(tmp_path, SMALL))
    health = await store.health()
    assert not health.ok
    for text in (caught.value.detail, health.detail):
        assert "store azure refuses us" in text
        assert mend in text
        assert "sig=" not in text
        assert OTHER_KEY not in text
    assert caught.value.retryable
    assert await azure_server.keys() == []


@pytest.mark.parametrize("secret", ["AccountKey", "SharedAccessSignature"])
async def test_a_connection_string_is_enough(azure_server: Azurite, tmp_path: Path, secret: str) -> None:
    value = KEY_OF_AZURE if secret == "AccountKey" else azure_server.sas()
    text = f"AccountName={ACCOUNT};{secret}={value};BlobEndpoint={azure_server.url};"
    store = azure_server.store(account=None, account_key=None, endpoint=None, connection_string=text)
    await store.put(KEY, **a_file(tmp_path, LARGE))
    assert await read(store, KEY) == LARGE
    assert await azure_server.keys() == [KEY]


@pytest.mark.skipif(not POSSIBLE, reason="libfaketime comes for Linux on x86-64")
@pytest.mark.parametrize("off", ["-2h", "+2h"])
async def test_a_clock_that_is_off(s3_server: Seaweed, off: str) -> None:
    """The real server's word for it, and ours."""
    told = await asyncio.to_thread(health, "s3", s3_server.settings(), off)
    assert not told["ok"]
    assert "store s3 refuses us (RequestTimeTooSkewed): set this machine's clock" in told["detail"]
    assert WRITER[1] not in told["detail"]


#: Answers as the services write them: status, body, and what we make of it.
REFUSALS = [
    (403, "<Code>RequestTimeTooSkewed</Code>", "set this machine's clock"),
    (
        403,
        "<Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Request date header too old: 'Sat, 21"
        " Nov 2026 20:00:00 GMT'</AuthenticationErrorDetail>",
        "set this machine's clock",
    ),
    (
        403,
        "<Code>AuthenticationFailed</Code><AuthenticationErrorDetail>Signature not valid in the specified"
        " time frame: Start [Sat, 21 Nov 2026 20:00:00 GMT]</AuthenticationErrorDetail>",
        "renew the SAS, or set this machine's clock",
    ),
    (
        400,
        '{"error": "invalid_grant", "error_description": "Invalid JWT: Token must be a short-lived token (60'
        ' minutes) and in a reasonable timeframe. Check your iat and exp values in the JWT claim."}',
        "set this machine's clock",
    ),
    (400, '{"error": "invalid_grant", "error_description": "Invalid JWT Signature."}', "still good"),
    (403, "<Code>AccountIsDisabled</Code>", "see what is wrong with the account"),
    (403, "", "give correct credentials"),
    (401, "", "give correct credentials"),
]


@pytest.mark.parametrize(("status", "body", "mend"), REFUSALS)
async def test_what_a_refusal_means(
    gcs_sim: GcsSim, tmp_path: Path, status: int, body: str, mend: str
) -> None:
    gcs_sim.script.failures = [Failure("put object", status, -1, body)]
    with pytest.raises(StoreMisconfigured, match="store gcs refuses us") as caught:
        await gcs_store(gcs_sim).put(KEY, **a_file(tmp_path, SMALL))
    assert mend in caught.value.detail
    assert caught.value.retryable
    gcs_sim.script.failures = []
    await gcs_store(gcs_sim).put(KEY, **a_file(tmp_path, SMALL))


def test_a_deletion_that_azure_refuses() -> None:
    """Of deletions obstore repeats the service's words in a form of its own."""
    refused = GenericError("Bulk delete request failed for key a: This request is not allowed. (code: 403)")
    problem = translated(refused, "azure")
    assert isinstance(problem, StoreMisconfigured)
    assert "give correct credentials" in problem.detail


@pytest.mark.parametrize("code", ["XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "-"])
async def test_a_full_service(gcs_sim: GcsSim, tmp_path: Path, code: str) -> None:
    status = 507 if code == "-" else 403
    gcs_sim.script.failures = [Failure("put object", status, -1, f"<Code>{code}</Code>")]
    with pytest.raises(StoreUnavailable, match="store gcs is full"):
        await gcs_store(gcs_sim).put(KEY, **a_file(tmp_path, SMALL))


async def test_an_absent_bucket(s3_server: Seaweed, gcs_sim: GcsSim, tmp_path: Path) -> None:
    admin = s3_server.admin(bucket="nowhere-yet")
    with pytest.raises(StoreMisconfigured, match="make the bucket, or correct its name"):
        await read(admin, KEY)
    with pytest.raises(StoreMisconfigured, match="make the bucket, or correct its name"):
        await gcs_store(gcs_sim, bucket="nowhere").put(KEY, **a_file(tmp_path, SMALL))


async def test_gcs_refuses(gcs_sim: GcsSim, tmp_path: Path) -> None:
    async with GcsSim() as other:
        foreign = other.service_account()
    for values in (
        {"service_account_key": foreign},
        {"service_account_key": None, "anonymous": True},
    ):
        store = gcs_store(gcs_sim, **values)
        with pytest.raises(StoreMisconfigured, match="store gcs refuses us") as caught:
            await store.put(KEY, **a_file(tmp_path, SMALL))
        assert "PRIVATE" not in caught.value.detail
        assert not (await store.health()).ok


async def test_the_environment_does_not_mix_with_keys_that_are_given(
    s3_server: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another key")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "and its secret")
    await s3_server.store().put(KEY, **a_file(tmp_path, SMALL))
    assert await s3_server.keys() == [KEY]


async def test_public_urls(place: Place) -> None:
    assert await place.store().public_url(KEY) is None
    open_to_all = place.store(public_url="https://cdn.example.com/p/", presigned=True)
    assert await open_to_all.public_url(KEY) == f"https://cdn.example.com/p/{KEY}"


async def test_a_signed_url_gives_the_picture_to_anybody(place: Place, tmp_path: Path) -> None:
    store = place.store(presigned=True, presigned_seconds=77)
    await store.put(KEY, **a_file(tmp_path, SMALL))
    url = await store.public_url(KEY)
    assert url is not None
    assert place.secret not in url
    assert lifetime(url) == 77
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as response:
            assert response.status == 200
            assert await response.read() == SMALL
            assert response.headers["Content-Type"] == "image/png"
            assert response.headers["Cache-Control"] == CACHE_CONTROL
        async with session.get(url.replace("picture.png", "another.png")) as response:
            assert response.status == 403
        async with session.get(url.partition("?")[0]) as response:
            assert response.status == 403


def lifetime(url: str) -> float:
    """Seconds from the beginning of a signature to its end, as each service writes it."""
    query = dict(parse_qsl(urlsplit(url).query))
    for name in ("X-Amz-Expires", "X-Goog-Expires"):
        if name in query:
            return float(query[name])
    return (datetime.fromisoformat(query["se"]) - datetime.fromisoformat(query["st"])).total_seconds()


async def test_a_place_that_is_not_there(gcs_sim: GcsSim, tmp_path: Path) -> None:
    """Whatever the service calls it: a job that met it must go on trying."""
    gcs_sim.script.failures = [Failure("put object", 404)]
    with pytest.raises(StoreMisconfigured, match="bucket pictures at http"):
        await gcs_store(gcs_sim).put(KEY, **a_file(tmp_path, SMALL))


@pytest.mark.parametrize("size", [0, 1, 8, 9, 16, 17])
async def test_the_etag_of_a_file(tmp_path: Path, size: int) -> None:
    body = os.urandom(size)
    path = tmp_path / "file"
    path.write_bytes(body)
    taken = fingerprint(path, 8)
    parts = [hashlib.md5(body[at : at + 8]).digest() for at in range(0, size, 8)] or [hashlib.md5().digest()]
    told = parts[0].hex() if len(parts) == 1 else f"{hashlib.md5(b''.join(parts)).hexdigest()}-{len(parts)}"
    assert (taken.size, taken.sha256, taken.etag) == (size, hashlib.sha256(body).hexdigest(), told)
    assert taken.matches(size, f'"{told.upper()}"')
    assert not taken.matches(size + 1, told)
    assert not taken.matches(size, None)


async def test_an_attribute_survives_parts(gcs_sim: GcsSim, tmp_path: Path) -> None:
    await gcs_store(gcs_sim).put(KEY, **a_file(tmp_path, LARGE))
    headers = gcs_sim.buckets.objects["pictures", KEY].headers
    assert headers == {"Content-Type": "image/png", "Cache-Control": CACHE_CONTROL}


async def test_an_upload_that_broke_leaves_no_parts(gcs_sim: GcsSim, tmp_path: Path) -> None:
    gcs_sim.script.failures = [Failure("complete upload", 403)]
    with pytest.raises(StoreMisconfigured):
        await gcs_store(gcs_sim).put(KEY, **a_file(tmp_path, LARGE))
    assert gcs_sim.buckets.uploads == {}


@pytest.mark.parametrize(
    ("values", "begin"),
    [
        ({}, "https://pictures.s3.eu-central-1.amazonaws.com/"),
        ({"path_style": True}, "https://s3.eu-central-1.amazonaws.com/pictures/"),
        ({"endpoint": "https://s3.example.com:9000/"}, "https://s3.example.com:9000/pictures/"),
        (
            {"endpoint": "https://s3.example.com:9000", "path_style": False},
            "https://pictures.s3.example.com:9000/",
        ),
    ],
)
async def test_where_a_bucket_of_s3_is(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], begin: str
) -> None:
    for name in ("AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    given = {"bucket": "pictures", "region": "eu-central-1", "access_key_id": "k", "secret_access_key": "s"}
    settings = S3Settings(**(given | {"presigned": True} | values))
    url = await s3(settings, "s3").public_url(KEY)
    assert url is not None
    assert url.startswith(f"{begin}{KEY}?")


async def test_where_a_bucket_of_google_is(gcs_sim: GcsSim) -> None:
    key = json.loads(gcs_sim.service_account())
    del key["gcs_base_url"]
    store = gcs_store(gcs_sim, endpoint=None, service_account_key=json.dumps(key), presigned=True)
    url = await store.public_url(KEY)
    assert url is not None
    assert url.startswith(f"https://storage.googleapis.com/pictures/{KEY}?")


async def test_a_key_in_a_file(gcs_sim: GcsSim, tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(gcs_sim.service_account())
    store = gcs_store(gcs_sim, service_account_key=None, credentials_file=str(path))
    await store.put(KEY, **a_file(tmp_path, SMALL))
    assert await read(store, KEY) == SMALL


async def test_an_own_certificate_authority(tmp_path: Path) -> None:
    authority, certificate, key = certificates(tmp_path)
    async with GcsSim(tls=(str(certificate), str(key))) as sim:
        untrusted = gcs_store(sim)
        with pytest.raises(StoreUnavailable, match="certificate is not trusted"):
            await untrusted.put(KEY, **a_file(tmp_path, SMALL))
        store = gcs_store(sim, ca_file=str(authority))
        await store.put(KEY, **a_file(tmp_path, SMALL))
        assert await read(store, KEY) == SMALL


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """PEM files of an authority, of a server's certificate that it signed, and of the server's key. (The one
    that the other tests use is its own authority, which obstore's TLS takes from nobody.)"""
    now = datetime.now(UTC)
    signing, serving = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    ours = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an authority")])
    theirs = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a server")])

    def made(subject: x509.Name, key: ec.EllipticCurvePrivateKey, *more: x509.ExtensionType) -> bytes:
        builder = x509.CertificateBuilder(ours, subject, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        for each in more:
            builder = builder.add_extension(each, critical=False)
        return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    paths = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(made(ours, signing, x509.BasicConstraints(ca=True, path_length=None)))
    name = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    paths[1].write_bytes(made(theirs, serving, x509.BasicConstraints(ca=False, path_length=None), name))
    paths[2].write_bytes(
        serving.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return paths
