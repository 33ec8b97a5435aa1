"""`ferrotype sim`: a simulator of a provider, for trying things out and for tests."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from rich.console import Console

from ferrotype.config import ConfigError
from ferrotype.sim import SIMULATORS, serve


async def simulate(name: str, *, host: str, port: int, options: list[str]) -> None:
    """Run until interrupted. Raises ConfigError for an unknown name or option, or a port that is taken."""
    if name not in SIMULATORS:
        raise ConfigError(f"sim: there is no simulator {name!r}; there are {', '.join(SIMULATORS)}.")
    pairs = [option.partition("=") for option in options]
    if any(not separator for _, separator, _ in pairs):
        raise ConfigError("sim: --set wants name=value.")
    console = Console()
    try:
        with suppress(asyncio.CancelledError):  # the ordinary end: Ctrl-C
            await serve(
                name,
                host=host,
                port=port,
                options={key: value for key, _, value in pairs},
                ready=lambda url: console.print(f"the {name} simulator listens at {url}", soft_wrap=True),
            )
    except OSError as error:
        raise ConfigError(f"sim: {host}:{port} cannot be listened on ({error.strerror}).") from None
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"sim: {error}") from None
