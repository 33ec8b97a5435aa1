"""`ferrotype assets ...`: pictures and their copies, looked after. Each command is a file of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

assets_app = typer.Typer(
    help="Look after stored pictures: verify, migrate, import, sweep, retry. They work while a server runs.",
    no_args_is_help=True,
)

DataDir = Annotated[Path | None, typer.Option(help="Folder that holds everything.")]
StoreName = Annotated[str | None, typer.Option("--store", help="Only this store.")]
Parallel = Annotated[int, typer.Option(help="Pictures at once.", min=1, max=64)]
Rate = Annotated[str | None, typer.Option(help="Most bytes a second: 50MB/s, 8MiB/s.")]
Ids = Annotated[list[str] | None, typer.Argument(help="Asset or job ids; all when omitted.")]


@assets_app.command()
def failed(ids: Ids = None, store: StoreName = None, data_dir: DataDir = None) -> None:
    """List storing and removing that was given up. Exit code 1 when there is any."""
    from ferrotype.cli.assets_retry import failed as run_failed
    from ferrotype.cli.main import run

    run(run_failed(ids or [], store=store, data_dir=data_dir))


@assets_app.command()
def retry(
    ids: Ids = None,
    store: StoreName = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be begun anew.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Begin anew what was given up, when the store is mended. Exit code 1 when a picture's bytes are lost."""
    from ferrotype.cli.assets_retry import retry as run_retry
    from ferrotype.cli.main import run

    run(run_retry(ids or [], store=store, dry_run=dry_run, data_dir=data_dir))


@assets_app.command()
def verify(
    store: StoreName = None,
    deep: Annotated[bool, typer.Option("--deep", help="Read every byte and compare the SHA-256.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put the right bytes back, from the spool or another store.")
    ] = False,
    after: Annotated[
        str, typer.Option(help="Only assets after this id: go on where a look was stopped.")
    ] = "",
    rate: Rate = None,
    parallel: Parallel = 8,
    data_dir: DataDir = None,
) -> None:
    """Look whether every copy is there and whole. Exit code 1 when one is not, and was not repaired."""
    from ferrotype.cli.assets_verify import verify as run_verify
    from ferrotype.cli.main import run

    run(
        run_verify(
            store=store, deep=deep, repair=repair, after=after, rate=rate, width=parallel, data_dir=data_dir
        )
    )


@assets_app.command()
def sweep(
    store: StoreName = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; otherwise only list them.")] = False,
    older_than: Annotated[str, typer.Option(help="Leave what is younger: 24h, 7d. At least 1h.")] = "24h",
    many: Annotated[
        bool, typer.Option("--many", help="Delete also when it is more than a tenth of a place.")
    ] = False,
    sole_owner: Annotated[
        bool,
        typer.Option("--sole-owner", help="Nobody else writes to a store whose keys have no {secret}."),
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """List what lies in stores, spool and variant store and belongs to no asset; delete it with --delete."""
    from ferrotype.cli.assets_sweep import sweep as run_sweep
    from ferrotype.cli.main import run

    run(
        run_sweep(
            store=store,
            delete=delete,
            older_than=older_than,
            many=many,
            sole_owner=sole_owner,
            data_dir=data_dir,
        )
    )


@assets_app.command()
def migrate(
    source: Annotated[str, typer.Option("--from", help="The store that has the pictures.")],
    target: Annotated[str, typer.Option("--to", help="The store that is to have them.")],
    rate: Rate = None,
    parallel: Parallel = 4,
    delete_source: Annotated[
        bool, typer.Option("--delete-source", help="Then remove them from the first store.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how much there is to do.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Copy every picture from one store to another. Stop it at any time: the same command goes on."""
    from ferrotype.cli.assets_migrate import migrate as run_migrate
    from ferrotype.cli.main import run

    run(
        run_migrate(
            source,
            target,
            rate=rate,
            width=parallel,
            delete_source=delete_source,
            dry_run=dry_run,
            data_dir=data_dir,
        )
    )


@assets_app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Option(
            "--from",
            help="A folder, list.csv, list.jsonl, s3://bucket/prefix, gs://, az://, cloudinary://KEY:SECRET@CLOUD,"
            " redis://host:6379/0, or store:NAME of a configured store.",
        ),
    ],
    mapping: Annotated[
        Path | None, typer.Option(help="File for old and new addresses: NAME.csv or NAME.jsonl.")
    ] = None,
    match: Annotated[str, typer.Option(help="Keys of Redis: 'image:*'.")] = "*",
    field: Annotated[
        str | None, typer.Option(help="Where JSON, a hash or a list has the picture; usual names are tried.")
    ] = None,
    id_field: Annotated[str | None, typer.Option(help="Where it has its id.")] = None,
    date_field: Annotated[str | None, typer.Option(help="Where it has its date.")] = None,
    tag: Annotated[list[str] | None, typer.Option(help="A tag for all; may be repeated.")] = None,
    visibility: Annotated[str | None, typer.Option(help="public, unlisted or private.")] = None,
    source_type: Annotated[
        str | None, typer.Option(help="IPTC digital source type, such as trainedAlgorithmicMedia.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Stop after so many new ones.", min=1)] = None,
    rate: Rate = None,
    parallel: Parallel = 4,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many there are.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make assets of pictures that an app has elsewhere, each once, its bytes untouched. Exit code 1 when
    some could not be imported."""
    from ferrotype.cli.assets_import import Order, import_pictures
    from ferrotype.cli.main import run
    from ferrotype.storage.collections.rows import Fields

    order = Order(
        source,
        match=match,
        fields=Fields(field, id_field, date_field),
        tags=tag or (),
        visibility=visibility,
        source_type=source_type,
        mapping=mapping,
        limit=limit,
    )
    run(import_pictures(order, rate=rate, width=parallel, dry_run=dry_run, data_dir=data_dir))
