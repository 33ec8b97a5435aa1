"""The shipped catalogue, the user's over it, and the choice of a model."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.catalogue import load_catalogue
from ferrotype.catalogue.catalogue import CatalogueSettings, read_catalogue
from ferrotype.config import ConfigError
from ferrotype.domain.problems import NoDeployment, UnknownModel, UnsupportedByModel
from ferrotype.providers.registry import KINDS

MODEL = """
[[models]]
name = "me/{name}"
operations = ["{operation}"]
[[models.deployments]]
provider = "{provider}"
target = "t"
"""


def entry(name: str = "mine", operation: str = "generate", provider: str = "comfyui") -> str:
    return MODEL.format(name=name, operation=operation, provider=provider)


def settings(path: Path, text: str, default: str | None = None) -> CatalogueSettings:
    path.write_text(text, encoding="utf-8")
    return CatalogueSettings(catalogue=str(path), default_model=default)


def test_what_ships() -> None:
    catalogue = load_catalogue(CatalogueSettings())
    assert list(catalogue.styles) == ["realistic", "artistic", "illustration", "3d"]
    assert set(catalogue.aspect_ratios) == {"1:1", "16:9", "9:16", "4:3", "3:4"}
    assert list(catalogue.models)[-1] == "local/illustrator"
    for model in catalogue.models.values():
        assert set(model.defaults) <= set(model.capabilities.params), model.name


def test_the_users_entries_stand_in_front_and_replace(tmp_path: Path) -> None:
    text = entry() + (
        '[[styles]]\nname = "realistic"\nwords = "mine"\n'
        '[[aspect_ratios]]\nname = "21:9"\nwidth = 2016\nheight = 864\n'
    )
    catalogue = load_catalogue(settings(tmp_path / "m.toml", text))
    assert next(iter(catalogue.models)) == "me/mine"
    assert catalogue.styles["realistic"].words == "mine"
    assert len(catalogue.styles) == 4
    assert catalogue.aspect_ratios["21:9"].width == 2016
    replaced = entry().replace("me/mine", "local/illustrator")
    assert (
        load_catalogue(settings(tmp_path / "m.toml", replaced)).models["local/illustrator"].class_ == "light"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[models]", ["m.toml"]),
        ("models = 3", ["models"]),
        ("[[models]]\noperations = ['generate']", ["models", "name"]),
        (entry().replace("me/mine", "No Slash"), ["No Slash", "name"]),
        (entry().replace("target", "tarrget"), ["me/mine", "deployments", "target"]),
        (entry() + "[[stiles]]\nname = 'x'\n", ["stiles"]),
        (entry() + entry(), ["me/mine", "twice"]),
        ("[[aspect_ratios]]\nname = '2:1'\nwidth = 'x'\nheight = 1", ["2:1", "width"]),
    ],
)
def test_a_fault_names_the_entry(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        load_catalogue(settings(tmp_path / "m.toml", text))
    for word in words:
        assert word in str(caught.value)


def test_files_and_defaults_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"FERROTYPE_CATALOGUE.*none"):
        load_catalogue(CatalogueSettings(catalogue=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match=r"FERROTYPE_DEFAULT_MODEL.*me/none"):
        load_catalogue(CatalogueSettings(default_model="me/none"))


def test_a_name_is_taken_by_its_word(tmp_path: Path) -> None:
    catalogue = load_catalogue(settings(tmp_path / "m.toml", entry()))
    assert catalogue.choose("me/mine", "generate", ["comfyui"]).name == "me/mine"
    with pytest.raises(UnknownModel):
        catalogue.choose("me/none", "generate", ["comfyui"])
    with pytest.raises(UnsupportedByModel):
        catalogue.choose("me/mine", "edit", ["comfyui"])
    with pytest.raises(NoDeployment, match="comfyui"):
        catalogue.choose("me/mine", "generate", ["local"])


def test_without_a_name_the_first_that_can_and_local_last(tmp_path: Path) -> None:
    text = entry("one", provider="nobody") + entry("two") + entry("three")
    catalogue = load_catalogue(settings(tmp_path / "m.toml", text))
    assert catalogue.choose(None, "generate", ["local", "comfyui"]).name == "me/two"
    assert catalogue.choose(None, "generate", ["local"]).name == "local/illustrator"
    assert catalogue.choose(None, "edit", ["comfyui", "local"]).name == "comfyui/img2img"
    # The default comes first where it serves the operation, and is not in the way where it does not.
    assert catalogue.choose(None, "generate", ["comfyui"], "me/three").name == "me/three"
    assert catalogue.choose(None, "edit", ["comfyui"], "me/three").name == "comfyui/img2img"
    with pytest.raises(NoDeployment):
        catalogue.choose(None, "generate", ["local"], "me/three")
    with pytest.raises(NoDeployment):
        catalogue.choose(None, "edit", ["local"])
    with pytest.raises(UnsupportedByModel):
        catalogue.choose(None, "dance", ["local"])


FAULTY = """# mine
[[models]]
name = "me/good"
operations = ["generate"]
[[models.deployments]]
provider = "comfyui"
target = "t"

