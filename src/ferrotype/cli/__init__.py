"""The command line: `ferrotype serve | demo | generate | models | credits | doctor | sim`."""

from ferrotype.cli.main import main

__all__ = ["main"]
