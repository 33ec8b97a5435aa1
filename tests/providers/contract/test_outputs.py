"""Contract: what is made, and what it is made of."""

from __future__ import annotations

import asyncio

import pytest
import pyvips

from ferrotype.domain.problems import (
    OriginProblem,
    OutcomeUnknown,
    Problem,
    ProviderFailed,
    ProviderProblem,
    ProviderRefused,
    TooLarge,
)
from ferrotype.imaging.sniff import sniff
from ferrotype.imaging.structure import is_whole
from ferrotype.providers.base import Provider
from tests.providers.contract.rig import HUGE, KEY, Rig, bytes_of, call, picture


def is_picture(data: bytes) -> bool:
    """Whether the bytes are a picture that is not cut short."""
    kind = sniff(data)
    return kind is not None and kind.loader is not None and is_whole(data, kind)


async def test_a_picture_is_made_and_can_be_had(rig: Rig, provider: Provider) -> None:
    told = await call(provider, rig.order())
    assert [output.index for output in told.outputs] == [0]
    assert told.finished.problem is None
    assert is_picture(await bytes_of(provider, told.outputs[0]))
    assert rig.paid() == 1
    assert told.outputs[0].origin is None or told.outputs[0].origin.provider == provider.name


async def test_outputs_by_address(rig: Rig, provider: Provider) -> None:
    rig.needs("url outputs")
    told = await call(provider, rig.order(**rig.url_outputs))
    assert told.outputs[0].origin is not None
    assert is_picture(await bytes_of(provider, told.outputs[0]))


async def test_outputs_inline(rig: Rig, provider: Provider) -> None:
    told = await call(provider, rig.order(**rig.inline_outputs))
    assert told.outputs[0].data is not None
    assert is_picture(told.outputs[0].data)


async def test_two_calls_do_not_mix(rig: Rig, provider: Provider) -> None:
    first, second = rig.order(seed=1), rig.order(seed=2)
    told = await asyncio.gather(call(provider, first), call(provider, second))
    pictures = [await bytes_of(provider, one.outputs[0]) for one in told]
    assert pictures[0] != pictures[1]
    assert rig.paid() == 2


# Outputs that are not what they should be


async def test_our_key_never_goes_to_a_foreign_host(rig: Rig, provider: Provider) -> None:
    rig.needs("url outputs", "foreign outputs")
    rig.deliver_elsewhere()
    told = await call(provider, rig.order(**rig.url_outputs))
    assert told.outputs[0].origin is not None
    try:
        wanted = provider.fetch_request(told.outputs[0].origin)
    except Problem:
        return  # a service that has its own addresses only refuses others
    assert KEY not in repr(dict(wanted.headers))
    assert not wanted.trusted
    assert wanted.tls is None


async def test_addresses_that_expired_are_told(rig: Rig, provider: Provider) -> None:
    rig.needs("url outputs")
    told = await call(provider, rig.order(**rig.url_outputs))
    rig.expire()
    with pytest.raises(OriginProblem):
        await bytes_of(provider, told.outputs[0])


@pytest.mark.parametrize("kind", ["truncated", "text", "html", "empty"])
async def test_a_broken_picture_passes_for_none(rig: Rig, provider: Provider, kind: str) -> None:
    """The provider says so, or the fetch does, or the bytes are handed on as they came and judged where they
    arrive; nothing hangs or crashes."""
    rig.needs("service")
    rig.spoil(kind)
    try:
        told = await call(provider, rig.order())
        got = [await bytes_of(provider, output) for output in told.outputs]
    except (ProviderProblem, OriginProblem):
        return
    assert not any(is_picture(data) for data in got)


async def test_a_huge_inline_output_is_bounded(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    with rig.oversized() as request, pytest.raises((ProviderFailed, OutcomeUnknown, TooLarge)):
        await call(provider, request)


async def test_a_huge_output_at_an_address_is_left_to_who_fetches_it(rig: Rig, provider: Provider) -> None:
    rig.needs("url outputs")
    rig.spoil("huge")
    told = await call(provider, rig.order(**rig.url_outputs))
    with pytest.raises(TooLarge):
        await bytes_of(provider, told.outputs[0], max_bytes=HUGE // 2)


async def test_a_success_without_pictures_is_none(rig: Rig, provider: Provider) -> None:
    rig.needs("service")
    rig.fault("empty")
    try:
        told = await call(provider, rig.order())
    except (ProviderFailed, ProviderRefused):
        return
    assert not told.outputs  # the caller turns that into a failure


# Inputs


async def test_an_input_picture_arrives(rig: Rig, provider: Provider) -> None:
    rig.needs("edits")
    told = await call(provider, rig.order(**rig.edit))
    assert told.outputs
    (arrived,) = rig.inputs()
    assert is_picture(arrived)


async def test_a_large_input_picture_arrives(rig: Rig, provider: Provider) -> None:
    rig.needs("edits")
    noise = pyvips.Image.gaussnoise(900, 700, mean=120, sigma=60).cast("uchar")
    data = bytes(noise.bandjoin([noise, noise]).pngsave_buffer(compression=1))
    assert len(data) > 1_000_000
    told = await call(provider, rig.order(**(rig.edit | {"images": (picture(data),)})))
    assert told.outputs
    assert rig.inputs() == [data]
