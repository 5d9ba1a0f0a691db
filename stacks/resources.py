"""Stakeyard's own resources as the program sees them; what they do is in stacks/convergence.py and verification.py."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pulumi

from stacks.urns import CONVERGENCE, FLEET_CHECKS, HOST_KEY
from stacks.variables import Plan

LOGIN = "stakeyard"
"""The user that images have for us, with sudo."""


class HostKey(pulumi.CustomResource):
    """A server's SSH host key, read through the cloud's API. Created when the server has booted."""

    key: pulumi.Output[str]

    def __init__(self, plan: Plan, server_id: pulumi.Input[str], opts: pulumi.ResourceOptions) -> None:
        """Pin the host key of the server of this identifier."""
        props = {"name": plan.name, "server_id": server_id, "cloud": plan.cloud, "key": None}
        super().__init__(HOST_KEY, plan.name, props, opts)


class Convergence(pulumi.CustomResource):
    """A node's software. Created when its roles have been applied and its checks have passed."""

    host_key: pulumi.Output[str]
    versions: pulumi.Output[dict[str, str]]
    checks: pulumi.Output[list[dict[str, str]]]
    files: pulumi.Output[dict[str, str]]
    drift: pulumi.Output[list[str]]
    revision: pulumi.Output[str]
    variables: pulumi.Output[dict[str, Any]]

    def __init__(
        self,
        plan: Plan,
        *,
        host: pulumi.Input[str],
        host_key: pulumi.Input[str],
        server_id: pulumi.Input[str],
        device_ids: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        """Converge the server at `host` to `plan`; `device_ids` are its volumes' identifiers by name."""
        volumes = {
            # With the size, as a larger one is for the roles to take up.
            key: {"device_id": device, "mount": plan.mounts[key], "size_gib": plan.sizes[key]}
            for key, device in device_ids.items()
        }
        variables: Any = {**plan.variables, "stakeyard_volumes": volumes}
        # What roles say is a secret is one whatever Pulumi says.
        encrypted = has_secrets()
        secret = encrypted or bool(plan.secret)
        props = {
            "name": plan.name,
            "kind": plan.kind,
            "host": host,
            "host_key": host_key,
            "server_id": server_id,
            "cloud": plan.cloud,
            "user": LOGIN,
            "private_key_file": plan.private_key_file,
            "roles": list(plan.roles),
            "roles_digest": plan.roles_digest,
            "variables": pulumi.Output.secret(variables) if secret else variables,
            "secret_variables": list(plan.hidden(encrypted)),
            "managed": [dict(file) for file in plan.managed],
            "units": list(plan.units),
            "throwaway": plan.throwaway,
            **({"backup": dict(plan.backup)} if plan.backup else {}),
            **signer_of(plan, device_ids),
        }
        outputs = dict.fromkeys(("versions", "checks", "files", "drift", "revision"))
        super().__init__(CONVERGENCE, plan.name, {**props, **outputs}, opts)


def signer_of(plan: Plan, device_ids: Mapping[str, pulumi.Input[str]]) -> dict[str, Any]:
    """The input `signer` of a node that signs, with its key volume; nothing for others."""
    if plan.signer is None:
        return {}
    volume = device_ids[str(plan.signer["volume"])]
    return {"signer": {**{key: value for key, value in plan.signer.items() if key != "volume"}, "volume_id": volume}}


class FleetChecks(pulumi.CustomResource):
    """The checks of all nodes of a kind together. Created when they have passed."""

    checks: pulumi.Output[list[dict[str, str]]]
    drift: pulumi.Output[list[str]]

    def __init__(
        self, kind: str, members: Sequence[tuple[Plan, pulumi.Input[str], Convergence]], opts: pulumi.ResourceOptions
    ) -> None:
        """Check the nodes of `kind`: their plans, where each is reached, and their convergences.

        `opts` says that they wait for the convergences.
        """
        first = members[0][0]
        props = {
            "kind": kind,
            "roles": list(first.roles),
            "roles_digest": first.roles_digest,
            "user": LOGIN,
            "private_key_file": first.private_key_file,
            "nodes": [
                {
                    "name": plan.name,
                    "kind": kind,
                    "host": host,
                    "host_key": without_origin(convergence.host_key),
                    "revision": without_origin(convergence.revision),
                    "variables": without_origin(convergence.variables),
                    "managed": [dict(file) for file in plan.managed],
                    "units": list(plan.units),
                }
                for plan, host, convergence in members
            ],
        }
        super().__init__(FLEET_CHECKS, kind, {**props, "checks": None, "drift": None}, opts)


def without_origin(value: pulumi.Output[Any]) -> pulumi.Output[Any]:
    """The value, as unknown and as secret as it is, without word of which resource it comes from.

    For every resource that is replaced, Pulumi asks of each whose inputs come from there whether it must be replaced,
    too, and hands over all of its inputs. Checks never are: they run again in place, as their inputs have changed.
    Being asked would cost more than all else where many of a thousand nodes change.
    """
    return pulumi.Output(set(), value.future(with_unknowns=True), value.is_known(), value.is_secret())


def has_secrets(keys: Iterable[str] = ("stakeyard:fleet",)) -> bool:
    """Whether the stack file holds encrypted values; Pulumi says so for the whole key only."""
    return any(pulumi.runtime.is_config_secret(key) for key in keys)
