"""The signing examples of docs/DELIVERY.md make URLs that the server opens."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from ferrotype.domain.clock import SystemClock
from ferrotype.domain.ids import new_id
from ferrotype.net.signing import UrlSigner

PAGE = Path(__file__).parents[2] / "docs" / "DELIVERY.md"
KEY = "a key of at least sixteen characters"
QUERY = {"w": "512", "format": "auto", "gravity": "0.5,0.25", "dl": "~a*b's (füchse)! 1+1=2&c%20.png"}


def example(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found
    return found[1]


def check(url: str, asset_id: str) -> None:
    parts = urlsplit(url)
    assert parts.path == f"/images/{asset_id}"
    pairs = parse_qsl(parts.query)
    assert QUERY.items() <= dict(pairs).items()
    expires = UrlSigner([KEY.encode()], SystemClock()).check(parts.path, pairs)
    assert expires is not None
    assert 0 < expires - datetime.now(UTC).timestamp() <= 600


def test_python() -> None:
    names: dict[str, object] = {}
    exec(example("python"), names)
    asset_id = new_id()
    made = names["sign"](KEY, asset_id, 600, **QUERY)  # type: ignore[operator]
    check(made, asset_id)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not here")
def test_javascript() -> None:
    asset_id = new_id()
    call = f"sign('{KEY}', '{asset_id}', 600, {json.dumps(QUERY)})"
    script = f"{example('js')}\nconsole.log({call})"
    done = subprocess.run(
        ["node", "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60, check=True
    )
    check(done.stdout.strip(), asset_id)
