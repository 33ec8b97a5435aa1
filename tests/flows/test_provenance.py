"""What pictures tell of themselves, through the whole server, read by programs that are not ours."""

from __future__ import annotations

import hashlib
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from ferrotype.app.settings import load_settings
from ferrotype.cli.doctor import CHECKS, Finding
from ferrotype.config import ConfigError
from ferrotype.domain.clock import SystemClock
from ferrotype.imaging.provenance.certificates import development_credential
from ferrotype.imaging.provenance.strip import stripped
from ferrotype.sim.comfyui import ComfySim
from tests.flows.harness import Client, running
from tests.imaging.imaging_pictures import PICTURES
from tests.imaging.provenance_tools import URI, check_pixels, complaints, read_manifest, told
from tests.services.archives import contents, manifest
from tests.storage.valkey import running as valkey

FOX = {"prompt": "a fox under the moon", "width": 256, "height": 256, "seed": 7}
ORDER = {"prompt": "a secret fox", "width": 256, "height": 256, "params": {"steps": 2}}
FORMS = ("jpeg", "png", "webp", "avif")
TRAINED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"
SIGNED = {"FERROTYPE_C2PA": "development"}


async def ordered(client: Client, **order: Any) -> dict[str, Any]:
    reply = await client.order(**order)
    assert (reply.status, reply.json["status"]) == (201, "succeeded"), reply.body
    (asset,) = reply.json["output"]
    return dict(asset)


def active(store: dict[str, Any]) -> dict[str, Any]:
    return dict(store["manifests"][store["active_manifest"]])


def actions(store: dict[str, Any]) -> list[str]:
    (found,) = [each for each in active(store)["assertions"] if each["label"].startswith("c2pa.actions")]
    return [each["action"] for each in found["data"]["actions"]]


async def signing(client: Client) -> dict[str, Any]:
    return dict((await client.get("/readyz")).json["checks"]["signing"])


@pytest.mark.parametrize("form", FORMS)
async def test_exiftool_reads_the_source_type_of_what_is_delivered(
    client: Client, tmp_path: Path, form: str
) -> None:
    asset = await ordered(client, **FOX)
    variant = await client.get(f"{asset['url']}?w=128&format={form}")
    found = told(tmp_path / "variant", variant.body)
    assert found["XMP-iptcExt:DigitalSourceType"] == f"{URI}algorithmicMedia"
    assert complaints(found) == []
    assert not any("AIPrompt" in name for name in found)


async def test_exiftool_reads_a_download(tmp_path: Path) -> None:
    async with running(tmp_path / "data", FERROTYPE_EMBED_PROMPTS="true") as client:
        asset = await ordered(client, **FOX)
        plain, saved = await client.get(asset["url"]), await client.get(f"{asset['url']}?dl=fox")
    assert hashlib.sha256(plain.body).hexdigest() == asset["sha256"]
    check_pixels(saved.body, plain.body)
    found = told(tmp_path / "saved", saved.body)
    assert found["XMP-iptcExt:DigitalSourceType"] == f"{URI}algorithmicMedia"
    assert found["XMP-iptcExt:AIPromptInformation"] == FOX["prompt"]
    assert found["XMP-iptcExt:AISystemUsed"] == "local/illustrator"


