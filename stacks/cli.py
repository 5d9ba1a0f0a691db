"""The `stakeyard` command."""

import shlex
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from images.lab.cli import app as lab_app
from stacks import overview, prepare, recovery
from stacks.errors import StakeyardError
from stacks.failures import FAILURES, sentence
from stacks.pulumi_command import CHANGING, makes_fleet, subcommand
from stacks.rebuild import Fence, Request
from stacks.workspace import Workspace, help_of_pulumi

app = typer.Typer(help="Blockchain nodes on OpenStack clouds.", no_args_is_help=True, pretty_exceptions_enable=False)
image = typer.Typer(help="The golden node image.", no_args_is_help=True)
artifact = typer.Typer(help="Verified client software.", no_args_is_help=True)
app.add_typer(lab_app, name="lab", help="A real OpenStack on this machine.")
app.add_typer(image, name="image")
app.add_typer(artifact, name="artifact")

console = Console(soft_wrap=True)
Stack = Annotated[str, typer.Option("--stack", "-s", help="Stack: the NAME of stacks/Pulumi.NAME.yaml.")]
HELP = {"-h", "--help"}
# Set by `stakeyard env` for whoever types plain `pulumi` afterwards.
EXPORTED = (
    "PATH",
    "PULUMI_HOME",
    "PULUMI_BACKEND_URL",
    "PULUMI_CONFIG_PASSPHRASE_FILE",
    "PULUMI_SKIP_UPDATE_CHECK",
    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION",
    "PULUMI_IGNORE_AMBIENT_PLUGINS",
)


@app.command("prepare")
def prepare_all(
    roles: Annotated[list[str] | None, typer.Argument(help="Roles whose software is wanted; the lab stack's.")] = None,
) -> None:
    """Make everything that `pulumi up` of the lab stack needs: tools, lab cloud, node image, client software."""
    # Each of these imports what only this command needs.
    from images.lab.lab import Lab  # noqa: PLC0415
    from images.lab.settings import settings  # noqa: PLC0415
    from images.node.build import build as build_image  # noqa: PLC0415
    from stacks.artifacts import prefetch  # noqa: PLC0415
    from tools.build import ensure  # noqa: PLC0415

    prepare.run(
        {
            "lab": lambda report: Lab(settings(), report).up(),
            "tools": ensure,
            "image": build_image,
            **{role: partial(prefetch, role) for role in roles or ("bitcoin",)},
        },
        console,
    )


