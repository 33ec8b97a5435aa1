"""Configuration: each area declares its own settings, this package reads them.

A value comes from the environment, else from the TOML file (`FERROTYPE_CONFIG`, or `ferrotype.toml` in
the working folder), else from the default.
"""

from ferrotype.config.named import load_named
from ferrotype.config.settings import ConfigError, Setting, Settings, load, read_toml, setting, toml_file

__all__ = ["ConfigError", "Setting", "Settings", "load", "load_named", "read_toml", "setting", "toml_file"]
