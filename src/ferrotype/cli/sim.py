"""`ferrotype sim`: a simulator of a provider, for trying things out and for tests."""

from __future__ import annotations

from rich.console import Console

from ferrotype.config import ConfigError
from ferrotype.sim import SIMULATORS, serve


async def simulate(name: str, *, host: str, port: int, options: list[str]) -> None:
    """Run until interrupted. Raises ConfigError for an unknown name or option."""
    if name not in SIMULATORS:
        raise ConfigError(f"sim: there is no simulator {name!r}; there are {', '.join(SIMULATORS)}.")
    pairs = [option.partition("=") for option in options]
    if any(not separator for _, separator, _ in pairs):
        raise ConfigError("sim: --set wants name=value.")
    try:
        await serve(
            name,
            host=host,
            port=port,
            options={key: value for key, _, value in pairs},
            ready=lambda url: Console().print(f"the {name} simulator listens at [bold]{url}[/]"),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise ConfigError(f"sim: {error}") from None
