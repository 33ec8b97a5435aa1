"""Predictions whose id was lost are looked for, and taken only where one fits."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from ferrotype.domain.problems import (
    OutcomeUnknown,
    ProviderUnavailable,
)
from ferrotype.providers.base import (
    AttemptRequest,
    Found,
    Lookup,
)
from ferrotype.providers.replicate import ReplicateProvider
from ferrotype.sim.hosted import Work
from ferrotype.sim.options import Failure
from ferrotype.sim.replicate import ReplicateSim
from tests.providers.contract.rig import HostedRig, picture, png
from tests.providers.contract.rigs.replicate import rig as make_rig
from tests.providers.replicate.support import BY_MODEL, LIST, connected

# Look-ups


async def lost(rig: HostedRig, provider: ReplicateProvider, request: AttemptRequest) -> None:
    """Submit it, and lose the answer."""
    rig.lose_reply()
    with pytest.raises(OutcomeUnknown):
        await provider.submit(request)


async def test_a_lost_edit_is_found_without_its_picture_being_sent_again(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    assert rig.edit is not None
    request = rig.order(**{**rig.edit, "images": (picture(png() + bytes(300_000)),)})
    await lost(rig, provider, request)
    async with connected(sim) as reborn:
        assert await reborn.lookup(request) == Found(next(iter(sim.works.items)))
    assert sim.journal.count("POST /v1/files") == 1


async def test_the_list_is_read_page_by_page(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    request = rig.order(seed=1)
    await lost(rig, provider, request)
    for seed in (2, 3):
        await provider.submit(rig.order(seed=seed))
    sim.script.page_size = 1
    assert await provider.lookup(request) == Found(next(iter(sim.works.items)))
    assert sim.journal.count(LIST) == 3


async def test_two_that_fit_are_none(rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider) -> None:
    request = rig.order()
    await lost(rig, provider, request)
    await lost(rig, provider, request)
    assert await provider.lookup(request) is Lookup.UNKNOWN


async def test_a_call_of_another_attempt_is_not_taken(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    """The same prompt and seed, asked for twice at the same time: the first one's prediction is its own."""
    await provider.submit(rig.order())
    assert await provider.lookup(rig.order()) is Lookup.UNKNOWN


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 8},
        {"prompt": "a hen"},
        {"target": "black-forest-labs/flux-dev"},
        {"target": "deployments/acme/fast-flux"},
        {"options": {"input": {"prompt": "{prompt}", "num_outputs": "{num_images}"}}},
    ],
)
async def test_what_does_not_fit_to_the_seed_is_not_taken(
    rig: HostedRig, sim: ReplicateSim, changes: Mapping[str, Any]
) -> None:
    async with connected(sim) as other:
        await other.submit(rig.order())
    async with connected(sim) as provider:
        assert await provider.lookup(rig.order(**changes)) is Lookup.UNKNOWN
        assert isinstance(await provider.lookup(rig.order()), Found)


async def test_an_older_prediction_is_not_taken(rig: HostedRig, sim: ReplicateSim) -> None:
    async with connected(sim) as other:
        await other.submit(rig.order())
    (work,) = sim.works.items.values()
    work.created_at -= timedelta(minutes=5)
    async with connected(sim) as provider:
        assert await provider.lookup(rig.order()) is Lookup.UNKNOWN


async def test_a_deployment_s_prediction_is_found(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    request = rig.order(target="deployments/acme/fast-flux")
    sim.script.failures.append(Failure("POST /v1/deployments/{owner}/{name}/predictions", 0, after=True))
    with pytest.raises(OutcomeUnknown):
        await provider.submit(request)
    assert isinstance(await provider.lookup(request), Found)


class TellingSim(ReplicateSim):
    """One that shows where a prediction's webhooks go."""

    def shown(self, work: Work) -> dict[str, Any]:
        return super().shown(work) | {"webhook": work.request["webhook"]}


async def test_the_address_of_its_webhooks_names_the_attempt() -> None:
    async with make_rig() as rig, TellingSim() as sim, connected(sim) as provider:
        sim.script.webhooks = "lost"
        first, second = (rig.order(webhook_url=f"https://gateway.example.com/{n}") for n in range(2))
        for request in (first, second):
            sim.script.failures.append(Failure(BY_MODEL, 0, after=True))
            with pytest.raises(OutcomeUnknown):
                await provider.submit(request)
        ids = list(sim.works.items)
        assert await provider.lookup(first) == Found(ids[0])
        assert await provider.lookup(second) == Found(ids[1])


async def test_a_look_up_that_is_impossible_is_told(
    rig: HostedRig, sim: ReplicateSim, provider: ReplicateProvider
) -> None:
    sim.script.key = "another"
    with pytest.raises(ProviderUnavailable):
        await provider.lookup(rig.order())
    await sim.close_door()
    with pytest.raises(ProviderUnavailable):
        await provider.lookup(rig.order())
