from __future__ import annotations

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.engine.settings import DEFAULT_CLASSES, EngineSettings


def test_the_defaults() -> None:
    settings = load(EngineSettings, {})
    copies = {"arrive": 32, "store": 8, "forget": 4, "purge": 2, "cdn": 100}
    behind_the_answer = {**copies, "batch": 2, "enrich": 2, "notify": 8}
    assert settings.classes == {"light": 8, "heavy": 4, "comic": 2, **behind_the_answer}


def test_what_is_given_goes_over_the_defaults() -> None:
    settings = load(EngineSettings, {"FERROTYPE_CLASSES": "heavy=1, video=3"})
    assert settings.classes == {**DEFAULT_CLASSES, "heavy": 1, "video": 3}
    settings = load(EngineSettings, {}, {"engine": {"classes": {"comic": 9}}})
    assert settings.classes == {**DEFAULT_CLASSES, "comic": 9}


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("FERROTYPE_CLASSES", "light=many", "integer"),
        ("FERROTYPE_CLASSES", "light=0", "at least one seat"),
        ("FERROTYPE_CLASSES", f"{'x' * 49}=1", "1 to 48 characters"),
        ("FERROTYPE_LEASE_SECONDS", "0", "greater than or equal to 1"),
        ("FERROTYPE_MAX_STARTS", "none", "integer"),
        ("FERROTYPE_RETRY_BASE_SECONDS", "-1", "greater than 0"),
    ],
)
def test_a_value_that_cannot_be_used_names_its_variable(variable: str, value: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(EngineSettings, {variable: value})
    assert str(raised.value).startswith(variable)
    assert says in str(raised.value)