@app.command(
    "pulumi", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def pulumi(context: typer.Context, stack: Stack = "lab") -> None:
    """Run pulumi on a stack with this checkout's tools, state and passphrase: `stakeyard pulumi up`."""
    # Each of these imports what only some commands need.
    from stacks.catalogue import load_catalogue  # noqa: PLC0415
    from stacks.policy import gate, state  # noqa: PLC0415

    if HELP & set(context.args):
        print(f"{context.get_help()}\n\nThe rest is Pulumi's own:\n", flush=True)
        raise typer.Exit(help_of_pulumi(context.args))
    workspace = Workspace(stack)
    workspace.prepare()
    if not makes_fleet(context.args):
        raise typer.Exit(workspace.pulumi(*context.args).returncode)
    catalogue, today = load_catalogue(), date.today()
    fleet = gate.require(workspace.stack_file, catalogue, today)
    status = workspace.pulumi(*context.args).returncode
    if status == 0 and subcommand(context.args) in CHANGING:
        state.require(workspace, fleet, catalogue, today)
    raise typer.Exit(status)


@app.command("env")
def env(stack: Stack = "lab") -> None:
    """Print the shell lines after which plain `pulumi` works: `eval "$(stakeyard env)"`."""
    workspace = Workspace(stack)
    workspace.prepare()
    values = workspace.environment()
    for name in EXPORTED:
        if name in values:
            print(f"export {name}={shlex.quote(values[name])}")


@app.command("table")
def table(stack: Stack = "lab") -> None:
    """Show a stack's nodes: kind, address, version, checks."""
    workspace = Workspace(stack)
    workspace.prepare()
    console.print(overview.table(workspace.outputs()))


@app.command("recover")
def recover(
    stack: Stack = "lab",
    *,
    alone: Annotated[
        bool, typer.Option("--alone", help="No update of the stack runs on another machine either: I have looked.")
    ] = False,
) -> None:
    """After an update that was killed: unlock the stack and remove what it had begun to make."""
    workspace = Workspace(stack)
    workspace.prepare()
    recovery.recover(workspace, console.print, alone=alone)


@app.command("rebuild")
def rebuild_command(
    node: Annotated[str, typer.Argument(help="Node of the stack file.")],
    stack: Stack = "lab",
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and touch nothing.")] = False,
    fence: Annotated[
        Fence | None, typer.Option(help="What may be done to an old server that is not proven to have ended.")
    ] = None,
    restore: Annotated[str | None, typer.Option(help="Backup to restore when the key volume is lost.")] = None,
    accept_older_backup: Annotated[
        bool, typer.Option("--accept-older-backup", help="Restore a history that may not be the last.")
    ] = False,
    anew: Annotated[bool, typer.Option("--anew", help="Give up a rebuild that was not finished.")] = False,
) -> None:
    """Put a node on a new server after its old one is lost, or go on with that; its key never signs twice."""
    from stacks import rebuild_command  # noqa: PLC0415

    workspace = Workspace(stack)
    workspace.prepare()
    request = Request(stack, node, fence, restore, accept_older_backup)
    raise typer.Exit(rebuild_command.rebuild_node(workspace, request, console, dry_run=dry_run, anew=anew))


@app.command("backup")
def backup_command(node: Annotated[str, typer.Argument(help="Node of the stack file.")], stack: Stack = "lab") -> None:
    """Take an encrypted backup of a node, and fetch what the operators' repository lacks."""
    from stacks import rebuild_command  # noqa: PLC0415

    workspace = Workspace(stack)
    workspace.prepare()
    rebuild_command.back_up(workspace, node, console)


@app.command("preview")
def preview_command(
    stack: Stack = "lab",
    *,
    base: Annotated[str | None, typer.Option(help="Revision to compare with, such as origin/main.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for preview.md, preview.json and preview.sarif.")] = None,
    mocked: Annotated[
        bool | None, typer.Option("--mocked/--asked", help="Ask no cloud, or insist on asking it.")
    ] = None,
) -> None:
    """Say what an update would change, how risky it is and which policies it breaks; change nothing.

    Exit status: 0 safe, 2 needs review, 3 refused by policy, 1 failed.
    """
    from stacks.preview import command  # noqa: PLC0415

    raise typer.Exit(int(command.run(command.Request(stack, base, out, mocked), console)))


@app.command("drift")
def drift_command(
    stack: Stack = "lab",
    *,
    out: Annotated[Path | None, typer.Option(help="Folder for the report.")] = None,
) -> None:
    """Say what is no longer as the last update left it, in the cloud and inside the hosts; change nothing.

    Exit status: 0 nothing, 2 something drifted, 1 failed.
    """
    from stacks.preview import drift  # noqa: PLC0415

    workspace = Workspace(stack)
    workspace.prepare()
    raise typer.Exit(drift.look(workspace, console, out))


@app.command("check")
def check(files: Annotated[list[Path], typer.Argument(help="Stack files to check.")]) -> None:
    """Say what is wrong in stack files and which policies they break, without a cloud."""
    from stacks.catalogue import load_catalogue  # noqa: PLC0415
    from stacks.fleet import load_stack_file  # noqa: PLC0415
    from stacks.policy import gate  # noqa: PLC0415
    from stacks.policy.check import check_fleet  # noqa: PLC0415

    catalogue = load_catalogue()
    failed = False
    for file in files:
        try:
            fleet = load_stack_file(file, catalogue)
            findings = check_fleet(fleet, catalogue, date.today())
        except StakeyardError as error:
            console.print(f"{file}: {error}", style="red", markup=False)
            failed = True
            continue
        for each in findings:
            style = "dim" if each.waived else "red" if each.level == "error" else "yellow"
            console.print(f"{file}: {each.level}: {gate.told(each)}", style=style, markup=False)
        if gate.errors(findings):
            failed = True
        else:
            console.print(f"{file}: good, {len(fleet.nodes)} nodes", markup=False)
    raise typer.Exit(1 if failed else 0)


@app.command(
    "devnet", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def devnet(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Kind of node that makes it.")] = "",
    directory: Annotated[
        str, typer.Argument(metavar="FOLDER [OPTIONS OF THE KIND]", help="New folder for its files.")
    ] = "",
) -> None:
    """Make a private network: its genesis, and keys that are worth nothing. `stakeyard devnet KIND --help`: options."""
    from stacks.devnet import able, make, options_of  # noqa: PLC0415

    # The kind's options are not known here, so `--help` is looked for by hand.
    if HELP & {kind, directory, *context.args}:
        print(context.get_help() if kind in HELP else options_of(kind))
    elif not kind or not directory:
        raise StakeyardError(f"name a kind and a new folder: `stakeyard devnet {kind or able()[0]} FOLDER`.")
    else:
        console.print(str(make(kind, Path(directory), context.args, console.print)))


@image.command("build")
def image_build() -> None:
    """Build the golden node image, unless the one at hand is current."""
    from images.node.build import build  # noqa: PLC0415

    console.print(str(build(console.print)))


@image.command("bootable")
def image_bootable() -> None:
    """Make the golden image's form with a bootloader (BIOS and UEFI), for clouds other than the lab."""
    from images.node.bootable import bootable  # noqa: PLC0415

    console.print(str(bootable(console.print)))


@artifact.command("prefetch")
def artifact_prefetch(kind: Annotated[str, typer.Argument(help="Kind of node, as in roles/KIND.")]) -> None:
    """Fetch, verify or build a kind's software into the cache, so that `pulumi up` does not wait for it."""
    from stacks.artifacts import prefetch  # noqa: PLC0415

    console.print(str(prefetch(kind, console.print)))


def main() -> None:
    """Entry point: what stops a command is one sentence on standard error and status 1."""
    try:
        app()
    except FAILURES as error:
        print(f"stakeyard: {sentence(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
