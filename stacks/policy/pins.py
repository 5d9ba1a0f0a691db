"""What runs is pinned: images that cannot change under one name, and releases that artifacts.yml knows by digest."""

import re
from collections.abc import Iterator

from stacks import artifacts
from stacks.catalogue_clients import Client
from stacks.fleet_models import ExistingImage
from stacks.policy.model import Breach, Context, Resource
from stacks.urns import SERVER

_PIN = r"recorded|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def images(context: Context) -> Iterator[Breach]:
    """Judge the images of the stack file: golden ones have their digest in their name, others need a pin."""
    for name, image in context.fleet.images.items():
        if isinstance(image, ExistingImage) and not re.fullmatch(_PIN, image.pin):
            sentence = f"image {name} is not pinned; write pin: recorded, or the id of the image."
            yield Breach(f"images.{name}.pin", sentence)


def image_of(context: Context, resource: Resource) -> Iterator[Breach]:
    """Judge a server: an image by its name is whatever has the name at the time."""
    if resource.type == SERVER and resource.stays and resource.inputs.get("imageName"):
        sentence = f"server {resource.name} takes its image by name; give the id of a pinned image."
        yield Breach(resource.key, sentence, context.owner(resource))


def releases(context: Context) -> Iterator[Breach]:
    """Judge the releases that nodes run: each is in artifacts.yml, with a digest or a pinned source."""
    for name, client, release in _releases(context):
        if isinstance(release, str):
            yield Breach(context.release_key(name, client), f"{name}: {release}", name)


def lab_releases(context: Context) -> Iterator[Breach]:
    """Judge where releases for labs and tests run."""
    for name, client, release in _releases(context):
        if release is True and not client.private:
            sentence = (
                f"{name}: {client.name} {client.release} is for labs and tests, but {client.network} is no private "
                f"network; choose a published release with {client.variable}."
            )
            yield Breach(context.release_key(name, client), sentence, name)


def _releases(context: Context) -> Iterator[tuple[str, Client, str | bool]]:
    """By node and client: what is wrong with the release, or whether it is for labs only."""
    known: dict[tuple[str, str], str | bool] = {}
    for name, found in context.clients.items():
        for client in found:
            place = (str(client.manifest.path), client.release)
            if place not in known:
                known[place] = _look(client)
            yield name, client, known[place]


def _look(client: Client) -> str | bool:
    library = artifacts.library()
    try:
        release = library.parse_release(client.manifest.data, client.manifest.path.parent, client.release)
    except library.ArtifactError as error:
        return str(error)
    return bool(release.lab_only)
