"""`stakeyard lab`: a real OpenStack on this machine."""

import subprocess
from typing import Annotated

import typer

from images.lab import host, preflight
from images.lab.lab import Lab
from images.lab.settings import settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A real OpenStack on this machine.")


def _lab() -> Lab:
    lab = Lab(settings(), lambda line: print(line, flush=True))
    preflight.check_system(host.gather(lab.settings.state))
    return lab


@app.command()
def up() -> None:
    """Start the lab; make it first where it does not exist."""
    _lab().up()


@app.command()
def down() -> None:
    """Stop the lab; nothing of it stays but its files."""
    _lab().down()


@app.command()
def status() -> None:
    """Say what runs and what is missing; exit with 1 unless the lab is up."""
    lab = _lab()
    running = lab.running()
    for role in ("controller", "compute"):
        print(f"{role:<12}{'running' if role in running else 'stopped'}")
    problems = lab.problems()
    print("lab is up" if not problems else f"lab is not up: {', '.join(problems)}")
    if problems:
        raise typer.Exit(1)


@app.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def shell(
    node: Annotated[str, typer.Argument(help="controller or compute")] = "controller",
    command: Annotated[list[str] | None, typer.Argument(help="a command instead of a shell")] = None,
) -> None:
    """Open a shell in a node, or run a command there; OS_CLOUD is set."""
    entered = _lab().node(node).enter(*(command or ["bash", "-i"]))
    raise typer.Exit(subprocess.run(entered, check=False).returncode)


@app.command()
def destroy(
    cache: Annotated[bool, typer.Option("--cache", help="remove the cached archives too")] = False,
) -> None:
    """Stop the lab and remove its files."""
    _lab().destroy(with_cache=cache)
