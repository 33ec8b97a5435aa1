"""Where a value comes from, and what a wrong one is told."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest

from ferrotype.app.settings import declared_settings, load_settings
from ferrotype.config import ConfigError, Settings, load, read_toml, setting


class Oven(Settings):
    """An area of its own."""

    area: ClassVar[str] = "oven"

    heat: int = setting(180, "Degrees.", ge=0, le=300)
    trays: list[str] = setting([], "Names.")
    limits: dict[str, int] = setting({}, "Per tray.")
    fan: bool = setting(False, "Whether it blows.")
    maker: str | None = setting(None, "Who made it.", env="OVEN_MAKER")


def test_the_environment_wins_over_the_file_and_the_file_over_the_default() -> None:
    toml = {"oven": {"heat": 200, "trays": ["file"]}, "other": {"heat": 1}}
    assert load(Oven, {}, {}).heat == 180
    assert load(Oven, {}, toml).heat == 200
    both = load(Oven, {"FERROTYPE_HEAT": "220", "OVEN_MAKER": "ada"}, toml)
    assert (both.heat, both.trays, both.maker) == (220, ["file"], "ada")
    assert load(Oven, {"FERROTYPE_HEAT": ""}, toml).heat == 200, "empty is not set"


class Stove(Oven):
    """What has the settings of another under variables of its own."""

    area: ClassVar[str] = "stove"
    prefix: ClassVar[str] = "STOVE_"

    plates: int = setting(4, "How many.")


def test_shared_settings_take_the_prefix_of_their_area() -> None:
    named = {item.name: item.env for item in Stove.declared()}
    assert (named["plates"], named["heat"], named["maker"]) == ("STOVE_PLATES", "STOVE_HEAT", "OVEN_MAKER")
    assert next(iter(named)) == "plates", "its own come first"
    assert load(Stove, {"STOVE_HEAT": "90", "FERROTYPE_HEAT": "80"}).heat == 90
    assert load(Oven, {"STOVE_HEAT": "90", "FERROTYPE_HEAT": "80"}).heat == 80


def test_lists_dicts_and_truth_in_the_environment() -> None:
    oven = load(
        Oven,
        {"FERROTYPE_TRAYS": " a, b,,c ", "FERROTYPE_LIMITS": "a=1, b = 2,", "FERROTYPE_FAN": "true"},
    )
    assert (oven.trays, oven.limits, oven.fan) == (["a", "b", "c"], {"a": 1, "b": 2}, True)


@pytest.mark.parametrize(
    ("environ", "toml", "name"),
    [
        ({"FERROTYPE_HEAT": "hot"}, {}, "FERROTYPE_HEAT"),
        ({"FERROTYPE_HEAT": "301"}, {}, "FERROTYPE_HEAT"),
        ({"FERROTYPE_LIMITS": "a"}, {}, "FERROTYPE_LIMITS"),
        ({"FERROTYPE_LIMITS": "a=x"}, {}, "FERROTYPE_LIMITS"),
        ({}, {"oven": {"heat": "hot"}}, "[oven] heat"),
        ({}, {"oven": {"warmth": 1}}, "[oven] warmth"),
        ({"FERROTYPE_HEAT": "-1"}, {"oven": {"heat": 10}}, "FERROTYPE_HEAT"),
        ({}, {"oven": 3}, "[oven]"),
    ],
)
def test_a_bad_value_names_where_it_stands(
    environ: dict[str, str], toml: dict[str, object], name: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(Oven, environ, toml)
    assert str(caught.value).startswith(name)


def test_a_secret_is_not_repeated_in_the_error() -> None:
    with pytest.raises(ConfigError) as caught:
        load_settings({"FERROTYPE_API_KEY": "short-secret"})
    assert "FERROTYPE_API_KEY" in str(caught.value)
    assert "short-secret" not in str(caught.value)


def test_the_file_is_found_by_name_or_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert read_toml({}) == {}
    (tmp_path / "ferrotype.toml").write_text("[http]\nport = 1234\n")
    assert load_settings({}).http.port == 1234
    (tmp_path / "other.toml").write_text("[http]\nport = 4321\n[engine]\nclasses = { heavy = 9 }\n")
    named = load_settings({"FERROTYPE_CONFIG": "other.toml"})
    assert (named.http.port, named.engine.classes["heavy"], named.engine.classes["light"]) == (4321, 9, 8)


def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"FERROTYPE_CONFIG.*none\.toml"):
        read_toml({"FERROTYPE_CONFIG": "none.toml"})
    for name, content in (("a.toml", b"port = = 1"), ("b.toml", b"\xff\xfe")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=name):
            read_toml({"FERROTYPE_CONFIG": name})
    (tmp_path / "c.toml").write_text("[htpp]\nport = 1\n")
    with pytest.raises(ConfigError, match=r"\[htpp\]"):
        load_settings({"FERROTYPE_CONFIG": "c.toml"})


def test_the_command_line_wins_over_everything() -> None:
    environ = {"FERROTYPE_PORT": "1000", "FERROTYPE_DATA_DIR": "from-env"}
    settings = load_settings(environ, http={"port": 2000, "host": None}, storage={"data_dir": None})
    assert (settings.http.port, settings.http.host) == (2000, "127.0.0.1")
    assert settings.data_dir == Path("from-env").resolve()
    with pytest.raises(ConfigError, match="FERROTYPE_PORT"):
        load_settings({}, http={"port": 99_999})


def test_every_variable_means_one_setting() -> None:
    names = {(item.env, item.name) for item in declared_settings()}  # two kinds of provider may share one
    assert len({env for env, _ in names}) == len(names)
    assert all(item.description.endswith(".") for item in declared_settings())
    assert {item.name for item in declared_settings() if item.secret} >= {"api_key", "token", "password"}
