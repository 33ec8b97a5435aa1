"""`ferrotype doctor` on similar prompts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.app.settings import load_settings
from ferrotype.cli.doctor import CHECKS, Finding
from ferrotype.embedding import weights


async def finding(**environ: str) -> Finding:
    (found,) = await CHECKS["similar prompts"](load_settings(environ))
    return found


async def test_switched_off_is_fine() -> None:
    assert await finding() == Finding("ok", "switched off (FERROTYPE_SIMILAR)")


async def test_the_network_is_tried() -> None:
    found = await finding(FERROTYPE_SIMILAR="true", FERROTYPE_SIMILAR_THRESHOLD="0.8")
    assert found.mark == "ok"
    assert "all-MiniLM-L6-v2" in found.detail
    assert "fox and wolf are 0.7" in found.detail
    assert "from 0.8 on" in found.detail


async def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "PACKAGE", "no-such-package")
    found = await finding(FERROTYPE_SIMILAR="true")
    assert found == Finding("fail", "The package no-such-package is not installed.", weights.INSTALL)


async def test_a_broken_network_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "model.onnx"
    broken.write_bytes(b"no network")
    monkeypatch.setattr("ferrotype.embedding.minilm.find", lambda: broken)
    found = await finding(FERROTYPE_SIMILAR="true")
    assert found.mark == "fail"
    assert "not the file that it should be" in found.detail
    assert "--force-reinstall 'ferrotype[local]'" in found.mend
