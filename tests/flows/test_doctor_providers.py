"""`ferrotype doctor` on every hosted provider: a right key, a wrong one, nobody there."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from ferrotype.sim import SIMULATORS
from tests.flows.commands import ferrotype
from tests.ports import free_port

KEY, WRONG = "right-key-of-the-tests-1234567890", "wrong-key-of-the-tests-0987654321"
#: kind -> what its settings are called: the key, and the addresses.
NAMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "replicate": ("token", ("base_url",)),
    "runpod": ("api_key", ("base_url",)),
    "fal": ("api_key", ("base_url", "rest_url")),
    "gemini": ("api_key", ("base_url",)),
    "openai": ("api_key", ("base_url",)),
    "cog": ("token", ("url",)),
}


def config(kind: str, key: str, url: str) -> str:
    names, addresses = NAMES[kind]
    lines = [f'[connections.shop]\nprovider = "{kind}"\n{names} = "{key}"']
    suffix = "/v1" if kind == "openai" else ""
    return "\n".join([*lines, *(f'{name} = "{url}{suffix}"' for name in addresses)])


@pytest.mark.parametrize("kind", NAMES)
async def test_doctor_tells_a_right_key_from_a_wrong_one(tmp_path: Path, kind: str) -> None:
    rig = importlib.import_module(f"tests.providers.contract.rigs.{kind}")
    async with rig.rig() as it:
        it.sim.script.key = KEY
        for key, code in ((KEY, 0), (WRONG, 1)):
            path = tmp_path / "ferrotype.toml"
            path.write_text(config(kind, key, it.sim.url))
            ran = await ferrotype(
                tmp_path, "doctor", FERROTYPE_PORT=str(free_port()), FERROTYPE_CONFIG=str(path)
            )
            said = ran.out + ran.err
            assert ran.code == code, said
            assert ran.quiet
            assert "shop:" in said
            assert KEY not in said
            assert WRONG not in said
            if code:
                assert "key" in said
                assert f"docs/providers/{kind}.md" in said


def test_every_simulator_is_a_command() -> None:
    assert set(NAMES) | {"comfyui"} == set(SIMULATORS)
