"""`ferrotype doctor` on every hosted provider: a right key, a wrong one, nobody there."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from ferrotype.sim import SIMULATORS
from tests.flows.commands import ferrotype
from tests.ports import free_port

KEY = "right-key-of-the-tests-1234567890"
KEYS = {"right": KEY, "wrong": "wrong-key-of-the-tests-0987654321"}
#: kind -> what its settings are called: the key, and the addresses.
NAMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "replicate": ("token", ("base_url",)),
    "runpod": ("api_key", ("base_url",)),
    "fal": ("api_key", ("base_url", "rest_url")),
    "gemini": ("api_key", ("base_url",)),
    "openai": ("api_key", ("base_url",)),
    "cog": ("token", ("url",)),
}


def config(name: str, kind: str, key: str, url: str) -> str:
    named, addresses = NAMES[kind]
    suffix = "/v1" if kind == "openai" else ""
    lines = [f"[connections.{name}]", f'provider = "{kind}"', f'{named} = "{key}"']
    return "\n".join([*lines, *(f'{address} = "{url}{suffix}"' for address in addresses), ""])


async def test_doctor_tells_right_keys_from_wrong_ones(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        parts = []
        for kind in NAMES:
            rig = importlib.import_module(f"tests.providers.contract.rigs.{kind}")
            it = await stack.enter_async_context(rig.rig())
            it.sim.script.key = KEY
            parts += [config(f"{kind}-{word}", kind, key, it.sim.url) for word, key in KEYS.items()]
        path = tmp_path / "ferrotype.toml"
        path.write_text("\n".join(parts))
        ran = await ferrotype(tmp_path, "doctor", FERROTYPE_PORT=str(free_port()), FERROTYPE_CONFIG=str(path))
    said = ran.out + ran.err
    assert ran.code == 1, said
    assert ran.quiet
    lines = ran.out.splitlines()
    for kind in NAMES:
        (right,) = [line for line in lines if f"{kind}-right:" in line]
        assert right.startswith("ok"), right
        (at,) = [
            at for at, line in enumerate(lines) if line.startswith("failed") and f"{kind}-wrong:" in line
        ]
        assert "key" in lines[at]
        assert f"docs/providers/{kind}.md" in lines[at + 1]
    for key in KEYS.values():
        assert key not in said


def test_every_simulator_is_a_command() -> None:
    stores = {"cloudinary", "gcs"}
    assert set(NAMES) | {"comfyui"} | stores == set(SIMULATORS)
