"""The commands; each lives in a file of its own and is imported only when it runs."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from ferrotype import __version__
from ferrotype.cli.assets import assets_app
from ferrotype.config import ConfigError
from ferrotype.domain.problems import Problem, Unauthorized

app = typer.Typer(
    name="ferrotype",
    help="Self-hosted image-generation gateway and delivery server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
errors = Console(stderr=True)

DataDir = Annotated[Path | None, typer.Option(help="Folder that holds everything.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on.")]
Port = Annotated[int | None, typer.Option(help="Port to listen on.")]


def main() -> None:
    """Entry point. A wrong setting or request is one line on stderr and exit code 2 or 1."""
    try:
        app()
    except ConfigError as error:
        complain(str(error))
        sys.exit(2)
    except Problem as problem:
        complain(described(problem))
        sys.exit(1)


def complain(text: str) -> None:
    """One line on stderr, never wrapped: it can be searched for, and what it names can be copied."""
    errors.print(f"[red]error:[/] {escape(text)}", soft_wrap=True, highlight=False)


def described(problem: Problem) -> str:
    """A problem in one line: what is wrong, with which field, and what can be chosen instead."""
    text = problem.detail
    if problem.field and problem.field.lower() not in text.lower():
        text += f" ({problem.field})"
    if isinstance(problem, Unauthorized):
        text += " Set FERROTYPE_API_KEY to the server's key."
    if isinstance(problem.limit, list) and problem.limit and all(isinstance(c, str) for c in problem.limit):
        text += f" There is: {', '.join(problem.limit)}."
    return text


def run(story: Coroutine[Any, Any, None]) -> None:
    """Run a command's story on the fast event loop. SIGINT and SIGTERM cancel it: exit code 130, unless the
    story takes them for its ordinary end."""
    import uvloop

    async def cancelable() -> None:
        task = asyncio.current_task()
        assert task is not None
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await story

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(cancelable())
        except asyncio.CancelledError:
            raise typer.Exit(130) from None


def version(shown: bool) -> None:
    """Print the version and stop."""
    if shown:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Settings come from the environment and ferrotype.toml; see docs/CONFIGURATION.md."""