[[models]]
name = "me/bad"
operations = ["upscale",
  "fly"]
class = "light"
[models.capabilities]
min_images = 1
max_images = 1
max_sied = 3
[models.capabilities.params]
scale = { type = "integer", choices = [2, 8] }
[[models.deployments]]
provider = "nowhere"
target = "t"
[[models.deployments]]
provider = "comfyui"
taget = "t"
"""


def faults_of(path: Path, text: str, connections: set[str] | None = None) -> list[str]:
    path.write_text(text, encoding="utf-8")
    _, faults = read_catalogue(str(path), connections)
    return [str(fault).removeprefix(str(path)) for fault in faults]


def test_every_fault_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    shape = faults_of(path, FAULTY)
    assert [fault.split(":")[1] for fault in shape] == ["17", "23", "25"]
    assert "max_sied" in shape[0]
    assert "taget" in shape[2]
    sound = FAULTY.replace("max_sied", "max_side").replace("= 3", "= 512").replace("taget", "target")
    meant = faults_of(path, sound, set(KINDS))
    assert [fault.split(":")[1] for fault in meant] == ["19", "11", "21"]
    assert "upscale does not know [8]" in meant[0]
    assert "fly" in meant[1]
    assert "nowhere" in meant[2]


@pytest.mark.parametrize(
    ("was", "now", "line", "said"),
    [
        ("[2, 8]", "[2, 4]", None, ""),
        ('type = "integer"', 'type = "string"', 14, "integer"),
        ("max_images = 1", "max_images = 0\nmin_images = 0", None, ""),
        ("scale =", "skale =", 13, "scale"),
    ],
)
def test_a_model_must_be_able_to_do_what_it_offers(
    tmp_path: Path, was: str, now: str, line: int | None, said: str
) -> None:
    text = """
[[models]]
name = "me/up"
operations = ["upscale"]
[[models.deployments]]
provider = "comfyui"
target = "t"
[models.defaults]
scale = 4
[models.capabilities]
min_images = 1
max_images = 1
[models.capabilities.params]
scale = { type = "integer", choices = [2, 8] }
"""
    path = tmp_path / "m.toml"
    faults = faults_of(path, text.replace(was, now))
    if was == "[2, 8]":
        assert not [fault for fault in faults if "does not know" in fault]
    elif line is not None:
        assert any(f":{line}:" in fault and said in fault for fault in faults), faults
    else:
        assert faults


def test_what_cannot_be_read_has_its_line(tmp_path: Path) -> None:
    (fault,) = faults_of(tmp_path / "m.toml", "[[models]]\nname = x\n")
    assert fault.startswith(":2:")


def test_the_shipped_catalogue_is_sound() -> None:
    catalogue, faults = read_catalogue(None, set(KINDS))
    assert faults == []
    assert catalogue is not None
    served = {operation for model in catalogue.models.values() for operation in model.operations}
    assert served <= set(catalogue.operations)


@pytest.mark.parametrize(
    ("cannot", "said"),
    [
        ('["format.gif"]', "does not declare format.gif"),
        ('["params.steps"]', "does not declare params.steps"),
        ('["seed"]', "cannot"),
        ('["format.webp"]', "none of them honours format.webp"),
    ],
)
def test_what_a_deployment_cannot_do_must_make_sense(tmp_path: Path, cannot: str, said: str) -> None:
    text = f"""
[[models]]
name = "me/picky"
operations = ["generate"]
[models.capabilities]
formats = ["webp"]
[[models.deployments]]
provider = "local"
target = "illustrator"
cannot = {cannot}
"""
    (fault,) = faults_of(tmp_path / "m.toml", text)
    assert said in fault
