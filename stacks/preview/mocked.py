"""A preview without any cloud: what a change of the repository would do to a fleet that is exactly as its base says.

Both programs, the base's and the head's, run side by side without an engine (dryrun/). What both declare alike cannot
change. Of the rest of what the base declares, the state of a throw-away backend is made, and on that the real
`pulumi preview` goes on with the head's program, with the real OpenStack plugin, which decides by itself what can be
changed in place; the few questions it has for a cloud are answered on this machine.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from stacks.preview.checkout import Checkout
from stacks.preview.deployment import deployment
from stacks.preview.engine import Engine
from stacks.preview.programs import Programs
from stacks.preview.stand_in import clouds_yaml, stand_in


def digest(
    head: Checkout, base: Checkout | None, stack: str, scratch: Path, *, compared: bool = True
) -> dict[str, Any]:
    """What `pulumi preview --json` says of `head` on a fleet that is as `base` says; nothing is there without a base.

    `scratch` is an empty folder. Where the two are not `compared` first, Pulumi is asked for every resource: the answer
    is the same, and takes longer. Raises StakeyardError with what went wrong.
    """
    clouds = scratch / "clouds.yaml"
    checkouts = [checkout for checkout in (head, base) if checkout]
    with (
        stand_in(pattern for checkout in checkouts for pattern in _patterns(checkout)) as url,
        Programs(stack, scratch) as programs,
        ThreadPoolExecutor() as pool,
    ):
        clouds.write_text(clouds_yaml((name for checkout in checkouts for name in _clouds(checkout)), url))
        engine = Engine(stack, scratch, clouds)
        programs.start(head, base, compared=compared)
        made = pool.submit(engine.make)
        waiting = programs.wait()
        made.result()
        state = deployment(_lines(programs.declared), waiting.unchanged)
        there = {resource["urn"] for resource in state["deployment"]["resources"]}
        if not waiting.questions and there <= waiting.unchanged:
            return {}  # there is nothing to ask
        if there:
            engine.fill(state)
        return engine.preview(head.directory, waiting.port)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open() as file:
            yield from map(json.loads, file)


def _patterns(checkout: Checkout) -> list[str]:
    images = checkout.fleet.get("images") if isinstance(checkout.fleet, dict) else None
    found = images.values() if isinstance(images, dict) else ()
    return [str(image["name_regex"]) for image in found if isinstance(image, dict) and "name_regex" in image]


def _clouds(checkout: Checkout) -> list[str]:
    name = checkout.fleet.get("cloud") if isinstance(checkout.fleet, dict) else None
    return [name] if isinstance(name, str) else []
