"""`python -m ferrotype`."""

from ferrotype.cli import main

main()
