"""How the ComfyUI provider gets in: base path, TLS, bearer and basic credentials, and that none leaks."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from aiohttp import web

from ferrotype.config import ConfigError
from ferrotype.domain.asset import Origin
from ferrotype.domain.clock import SystemClock
from ferrotype.domain.problems import ProviderMisconfigured, ProviderUnavailable
from ferrotype.providers.comfyui import ComfyUIProvider
from ferrotype.providers.comfyui.settings import ComfyUISettings
from ferrotype.sim.comfyui import ComfySim, Script

from .comfyui_support import bench, fetched, order, outputs, provider_for, run

SECRET = "s3cr3t-t0ken"
ORIGIN = Origin(provider="comfyui", url="/view?filename=a.png&subfolder=&type=output")

# Made for these tests, for 127.0.0.1; valid from 2020 to 2120.
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgg851qCMGHjsRtu8j
d3Sq53DE0RiZ6uY5usQvBfH4LhmhRANCAATT39QywEjYOj5YygrhiehIzo7qacsh
FFvr5yGIp0zBoyA6TI/CDsrkDEThc7tph4Sulgy8Do7jHnXi9bwkiaJM
-----END PRIVATE KEY-----
"""
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBdTCCARygAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5mZXJyb3R5
cGUgdGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOZmVycm90eXBlIHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATT
39QywEjYOj5YygrhiehIzo7qacshFFvr5yGIp0zBoyA6TI/CDsrkDEThc7tph4Su
lgy8Do7jHnXi9bwkiaJMo1MwUTAPBgNVHREECDAGhwR/AAABMA8GA1UdEwEB/wQF
MAMBAf8wDgYDVR0PAQH/BAQDAgKEMB0GA1UdDgQWBBS3b6N4jcHWLlTsaTRxs5h0
cTyW/DAKBggqhkjOPQQDAgNHADBEAiBWs53JWd4v4mrvBWePjEkjzULwg6Vx6rKJ
YaTK1AIQvAIgTXCGIQFvAbMnvK09LeFfGkIxp4QRiImD0QIbnt+4btU=
-----END CERTIFICATE-----
"""


async def test_a_bearer_token_opens_every_route() -> None:
    async with bench(Script(auth=f"bearer:{SECRET}"), token=SECRET) as (sim, provider):
        (output,) = outputs(await run(provider, order()))
        assert await fetched(provider, output)
        assert (await provider.health()).ok
        assert provider.fetch_request(ORIGIN).headers == {"Authorization": f"Bearer {SECRET}"}
        assert {entry.status for entry in sim.journal.entries} <= {101, 200}


async def test_basic_credentials_from_settings_or_from_the_address() -> None:
    async with ComfySim(Script(auth="basic:me:pässwört")) as sim:
        inside = sim.url.replace("http://", "http://me:p%C3%A4ssw%C3%B6rt@")
        for provider in (
            provider_for(sim.url, user="me", password="pässwört"),
            provider_for(inside),
        ):
            try:
                (output,) = outputs(await run(provider, order()))
                assert await fetched(provider, output)
                assert "me:" not in provider.fetch_request(ORIGIN).url
            finally:
                await provider.close()


@pytest.mark.parametrize("settings", [{}, {"token": f"wrong-{SECRET}"}, {"user": "me", "password": SECRET}])
async def test_refused_credentials_name_the_settings_and_leak_nothing(settings: dict[str, str]) -> None:
    async with bench(Script(auth="bearer:right"), **settings) as (sim, provider):
        with pytest.raises(ProviderMisconfigured) as raised:
            await provider.submit(order())
        assert "COMFYUI_TOKEN" in raised.value.detail
        health = await provider.health()
        assert not health.ok
        told = "".join(traceback.format_exception(raised.value)) + str(raised.value.to_json()) + health.detail
        assert SECRET not in told
        assert str(sim.port) not in raised.value.detail


async def test_refused_credentials_name_the_connection_that_has_them() -> None:
    async with ComfySim(Script(auth="bearer:right")) as sim:
        provider = ComfyUIProvider(ComfyUISettings(url=sim.url, token=SECRET), SystemClock(), name="upstairs")
        try:
            with pytest.raises(ProviderMisconfigured, match=r"check \[connections\.upstairs\]"):
                await provider.submit(order())
        finally:
            await provider.close()


async def test_a_base_path_is_kept_on_every_route() -> None:
    async with ComfySim(Script(base_path="/pod/abc-8188")) as sim:
        for url in (sim.url, sim.url + "/"):
            provider = provider_for(url)
            try:
                (output,) = outputs(await run(provider, order()))
                assert await fetched(provider, output)
                assert provider.fetch_request(ORIGIN).url == sim.url + ORIGIN.url
            finally:
                await provider.close()
        assert all(entry.path.startswith("/pod/abc-8188/") for entry in sim.journal.entries)


async def test_tls_with_an_authority_of_our_own(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    key.write_text(KEY)
    certificate.write_text(CERTIFICATE)
    async with ComfySim(tls=(str(certificate), str(key))) as sim:
        trusting = provider_for(sim.url, ca_file=str(certificate))
        doubting = provider_for(sim.url)
        try:
            assert sim.url.startswith("https://")
            outputs(await run(trusting, order()))
            assert sim.journal.count("GET /ws") == 1
            with pytest.raises(ProviderUnavailable, match="COMFYUI_CA_FILE"):
                await doubting.submit(order())
        finally:
            await trusting.close()
            await doubting.close()


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_an_unusable_authority_file_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    provider = provider_for("https://127.0.0.1:9", ca_file=str(path))
    with pytest.raises(ProviderUnavailable, match="COMFYUI_CA_FILE"):
        await provider.submit(order())
    assert "COMFYUI_CA_FILE" in (await provider.health()).detail
    await provider.close()


async def test_a_wrong_base_path_is_told() -> None:
    async with bench(Script(base_path="/pod")) as (sim, _):
        provider = provider_for(sim.url.removesuffix("/pod"))
        with pytest.raises(ProviderUnavailable, match="no ComfyUI answers at COMFYUI_URL"):
            await provider.submit(order())
        await provider.close()


async def test_a_redirect_is_not_followed_with_our_credentials() -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": sim.url + request.path_qs})

    async with ComfySim() as sim:
        front = web.Application()
        front.router.add_route("*", "/{rest:.*}", elsewhere)
        runner = web.AppRunner(front)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider = provider_for(f"http://127.0.0.1:{runner.addresses[0][1]}", token=SECRET)
        try:
            with pytest.raises(ProviderUnavailable, match="COMFYUI_URL"):
                await provider.submit(order())
            assert not (await provider.health()).ok
            assert [entry.route for entry in sim.journal.entries if entry.route != "GET /ws"] == []
        finally:
            await provider.close()
            await runner.cleanup()


@pytest.mark.parametrize("url", [None, "http://", "http:///x", "http://[::1"])
def test_an_address_that_cannot_be_used_is_a_configuration_error(url: str | None) -> None:
    with pytest.raises((ConfigError, ValueError), match=r"COMFYUI_URL|url"):
        ComfyUIProvider(ComfyUISettings(url=url), SystemClock())


async def test_closing_twice_is_harmless() -> None:
    async with bench() as (_, provider):
        await run(provider, order())
        await provider.close()
        await provider.close()
