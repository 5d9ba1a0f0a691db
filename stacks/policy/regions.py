"""Nodes are in the regions that the stack file names, where it names any; judged by availability zones."""

from collections.abc import Iterable, Iterator

from stacks.policy.model import Breach, Context, Resource
from stacks.urns import SERVER, VOLUME


def inside(place: str, regions: Iterable[str]) -> bool:
    """Whether a zone (or a region) is in one of the regions: `eu-de-01` is in `eu-de`."""
    return any(place == region or place.startswith(f"{region}-") for region in regions)


def on_fleet(context: Context) -> Iterator[Breach]:
    """Judge the zones of nodes."""
    for name, node in context.fleet.nodes.items():
        wrong = _problem(context, node.zone)
        if wrong:
            yield Breach(f"nodes.{name}.zone", f"{name} {wrong}", name)


def on_resource(context: Context, resource: Resource) -> Iterator[Breach]:
    """Judge where a server or a volume is, and any resource of the cloud that names a region."""
    if not resource.stays or not resource.type.startswith("openstack:"):
        return
    places = [resource.inputs.get("region")]
    if resource.type in (SERVER, VOLUME):
        places.append(resource.inputs.get("availabilityZone"))
    for place in places:
        wrong = _problem(context, place) if isinstance(place, str) and place else ""
        if wrong:
            yield Breach(resource.key, f"{resource.name} {wrong}", context.owner(resource))
            return


def _problem(context: Context, place: str) -> str:
    regions = context.fleet.policy.regions
    if not regions or inside(place, regions):
        return ""
    return f"would be in {place}, outside policy.regions ({', '.join(regions)}); choose a zone of one of these."
