"""The command line: `ferrotype serve | demo | generate | models | assets | credits | doctor | sim`."""

from ferrotype.cli.main import main

__all__ = ["main"]
