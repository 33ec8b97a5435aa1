from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ferrotype.sim.cloudinary import CloudinaryScript, CloudinarySim
from ferrotype.sim.gcs import GcsScript, GcsSim
from ferrotype.storage.cloudinary import CloudinaryStore
from ferrotype.storage.cloudinary_settings import CloudinarySettings
from ferrotype.storage.object_clients import gcs
from ferrotype.storage.object_store import ObjectStore
from ferrotype.storage.spool import Spool
from ferrotype.storage.store_settings import GcsSettings
from tests.storage import azurite, seaweed
from tests.storage.azurite import Azurite
from tests.storage.origin import FakeOrigin
from tests.storage.seaweed import Seaweed


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", 10_000_000)
    made.recover()
    yield made
    made.close()


@pytest.fixture
def origin() -> FakeOrigin:
    return FakeOrigin()


@pytest.fixture(scope="session")
def seaweed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    with seaweed.running(tmp_path_factory.mktemp("seaweed")) as server:
        asyncio.run(server.warm_up())
        yield server


@pytest.fixture
async def s3_server(seaweed_server: Seaweed) -> AsyncIterator[Seaweed]:
    """An S3 server whose bucket is empty."""
    await seaweed_server.empty()
    yield seaweed_server
    await seaweed_server.empty()


@pytest.fixture(scope="session")
def azurite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    with azurite.running(tmp_path_factory.mktemp("azurite")) as server:
        yield server


@pytest.fixture
async def azure_server(azurite_server: Azurite) -> AsyncIterator[Azurite]:
    """An Azure server whose container is empty."""
    await azurite_server.empty()
    yield azurite_server
    await azurite_server.empty()


@pytest.fixture
async def gcs_sim() -> AsyncIterator[GcsSim]:
    """Google's storage, which lets in its service account only."""
    async with GcsSim(GcsScript(private=True)) as sim:
        yield sim


def gcs_store(sim: GcsSim, **values: object) -> ObjectStore:
    """A store of the simulator's bucket, with the right key unless told otherwise."""
    given = {"bucket": "pictures", "endpoint": sim.url, "service_account_key": sim.service_account()}
    return gcs(GcsSettings(**(given | values)), "gcs")  # type: ignore[arg-type]


@pytest.fixture
async def cloudinary_store() -> AsyncIterator[CloudinaryStore]:
    """A store of a simulated Cloudinary that takes any bytes for a picture."""
    async with CloudinarySim(CloudinaryScript(any_bytes=True)) as sim:
        settings = CloudinarySettings(
            cloud_name=sim.script.cloud,
            api_key=sim.script.key,
            api_secret=sim.script.secret,
            upload_prefix=sim.url,
            delivery_url=sim.base,
        )
        store = CloudinaryStore(settings)
        yield store
        await store.close()
