"""The area `delivery`, and the tables of the file that say what may be asked of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.app.settings import declared_settings, load_settings
from ferrotype.config import ConfigError, load
from ferrotype.domain.asset import Visibility
from ferrotype.http.delivery_settings import DeliverySettings

ONE, TWO = "first-key-of-the-tests", "second-key-of-the-tests"
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'


def test_defaults() -> None:
    found = load(DeliverySettings, {}, {})
    assert (found.url_keys, found.transforms, found.image_sides) == ([], "any", ())
    assert (found.max_variant_side, found.max_variant_pixels) == (8192, 40_000_000)
    assert (found.visibility, found.disk_public_url) == (Visibility.UNLISTED, None)
    assert (found.negotiated_max_age, found.negotiated_stale) == (86_400, 604_800)


def test_every_value_can_be_set() -> None:
    environ = {
        "FERROTYPE_URL_KEYS": f"{ONE}, {TWO}",
        "FERROTYPE_TRANSFORMS": "signed",
        "FERROTYPE_IMAGE_SIDES": "320, 640",
        "FERROTYPE_MAX_VARIANT_SIDE": "2000",
        "FERROTYPE_MAX_VARIANT_PIXELS": "1000000",
        "FERROTYPE_VISIBILITY": "private",
        "FERROTYPE_NEGOTIATED_MAX_AGE": "0",
        "FERROTYPE_NEGOTIATED_STALE": "60",
        "FERROTYPE_DISK_PUBLIC_URL": "https://cdn.example/pictures",
    }
    found = load(DeliverySettings, environ, {})
    assert (found.url_keys, found.transforms, found.image_sides) == ([ONE, TWO], "signed", (320, 640))
    assert (found.max_variant_side, found.max_variant_pixels) == (2000, 1_000_000)
    assert (found.visibility, found.disk_public_url) == (Visibility.PRIVATE, "https://cdn.example/pictures")
    assert (found.negotiated_max_age, found.negotiated_stale) == (0, 60)
    assert set(environ) == {item.env for item in DeliverySettings.declared()}
    assert load(DeliverySettings, {}, {"delivery": found.model_dump()}) == found


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("transforms", "all", "'any' or 'signed'"),
        ("image_sides", "640,320", "from small to large"),
        ("image_sides", "320,320", "once"),
        ("image_sides", "0,320", "greater than or equal to 1"),
        ("image_sides", "320,x", "integer"),
        ("image_sides", "320,9000", "FERROTYPE_MAX_VARIANT_SIDE, 8192"),
        ("max_variant_side", "0", "greater than or equal to 1"),
        ("max_variant_side", "100000", "less than or equal to 65535"),
        ("max_variant_pixels", "0", "greater than or equal to 1"),
        ("visibility", "secret", "'public', 'unlisted' or 'private'"),
        ("negotiated_max_age", "-1", "greater than or equal to 0"),
        ("negotiated_stale", "1000000000", "less than or equal to"),
        ("disk_public_url", "cdn.example", "match pattern"),
        ("disk_public_url", "ftp://cdn.example", "match pattern"),
        ("disk_public_url", "https://me:pw@cdn.example", "match pattern"),
        ("disk_public_url", "https://cdn.example/?a=b", "match pattern"),
    ],
)
def test_a_bad_value_is_named(name: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(DeliverySettings, {f"FERROTYPE_{name.upper()}": value}, {})
    assert str(caught.value).startswith(f"FERROTYPE_{name.upper()}: ")
    assert words in str(caught.value)
    assert "Value error" not in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["too-short"], "16 characters"),
        ([ONE, "too-short"], "16 characters"),
        ([ONE, ONE], "the same"),
        ([ONE, TWO, "third-key-of-the-tests"], "at most 2"),
    ],
)
def test_keys_that_cannot_be_used_are_not_repeated(keys: list[str], words: str) -> None:
    environ = {"FERROTYPE_URL_KEYS": ",".join(keys)}
    for env, toml in ((environ, {}), ({}, {"delivery": {"url_keys": keys}})):
        with pytest.raises(ConfigError) as caught:
            load(DeliverySettings, env, toml)
        assert words in str(caught.value)
        assert "url_keys" in str(caught.value).lower()
        assert not any(key in str(caught.value) for key in keys)


def test_the_keys_are_a_secret() -> None:
    (found,) = [item for item in declared_settings() if item.name == "url_keys"]
    assert found.secret


def test_the_tables_belong_to_the_file_and_so_do_their_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "logo.svg").write_text(SVG)
    file = folder / "own.toml"
    file.write_text(
        '[delivery]\nimage_sides = [100, 200]\n[presets]\nproof = "w=50&watermark=logo"\n'
        '[watermarks.logo]\npicture = "logo.svg"\n'
    )
    monkeypatch.chdir(tmp_path)
    for named in ("etc/own.toml", str(file)):
        settings = load_settings({"FERROTYPE_CONFIG": named})
        known = settings.offer.vocabulary
        assert known.sides == settings.delivery.image_sides == (100, 200)
        (name,) = settings.offer.marks
        assert known.presets["proof"].watermark == known.watermarks["logo"] == name
    monkeypatch.chdir(folder)
    file.rename("ferrotype.toml")
    assert list(load_settings({}).offer.marks) == [name]
    (folder / "logo.svg").unlink()
    with pytest.raises(ConfigError, match=r"^\[watermarks\.logo\] picture .*logo\.svg: No such file"):
        load_settings({})


def test_without_a_file_there_is_what_comes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = load_settings({"FERROTYPE_MAX_VARIANT_SIDE": "2000"})
    assert settings.offer.vocabulary.max_side == 2000
    assert "thumb" in settings.offer.vocabulary.presets


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('[preset]\na = "w=3"', "[preset]"),
        ('[presets]\na = "w=x"', "[presets] a"),
        ("[watermark.a]\ntext = 'a'", "[watermark]"),
        ("[watermarks.a]\nwords = 'a'", "[watermarks.a] words"),
        ("[delivery]\nimage_sides = [3, 2]", "[delivery] image_sides"),
    ],
)
def test_what_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ferrotype.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings({})
    assert str(caught.value).startswith(f"{where} in the configuration file: ")
