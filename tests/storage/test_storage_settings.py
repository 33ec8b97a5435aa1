from __future__ import annotations

from pathlib import Path

import pytest

from ferrotype.config import ConfigError, load
from ferrotype.storage.settings import MIB, StorageSettings


def test_the_environment_names_the_folder_and_the_bounds() -> None:
    environ = {"FERROTYPE_DATA_DIR": "/srv/pictures", "FERROTYPE_MEMORY_CACHE_BYTES": "0"}
    settings = load(StorageSettings, environ)
    assert settings.data_dir == Path("/srv/pictures")
    assert settings.memory_cache_bytes == 0
    assert settings.memory_cache_object_bytes == 4 * MIB


def test_a_bad_bound_names_its_variable() -> None:
    with pytest.raises(ConfigError, match="FERROTYPE_SPOOL_MAX_BYTES"):
        load(StorageSettings, {"FERROTYPE_SPOOL_MAX_BYTES": "12"})


@pytest.mark.parametrize(
    "url",
    [
        "redis://:secret@cache:6379/0",
        "rediss://cache",
        "valkey://cache/1",
        "redis://[::1]:6379/",
        "unix:///run/valkey.sock?db=1",
    ],
)
def test_an_address_of_the_shared_cache(url: str) -> None:
    assert load(StorageSettings, {"FERROTYPE_REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    "url",
    [
        "http://cache",
        "cache:6379",
        "redis:///0",
        "redis://cache:0",
        "redis://cache:99999",
        "redis://user:s3c/ret@cache",
        "redis://cache/first",
        "unix://",
    ],
)
def test_a_bad_address_names_its_variable_and_no_secret(url: str) -> None:
    with pytest.raises(ConfigError, match="FERROTYPE_REDIS_URL") as error:
        load(StorageSettings, {"FERROTYPE_REDIS_URL": url})
    assert "s3c" not in str(error.value)
