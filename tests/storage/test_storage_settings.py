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
