"""Clients know the forks of their network: below the oldest release that does, a node follows another chain."""

from collections.abc import Iterator
from datetime import timedelta

from packaging.version import InvalidVersion, Version

from stacks.catalogue_clients import Client, Fork
from stacks.policy.model import Breach, Context


def older(release: str, oldest: str) -> bool:
    """Whether a release is older; one that cannot be compared counts as older, as nothing is known of it."""
    try:
        return Version(release) < Version(oldest)
    except InvalidVersion:
        return True


def too_old(context: Context) -> Iterator[Breach]:
    """Clients that do not know a fork that is certain and near, or below the network's oldest."""
    for name, client in _all(context):
        if client.oldest and older(client.release, client.oldest):
            what = f"does not know the forks of {client.network}"
            yield _breach(context.release_key(name, client), name, client, client.oldest, what)
        for fork in client.forks:
            oldest = fork.minimum.get(client.name)
            if oldest and _presses(context, fork) and older(client.release, oldest):
                what = f"does not know {_shown(fork, client)}"
                yield _breach(context.release_key(name, client), name, client, oldest, what)


def behind(context: Context) -> Iterator[Breach]:
    """Clients below what is said of a fork that is far off, has no date, or whose versions are not certain."""
    for name, client in _all(context):
        for fork in client.forks:
            oldest = fork.minimum.get(client.name)
            if oldest and not _presses(context, fork) and older(client.release, oldest):
                what = f"may not know {_shown(fork, client)}: {fork.note}"
                yield _breach(context.release_key(name, client), name, client, oldest, what)


def _all(context: Context) -> Iterator[tuple[str, Client]]:
    for name, found in context.clients.items():
        yield from ((name, client) for client in found)


def _presses(context: Context, fork: Fork) -> bool:
    """Whether the fork is certain, and has begun or begins within the stack file's notice."""
    notice = timedelta(days=context.fleet.policy.fork_notice_days)
    return fork.certain and fork.at is not None and fork.at.date() <= context.today + notice


def _shown(fork: Fork, client: Client) -> str:
    day = fork.at.date().isoformat() if fork.at else "no date yet"
    return f"{fork.name} of {client.network} ({day})"


def _breach(key: str, name: str, client: Client, oldest: str, what: str) -> Breach:
    sentence = f"{name}: {client.name} {client.release} ({client.role}) {what}; use {oldest} or newer."
    return Breach(key, sentence, name)
