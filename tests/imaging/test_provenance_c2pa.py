"""Manifests, judged by c2pa's own reader in a process that has nothing of ours."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from imaging_pictures import PICTURES, chunk
from provenance_tools import TRAINED, URI, check_pixels, read_manifest

from ferrotype import __version__
from ferrotype.config import ConfigError, load
from ferrotype.domain.problems import InternalError, UnsupportedMedia
from ferrotype.domain.transform import Transform
from ferrotype.imaging.provenance.c2pa import Ingredient, Signing, open_signing
from ferrotype.imaging.provenance.certificates import development_credential
from ferrotype.imaging.provenance.containers import has_manifest, manifest_bytes
from ferrotype.imaging.provenance.packet import packet
from ferrotype.imaging.provenance.settings import ProvenanceSettings
from ferrotype.imaging.render import render
from ferrotype.imaging.settings import ImagingSettings

pytest.importorskip("c2pa", reason="the extra c2pa is not installed")

NOW = datetime.now(UTC)
FORMS = ("jpeg", "png", "webp", "avif", "gif")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def signing(folder: Path) -> Signing:
    found = open_signing(ProvenanceSettings(c2pa="development"), folder, NOW)
    assert found is not None
    return found


def active(store: dict[str, Any]) -> dict[str, Any]:
    return dict(store["manifests"][store["active_manifest"]])


def actions(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    (found,) = [each for each in manifest["assertions"] if each["label"].startswith("c2pa.actions")]
    return list(found["data"]["actions"])


def faults(store: dict[str, Any]) -> set[str]:
    results = store["validation_results"]["activeManifest"]
    below = [each["validationDeltas"] for each in store["validation_results"].get("ingredientDeltas", [])]
    return {fault["code"] for part in (results, *below) for fault in part["failure"]}


@pytest.mark.parametrize("form", FORMS)
def test_every_format_is_signed_and_valid(form: str, signing: Signing, folder: Path, tmp_path: Path) -> None:
    transform = Transform(w=40, crop=(0, 0, 60, 40), format=form)  # type: ignore[arg-type]
    made = render(PICTURES["png"][0], transform, ImagingSettings(), xmp=packet(TRAINED))
    found = signing.signed(made.data, source_type=TRAINED, transform=transform)
    assert has_manifest(found)
    check_pixels(found, made.data)
    store = read_manifest(tmp_path / "file", found, made.content_type, folder / "c2pa" / "root.pem")
    assert store["validation_state"] == "Trusted"
    assert faults(store) == set()
    manifest = active(store)
    assert (manifest["claim_generator_info"][0]["name"], manifest["claim_generator_info"][0]["version"]) == (
        "Ferrotype",
        __version__,
    )
    created, *others = actions(manifest)
    assert (created["action"], created["digitalSourceType"]) == ("c2pa.created", URI + TRAINED)
    assert [each["action"] for each in others] == ["c2pa.cropped", "c2pa.resized", "c2pa.transcoded"]
    assert manifest.get("ingredients", []) == []


def test_nobody_trusts_it_unasked(signing: Signing, tmp_path: Path) -> None:
    found = signing.signed(PICTURES["png"][0], source_type=TRAINED)
    store = read_manifest(tmp_path / "file", found, "image/png")
    assert store["validation_state"] == "Valid"
    assert faults(store) == {"signingCredential.untrusted"}


def test_a_changed_picture_is_found_out(signing: Signing, folder: Path, tmp_path: Path) -> None:
    found = bytearray(signing.signed(PICTURES["jpeg"][0], source_type=TRAINED))
    found[-40] ^= 0x10
    store = read_manifest(tmp_path / "file", bytes(found), "image/jpeg", folder / "c2pa" / "root.pem")
    assert store["validation_state"] == "Invalid"
    assert "assertion.dataHash.mismatch" in faults(store)


@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "avif", "gif"])
def test_a_manifest_of_the_provider_s_is_the_parent(
    source: str, signing: Signing, folder: Path, tmp_path: Path
) -> None:
    """The provider signs with a chain of its own; what it said is in ours, and still valid."""
    provider = Signing(development_credential(tmp_path / "provider", NOW))
    original = provider.signed(PICTURES[source][0], source_type=TRAINED)
    transform = Transform(w=40, format="webp")
    file = tmp_path / "original"
    file.write_bytes(original)
    made = render(file, transform, ImagingSettings(), xmp=packet(TRAINED))
    found = signing.signed(made.data, source_type=TRAINED, transform=transform, original=file)
    roots = tmp_path / "roots.pem"
    parts = (folder / "c2pa" / "root.pem", tmp_path / "provider" / "c2pa" / "root.pem")
    roots.write_text("".join(part.read_text() for part in parts))
    store = read_manifest(tmp_path / "file", found, "image/webp", roots)
    assert store["validation_state"] == "Trusted"
    assert faults(store) == set()
    manifest = active(store)
    (parent,) = manifest["ingredients"]
    assert parent["relationship"] == "parentOf"
    theirs = store["manifests"][parent["active_manifest"]]
    assert actions(theirs)[0]["action"] == "c2pa.created"
    assert theirs["signature_info"]["cert_serial_number"] != manifest["signature_info"]["cert_serial_number"]
    done = actions(manifest)
    assert [each["action"] for each in done] == ["c2pa.opened", "c2pa.resized", "c2pa.transcoded"]
    assert len(done[0]["parameters"]["ingredients"]) == 1


def test_a_download_of_a_signed_original_keeps_what_was_there(
    signing: Signing, folder: Path, tmp_path: Path
) -> None:
    original = signing.signed(PICTURES["png"][0], source_type=TRAINED)
    found = signing.signed(original, source_type=TRAINED, original=original)
    store = read_manifest(tmp_path / "file", found, "image/png", folder / "c2pa" / "root.pem")
    assert (store["validation_state"], len(store["manifests"])) == ("Trusted", 2)


def test_an_edit_has_its_upload_as_parent(signing: Signing, folder: Path, tmp_path: Path) -> None:
    term = "compositeWithTrainedAlgorithmicMedia"
    edited, upload = PICTURES["png"][0], PICTURES["jpeg"][0]
    found = signing.signed(edited, source_type=term, original=edited, upload=Ingredient("image/jpeg", upload))
    store = read_manifest(tmp_path / "file", found, "image/png", folder / "c2pa" / "root.pem")
    assert (store["validation_state"], faults(store)) == ("Trusted", set())
    manifest = active(store)
    (parent,) = manifest["ingredients"]
    assert (parent["relationship"], parent["format"]) == ("parentOf", "image/jpeg")
    opened, done = actions(manifest)
    assert opened["action"] == "c2pa.opened"
    assert (done["action"], done["digitalSourceType"]) == ("c2pa.edited", URI + term)


@pytest.mark.parametrize("form", FORMS)
def test_how_much_of_a_file_is_its_manifest(form: str, signing: Signing, tmp_path: Path) -> None:
    picture = PICTURES[form][0]
    found = signing.signed(picture, source_type=TRAINED)
    (tmp_path / "file").write_bytes(found)
    size = manifest_bytes(found)
    assert size == manifest_bytes(tmp_path / "file")
    assert 0 <= len(found) - len(picture) - size < 50  # what tells of it in a header beside
    assert manifest_bytes(picture) == 0


def test_a_past_that_is_too_large_is_referred_to(signing: Signing, folder: Path, tmp_path: Path) -> None:
    original = signing.signed(PICTURES["png"][0], source_type=TRAINED)
    address, transform = "https://pictures.test/images/1", Transform(w=40)
    size, anchors = manifest_bytes(original), folder / "c2pa" / "root.pem"
    stores = []
    for limit in (size, size - 1):
        found = replace(signing, max_past_bytes=limit).signed(
            PICTURES["webp"][0],
            source_type=TRAINED,
            transform=transform,
            original=original,
            address=address,
        )
        store = read_manifest(tmp_path / "file", found, "image/webp", anchors)
        assert (store["validation_state"], faults(store)) == ("Trusted", set())
        (parent,) = active(store)["ingredients"]
        assert (parent["relationship"], parent["informational_URI"]) == ("parentOf", address)
        stores.append(store)
    whole, referred = stores
    assert (len(whole["manifests"]), len(referred["manifests"])) == (2, 1)
    assert "digitalSourceType" not in actions(active(whole))[0]
    opened, resized = actions(active(referred))
    assert (opened["action"], opened["digitalSourceType"]) == ("c2pa.opened", URI + TRAINED)
    assert resized["action"] == "c2pa.resized"


def test_an_upload_that_is_gone_is_named_all_the_same(signing: Signing, folder: Path, tmp_path: Path) -> None:
    term = "compositeWithTrainedAlgorithmicMedia"
    found = signing.signed(PICTURES["png"][0], source_type=term, upload=Ingredient("image/jpeg"))
    store = read_manifest(tmp_path / "file", found, "image/png", folder / "c2pa" / "root.pem")
    assert (store["validation_state"], faults(store)) == ("Trusted", set())
    (parent,) = active(store)["ingredients"]
    assert (parent["format"], parent.get("active_manifest")) == ("image/jpeg", None)
    assert [each["action"] for each in actions(active(store))] == ["c2pa.opened", "c2pa.edited"]


def test_an_upload_brings_its_own_manifest(signing: Signing, folder: Path, tmp_path: Path) -> None:
    term = "compositeWithTrainedAlgorithmicMedia"
    upload = Ingredient("image/jpeg", signing.signed(PICTURES["jpeg"][0], source_type="digitalCapture"))
    found = signing.signed(PICTURES["png"][0], source_type=term, upload=upload)
    store = read_manifest(tmp_path / "file", found, "image/png", folder / "c2pa" / "root.pem")
    assert (store["validation_state"], len(store["manifests"])) == ("Trusted", 2)


def test_a_certificate_that_c2pa_does_not_take_is_told(tmp_path: Path) -> None:
    """One for a web server: nothing in it says that it may sign documents."""
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name, issuer = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in ("leaf", "root"))
    leaf = (
        x509.CertificateBuilder(issuer, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=90))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (tmp_path / "chain.pem").write_bytes(leaf.public_bytes(pem))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    settings = ProvenanceSettings(
        c2pa="certificate",
        c2pa_certificate=str(tmp_path / "chain.pem"),
        c2pa_key=str(tmp_path / "key.pem"),
    )
    with pytest.raises(ConfigError, match=r"FERROTYPE_C2PA_CERTIFICATE: C2PA does not take it"):
        open_signing(settings, tmp_path, NOW)


def test_nothing_is_claimed_of_an_upload_but_its_past(signing: Signing, tmp_path: Path) -> None:
    upload, resized = PICTURES["png"][0], PICTURES["webp"][0]
    assert signing.signed(resized, source_type=None, original=upload) is resized
    camera = signing.signed(PICTURES["jpeg"][0], source_type="digitalCapture")
    transform = Transform(w=40)
    found = signing.signed(resized, source_type=None, transform=transform, original=camera)
    manifest = active(read_manifest(tmp_path / "file", found, "image/webp"))
    assert [each["action"] for each in actions(manifest)] == ["c2pa.opened", "c2pa.resized"]


def test_a_past_that_cannot_be_read_is_not_hidden(signing: Signing) -> None:
    png = PICTURES["png"][0]
    original = png[:33] + chunk(b"caBX", b"a manifest of another age") + png[33:]
    assert has_manifest(original)
    assert signing.signed(PICTURES["webp"][0], source_type=TRAINED, original=original) is PICTURES["webp"][0]


def test_a_format_without_manifests_comes_back_as_it_is(signing: Signing) -> None:
    tiff = PICTURES["tiff"][0]
    assert signing.signed(tiff, source_type=TRAINED) is tiff
    with pytest.raises(UnsupportedMedia):
        signing.signed(b"no picture", source_type=TRAINED)


def test_threads_do_not_disturb_each_other(signing: Signing, folder: Path, tmp_path: Path) -> None:
    names = ("jpeg", "png", "webp") * 8
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda name: signing.signed(PICTURES[name][0], source_type=TRAINED), names))
    assert len(set(made)) == len(made)
    for name, data in list(zip(names, made, strict=True))[-3:]:
        root = folder / "c2pa" / "root.pem"
        assert read_manifest(tmp_path / name, data, PICTURES[name][1], root)["validation_state"] == "Trusted"


def test_the_development_certificate_is_made_once(tmp_path: Path) -> None:
    first = development_credential(tmp_path, NOW)
    assert development_credential(tmp_path, NOW + timedelta(days=3000)) == first
    folder = tmp_path / "c2pa"
    assert {path.name for path in folder.iterdir()} == {"chain.pem", "key.pem", "root.pem"}
    assert [path.stat().st_mode & 0o077 for path in folder.iterdir()] == [0, 0, 0]
    assert folder.stat().st_mode & 0o077 == 0
    leaf, root = (
        x509.load_pem_x509_certificate((folder / f"{name}.pem").read_bytes()) for name in ("chain", "root")
    )
    leaf.verify_directly_issued_by(root)
    (folder / "chain.pem").write_bytes(b"")  # as a crash may leave it
    second = development_credential(tmp_path, NOW)
    assert second.key != first.key
    later = development_credential(tmp_path, NOW + timedelta(days=3640))
    assert later.ends > second.ends


def test_a_certificate_of_the_operator_s(signing: Signing, folder: Path, tmp_path: Path) -> None:
    chain, key = folder / "c2pa" / "chain.pem", folder / "c2pa" / "key.pem"
    environ = {
        "FERROTYPE_C2PA": "certificate",
        "FERROTYPE_C2PA_CERTIFICATE": str(chain),
        "FERROTYPE_C2PA_KEY": str(key),
    }
    found = open_signing(load(ProvenanceSettings, environ), tmp_path, NOW)
    assert found == signing
    assert not list(tmp_path.iterdir())
    found.check()


def test_what_is_wrong_with_a_certificate_is_told(signing: Signing, folder: Path, tmp_path: Path) -> None:
    chain, key = folder / "c2pa" / "chain.pem", folder / "c2pa" / "key.pem"
    other = tmp_path / "other"
    development_credential(other, NOW)
    (tmp_path / "junk").write_bytes(b"junk")

    def fault(certificate: Path, private: Path, now: datetime = NOW) -> str:
        settings = ProvenanceSettings(
            c2pa="certificate", c2pa_certificate=str(certificate), c2pa_key=str(private)
        )
        with pytest.raises(ConfigError) as caught:
            open_signing(settings, tmp_path, now)
        return str(caught.value)

    assert fault(tmp_path / "none", key).startswith("FERROTYPE_C2PA_CERTIFICATE: ")
    assert fault(tmp_path / "junk", key).startswith("FERROTYPE_C2PA_CERTIFICATE: ")
    assert fault(chain, tmp_path / "none").startswith("FERROTYPE_C2PA_KEY: ")
    assert fault(chain, tmp_path / "junk").startswith("FERROTYPE_C2PA_KEY: ")
    assert "is not the key" in fault(chain, other / "c2pa" / "key.pem")
    assert "good from" in fault(chain, key, NOW + timedelta(days=4000))
    for only in ("c2pa_certificate", "c2pa_key", None):
        with pytest.raises(ConfigError, match="needs FERROTYPE_C2PA_CERTIFICATE and FERROTYPE_C2PA_KEY"):
            load(
                ProvenanceSettings,
                {"FERROTYPE_C2PA": "certificate"},
                {"provenance": {only: "x"} if only else {}},
            )


def test_a_silent_time_stamp_authority_is_a_fault_of_ours(signing: Signing) -> None:
    with_time = Signing(signing.credential, "http://127.0.0.1:9/")
    with pytest.raises(InternalError, match="could not be signed"):
        with_time.signed(PICTURES["png"][0], source_type=TRAINED)


def test_the_library_is_loaded_only_where_it_is_used(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from datetime import datetime, UTC\n"
        "from pathlib import Path\n"
        "from ferrotype.imaging.provenance.c2pa import open_signing\n"
        "from ferrotype.imaging.provenance.settings import ProvenanceSettings\n"
        "assert open_signing(ProvenanceSettings(), Path(sys.argv[1]), datetime.now(UTC)) is None\n"
        "assert 'c2pa' not in sys.modules\n"
        "sys.modules['c2pa'] = None\n"
        "open_signing(ProvenanceSettings(c2pa='development'), Path(sys.argv[1]), datetime.now(UTC))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "ConfigError: FERROTYPE_C2PA: the package c2pa-python is missing" in found.stderr
    assert not list(tmp_path.iterdir())