@app.command()
def serve(host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Run the server: API, delivery and workers in one process."""
    from ferrotype.app.server import serve as run_server
    from ferrotype.app.settings import load_settings
    from ferrotype.net.logging import configure

    settings = load_settings(http={"host": host, "port": port}, storage={"data_dir": data_dir})
    configure(settings.log)
    run(run_server(settings, alone=True))


@app.command()
def demo(
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    once: Annotated[bool, typer.Option("--once", help="Stop after the pictures.")] = False,
) -> None:
    """Start a server, make a few pictures through its HTTP API, and leave it running."""
    from ferrotype.cli.demo import demo as run_demo

    run(run_demo(host=host, port=port, data_dir=data_dir, once=once))


@app.command()
def generate(
    prompt: Annotated[str, typer.Argument(help="What to make.")],
    output: Annotated[Path | None, typer.Option("-o", "--output", help="File to write.")] = None,
    aspect: Annotated[str | None, typer.Option(help="Aspect ratio, such as 16:9.")] = None,
    size: Annotated[str | None, typer.Option(help="WIDTHxHEIGHT in pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture.")] = None,
    style: Annotated[str | None, typer.Option(help="A named style.")] = None,
    model: Annotated[str | None, typer.Option(help="owner/name.")] = None,
    negative: Annotated[str | None, typer.Option(help="What to leave out.")] = None,
    num: Annotated[int, typer.Option("-n", "--num", help="How many pictures.")] = 1,
    image: Annotated[list[Path] | None, typer.Option(help="Input picture; may be repeated.")] = None,
    operation: Annotated[str, typer.Option(help="What is asked.")] = "generate",
    reuse: Annotated[
        str | None, typer.Option(help="Whether earlier pictures may be the answer: allow, similar or never.")
    ] = None,
    server: Annotated[str | None, typer.Option(help="Address of a server.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the envelope.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make pictures: on the running server, or in this process where there is none."""
    from ferrotype.cli.generate import Wish
    from ferrotype.cli.generate import generate as run_generate

    wish = Wish(
        prompt=prompt,
        output=output,
        aspect_ratio=aspect,
        size=size,
        seed=seed,
        style=style,
        model=model,
        negative_prompt=negative,
        num_images=num,
        images=list(image or []),
        operation=operation,
        reuse=reuse,
    )
    run(run_generate(wish, server=server, data_dir=data_dir, as_json=json))


@app.command()
def batch(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help="Prompts: a .txt, .csv or .jsonl file, or - for standard input."),
    ],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for the pictures.")],
    type: Annotated[
        str | None, typer.Option(help="txt, csv or jsonl, where the name does not say it.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="owner/name, for rows that name none.")] = None,
    style: Annotated[str | None, typer.Option(help="A named style.")] = None,
    aspect_ratio: Annotated[str | None, typer.Option(help="Such as 16:9.")] = None,
    num_images: Annotated[int | None, typer.Option("-n", "--num-images", help="Pictures of a row.")] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same picture.")] = None,
    expand: Annotated[
        bool, typer.Option("--expand", help="A row for each combination of {red|blue} and {1..5}.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="The batch's name.")] = None,
    yes: Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON.")] = False,
    server: Annotated[str | None, typer.Option(help="Address of a server.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Make pictures of many prompts. Given again, it goes on where it stopped.

    Exit code 0: every row has its pictures; 1: none has; 2: the input is wrong; 3: some rows failed.
    """
    from ferrotype.cli.batch import Wish
    from ferrotype.cli.batch import batch as run_batch
    from ferrotype.cli.batch_input import checked_kind

    wish = Wish(
        source=source,
        out=out,
        kind=checked_kind(type),
        defaults={
            "model": model,
            "style": style,
            "aspect_ratio": aspect_ratio,
            "num_images": num_images,
            "seed": seed,
        },
        expand=expand,
        name=name,
        yes=yes,
        as_json=json,
    )
    run(run_batch(wish, server=server, data_dir=data_dir))


models_app = typer.Typer(help="List the models of the catalogue, or check a catalogue file.")
app.add_typer(models_app, name="models")


@models_app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    data_dir: DataDir = None,
) -> None:
    """List the models of the catalogue and whether they can be used."""
    from ferrotype.cli.models import show

    if context.invoked_subcommand is None:
        show(as_json=json, data_dir=data_dir)


@models_app.command("check")
def models_check(
    file: Annotated[
        Path | None, typer.Argument(help="The file; that of FERROTYPE_CATALOGUE when omitted.")
    ] = None,
) -> None:
    """Check a catalogue file, merged over the shipped one: every fault with its line. Exit code 1 for any."""
    from ferrotype.cli.models import check

    check(file)


app.add_typer(assets_app, name="assets")


@app.command()
def credits(
    grant: Annotated[int | None, typer.Option(help="Credits to add.", min=1)] = None,
    data_dir: DataDir = None,
) -> None:
    """Show the default account's balance, or add to it. The server must not be running to add."""
    from ferrotype.cli.credits import credits as run_credits

    run(run_credits(grant=grant, data_dir=data_dir))


@app.command()
def doctor(data_dir: DataDir = None) -> None:
    """Check everything that a server needs, and say how to mend what is wrong."""
    from ferrotype.cli.doctor import doctor as run_doctor

    run(run_doctor(data_dir))


@app.command()
def sim(
    name: Annotated[str, typer.Argument(help="Whose: `comfyui`, `openai` ...; a wrong name lists all.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 takes a free one.")] = 0,
    option: Annotated[
        list[str] | None,
        typer.Option("--set", help="name=value of the simulator's script; may be repeated."),
    ] = None,
) -> None:
    """Run a simulator that speaks a provider's wire format."""
    from ferrotype.cli.sim import simulate

    run(simulate(name, host=host, port=port, options=option or []))
