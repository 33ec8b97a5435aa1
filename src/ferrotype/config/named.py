"""Tables that an operator names: `[connections.NAME]`, `[stores.NAME]`. Each says what kind it is of, and has
the settings of that kind::

    [stores.archive]
    kind = "s3"
    bucket = "pictures"
    secret_access_key = "${ARCHIVE_SECRET}"

Secrets need not stand in the file: `${VARIABLE}` is replaced by the environment's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from ferrotype.config.settings import ConfigError, Settings, load

NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
VARIABLE: Final = re.compile(r"\$\{(\w+)\}")


def load_named(
    section: str,
    chooser: str,
    kinds: Mapping[str, type[Settings]],
    environ: Mapping[str, str],
    toml: Mapping[str, Any] | None,
) -> dict[str, tuple[str, Settings]]:
    """Kind and settings of every `[section.NAME]`, by name, in the order of the file. The key `chooser` of a
    table names its kind; the kinds' own names are taken.

    Raises ConfigError naming the key at fault.
    """
    tables = (toml or {}).get(section, {})
    if not isinstance(tables, Mapping):
        raise ConfigError(f"[{section}] in the configuration file: write [{section}.NAME].")
    found: dict[str, tuple[str, Settings]] = {}
    for name, table in tables.items():
        where = f"[{section}.{name}] in the configuration file"
        if not NAME.fullmatch(name) or name in kinds:
            raise ConfigError(
                f"{where}: a name of its own is needed, in lower-case letters, digits, - and _."
            )
        if not isinstance(table, Mapping) or table.get(chooser) not in kinds:
            raise ConfigError(f"{where}: {chooser} must be one of {', '.join(kinds)}.")
        kind = str(table[chooser])
        values = {key: filled(value, where, environ) for key, value in table.items() if key != chooser}
        area = kinds[kind].area
        try:
            found[name] = kind, load(kinds[kind], {}, {area: values})
        except ConfigError as error:
            raise ConfigError(str(error).replace(f"[{area}]", f"[{section}.{name}]")) from None
    return found


def filled(value: Any, where: str, environ: Mapping[str, str]) -> Any:
    """`value` with each `${NAME}` replaced. Raises ConfigError for a variable that is not set."""
    if not isinstance(value, str):
        return value

    def variable(match: re.Match[str]) -> str:
        if match[1] not in environ:
            raise ConfigError(f"{where}: the environment variable {match[1]} is not set.")
        return environ[match[1]]

    return VARIABLE.sub(variable, value)