@pytest.mark.slow
async def test_a_validator_of_others_accepts_every_variant(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    anchors = tmp_path / "data" / "c2pa" / "root.pem"
    async with running(tmp_path / "data", **SIGNED) as client:
        assert (await signing(client))["ok"]
        asset = await ordered(client, **FOX)
        bodies: dict[str, bytes] = {}
        for form in FORMS:
            variant = await client.get(f"{asset['url']}?w=128&format={form}")
            assert variant.headers["ETag"].startswith("W/")
            store = read_manifest(tmp_path / "file", variant.body, f"image/{form}", anchors)
            assert store["validation_state"] == "Trusted"
            assert actions(store)[0] == "c2pa.created"
            bodies[form] = variant.body
        saved = await client.get(f"{asset['url']}?dl")
        store = read_manifest(tmp_path / "file", saved.body, saved.headers["Content-Type"], anchors)
        assert (store["validation_state"], actions(store)) == ("Trusted", ["c2pa.created"])
        plain = await client.get(asset["url"])
        assert hashlib.sha256(plain.body).hexdigest() == asset["sha256"]
        await client.app.levels.settled()
    async with running(tmp_path / "data", **SIGNED) as client:
        for form, body in bodies.items():
            kept = await client.get(f"/images/{asset['id']}?w=128&format={form}")
            assert (kept.body, kept.headers["Server-Timing"]) == (body, "variants")


async def test_servers_share_what_one_has_signed(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    with valkey(tmp_path) as server:
        environ = {"FERROTYPE_REDIS_URL": server.url, **SIGNED}
        async with running(tmp_path / "data", **environ) as client:
            asset = await ordered(client, **FOX)
            path = f"/images/{asset['id']}?w=100&format=webp"
            made = await client.get(path)
            await client.app.levels.settled()
        async with running(tmp_path / "data", **environ) as client:
            shared = await client.get(path)
            assert (shared.body, shared.headers["Server-Timing"]) == (made.body, "shared")
            tag = made.headers["ETag"]
            assert shared.headers["ETag"] == tag
            assert (await client.get(path, headers={"If-None-Match": tag})).status == 304
            part = await client.get(path, headers={"Range": "bytes=5-9"})
            assert (part.status, part.body) == (206, made.body[5:10])
            whole = await client.get(path, headers={"Range": "bytes=5-9", "If-Range": tag})
            assert (whole.status, whole.body) == (200, made.body)
        async with running(tmp_path / "data", FERROTYPE_REDIS_URL=server.url) as client:
            unsigned = await client.get(path)
            assert unsigned.headers["ETag"] != tag
            assert b"c2pa" not in unsigned.body


async def test_an_archive_of_signed_pictures(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    async with running(tmp_path / "data", **SIGNED) as client:
        asset = await ordered(client, **FOX)
        upload = (await client.request("POST", "/v1/assets", data=PICTURES["png"][0])).json
        ids = {"ids": [asset["id"], upload["id"]]}
        reply = await client.request("POST", "/v1/assets/download", json=ids)
        assert "Content-Length" not in reply.headers
        alone = await client.request("POST", "/v1/assets/download", json={"ids": [upload["id"]]})
        assert int(alone.headers["Content-Length"]) == len(alone.body)
        plain = await client.get(asset["url"])
    first, second = manifest(reply.body)["pictures"]
    files = contents(reply.body)
    store = read_manifest(
        tmp_path / "file", files[first["file"]], "image/webp", tmp_path / "data" / "c2pa" / "root.pem"
    )
    assert store["validation_state"] == "Trusted"
    check_pixels(files[first["file"]], plain.body)
    assert files[second["file"]] == PICTURES["png"][0]
    for each in (first, second):
        packed = files[each["file"]]
        assert (each["bytes"], each["sha256"]) == (len(packed), hashlib.sha256(packed).hexdigest())
    assert (
        first["original"]
        == {"bytes": asset["bytes"], "sha256": asset["sha256"]}
        != {
            "bytes": first["bytes"],
            "sha256": first["sha256"],
        }
    )


async def test_an_edit_of_an_upload(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    anchors = tmp_path / "data" / "c2pa" / "root.pem"
    async with ComfySim() as sim, running(tmp_path / "data", COMFYUI_URL=sim.url, **SIGNED) as client:
        picture = f"data:image/jpeg;base64,{b64encode(PICTURES['jpeg'][0]).decode()}"
        edited = await ordered(client, **ORDER, operation="edit", image=picture, mode="durable")
        made = await ordered(client, **ORDER, mode="durable")
        again = await ordered(client, **ORDER, operation="edit", image=made["id"])
        mixed = await ordered(client, **ORDER, operation="edit", image=edited["id"])
        types = [each["source_type"] for each in (edited, made, again, mixed)]
        assert types == [COMPOSITE, TRAINED, TRAINED, COMPOSITE]
        variant = await client.get(f"{edited['url']}?w=64&format=webp")
        store = read_manifest(tmp_path / "file", variant.body, "image/webp", anchors)
        assert store["validation_state"] == "Trusted"
        assert actions(store) == ["c2pa.opened", "c2pa.edited", "c2pa.resized", "c2pa.transcoded"]
        (parent,) = active(store)["ingredients"]
        assert (parent["relationship"], parent["format"]) == ("parentOf", "image/jpeg")


async def test_a_workflow_of_comfyui_reaches_nobody_by_its_url(tmp_path: Path) -> None:
    async with ComfySim() as sim, running(tmp_path / "data", COMFYUI_URL=sim.url) as client:
        reply = await client.order(**ORDER)
        (asset,) = reply.json["output"]
        early = await client.get(asset["url"])  # it may still be arriving
        await client.until(reply.json["id"], "stored")
        late = await client.get(asset["url"])
        (kept,) = (tmp_path / "data" / "assets").rglob(f"{asset['id']}*")
        original = kept.read_bytes()
        archive = await client.get(f"/v1/generations/{reply.json['id']}/download.zip")
        shown = (await client.get(f"/v1/assets/{asset['id']}")).json
    assert b"a secret fox" in original
    assert early.body == late.body == stripped(original)
    assert early.headers["ETag"] == late.headers["ETag"]
    assert b"a secret fox" not in late.body
    check_pixels(late.body, original)
    assert hashlib.sha256(original).hexdigest() == shown["sha256"], "the stored copy is untouched"
    (packed,) = manifest(archive.body)["pictures"]
    assert b"class_type" in contents(archive.body)[packed["file"]], "its owner keeps the workflow"
    async with running(tmp_path / "data", FERROTYPE_KEEP_WORKFLOWS="true") as client:
        whole = await client.get(f"/images/{asset['id']}")
        assert whole.body == original
        assert whole.headers["ETag"] != late.headers["ETag"]


async def test_where_a_web_server_has_the_files_it_does_not_get_those(tmp_path: Path) -> None:
    environ = {"FERROTYPE_DISK_PUBLIC_URL": "https://cdn.example/p"}
    async with ComfySim() as sim, running(tmp_path / "data", COMFYUI_URL=sim.url, **environ) as client:
        reply = await client.order(**ORDER)
        await client.until(reply.json["id"], "stored")
        (asset,) = reply.json["output"]
        assert (await client.get(asset["url"])).status == 200
        local = await client.order(**FOX, model="local/illustrator")
        await client.until(local.json["id"], "stored")
        assert (await client.get(local.json["output"][0]["url"])).status == 302


def certificate(folder: Path, name: str) -> dict[str, str]:
    """Settings with a certificate of the operator's own."""
    development_credential(folder / name, SystemClock().now())
    return {
        "FERROTYPE_C2PA": "certificate",
        "FERROTYPE_C2PA_CERTIFICATE": str(folder / name / "c2pa" / "chain.pem"),
        "FERROTYPE_C2PA_KEY": str(folder / name / "c2pa" / "key.pem"),
    }


async def test_a_certificate_of_the_operator_s(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    environ = certificate(tmp_path, "own")
    async with running(tmp_path / "data", **environ) as client:
        asset = await ordered(client, **FOX)
        variant = await client.get(f"{asset['url']}?w=64")
        ready = await signing(client)
    store = read_manifest(tmp_path / "file", variant.body, "image/webp", tmp_path / "own/c2pa/root.pem")
    assert store["validation_state"] == "Trusted"
    assert (ready["ok"], ready["required"]) == (True, False)
    assert not (tmp_path / "data" / "c2pa").exists()


@pytest.mark.parametrize("fault", ["another key", "unreadable"])
async def test_with_a_certificate_that_is_wrong_it_serves_and_says_so(tmp_path: Path, fault: str) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    environ = certificate(tmp_path, "own")
    environ["FERROTYPE_C2PA_KEY"] = (
        certificate(tmp_path, "other")["FERROTYPE_C2PA_KEY"]
        if fault == "another key"
        else str(tmp_path / "nowhere.pem")
    )
    async with running(tmp_path / "data", **environ) as client:
        asset = await ordered(client, **FOX)
        variant = await client.get(f"{asset['url']}?w=64")
        assert variant.status == 200
        assert b"c2pa" not in variant.body
        found = told(tmp_path / "variant", variant.body)
        assert found["XMP-iptcExt:DigitalSourceType"] == f"{URI}algorithmicMedia"
        ready = await client.get("/readyz")
        check = ready.json["checks"]["signing"]
    assert (ready.status, check["ok"], check["required"]) == (200, False, False)
    assert "FERROTYPE_C2PA_KEY" in check["detail"]


async def findings(folder: Path, **environ: str) -> Finding:
    settings = load_settings({"FERROTYPE_DATA_DIR": str(folder / "data"), **environ})
    (found,) = await CHECKS["provenance"](settings)
    return found


async def test_doctor_on_what_pictures_tell(tmp_path: Path) -> None:
    found = await findings(tmp_path)
    assert (found.mark, found.mend) == ("ok", "")
    assert "workflows are taken out" in found.detail
    assert "not signed" in found.detail
    settings = {"FERROTYPE_KEEP_WORKFLOWS": "true", "FERROTYPE_EMBED_PROMPTS": "true"}
    found = await findings(tmp_path, **settings)
    assert "originals keep workflows, prompts are written into pictures" in found.detail


async def test_doctor_on_certificates(tmp_path: Path) -> None:
    pytest.importorskip("c2pa", reason="the extra c2pa is not installed")
    found = await findings(tmp_path, **SIGNED)
    assert found.mark == "ok"
    assert "signed as Ferrotype (development, trusted by nobody) until " in found.detail
    own, other = certificate(tmp_path, "own"), certificate(tmp_path, "other")
    assert (await findings(tmp_path, **own)).mark == "ok"
    key = {"FERROTYPE_C2PA_KEY": other["FERROTYPE_C2PA_KEY"]}
    lost = {"FERROTYPE_C2PA_CERTIFICATE": str(tmp_path / "lost.pem")}
    silent = {"FERROTYPE_C2PA_TIMESTAMP_URL": "http://127.0.0.1:9/"}
    for wrong, word, mend in (
        (key, "is not the key", "correct FERROTYPE_C2PA_KEY"),
        (lost, "cannot be read", "correct FERROTYPE_C2PA_CERTIFICATE"),
        (silent, "could not be signed", "check FERROTYPE_C2PA_TIMESTAMP_URL"),
    ):
        found = await findings(tmp_path, **{**own, **wrong})
        assert found.mark == "fail"
        assert word in found.detail
        assert found.mend.startswith(mend)
        assert "unsigned" in found.mend
    with pytest.raises(ConfigError, match="needs FERROTYPE_C2PA_CERTIFICATE and FERROTYPE_C2PA_KEY"):
        await findings(tmp_path, FERROTYPE_C2PA="certificate")


async def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = await findings(tmp_path, **SIGNED)
    assert (found.mark, found.mend) == ("fail", "pip install 'ferrotype[c2pa]'")
    assert "c2pa-python is missing" in found.detail
    async with running(tmp_path / "data", **SIGNED) as client:
        asset = await ordered(client, **FOX)
        assert (await client.get(f"{asset['url']}?w=64")).status == 200
        assert "pip install 'ferrotype[c2pa]'" in (await signing(client))["detail"]
