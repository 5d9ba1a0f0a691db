#!/usr/bin/python
"""Ansible's door to stakeyard_artifact: runs on the control machine only."""

from __future__ import annotations

import os
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_artifact.model import ArtifactError  # type: ignore[import-untyped]
from ansible.module_utils.stakeyard_artifact.retrieve import default_cache, load, obtain  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: artifact_fetch
short_description: Put a pinned, verified archive into the cache of the control machine
description:
  - Takes the archive from the operator's mirror, from upstream, or builds it from pinned source.
  - Checks the pinned digest and, where the manifest asks for them, the signatures of enough pinned signers.
options:
  manifest: {description: Path of the role's artifacts.yml., type: path, required: true}
  version: {description: Pinned version in the manifest., type: str, required: true}
  platform: {description: Platform key in the manifest., type: str, default: x86_64}
  mirror: {description: Directory or address of a mirror; empty for STAKEYARD_MIRROR or none., type: str, default: ""}
author: [Stakeyard]
"""

EXAMPLES = r"""
- name: Fetch the archive.
  artifact_fetch: {manifest: "{{ role_path }}/artifacts.yml", version: "31.1"}
  delegate_to: localhost
"""

RETURN = r"""
path: {description: The verified archive., type: str, returned: success}
sha256: {description: Its digest., type: str, returned: success}
"""


def main() -> None:
    """Fetch, report and exit; every refusal is one sentence."""
    module = AnsibleModule(
        argument_spec={
            "manifest": {"type": "path", "required": True},
            "version": {"type": "str", "required": True},
            "platform": {"type": "str", "default": "x86_64"},
            "mirror": {"type": "str", "default": ""},
        },
        supports_check_mode=True,  # the cache is not the managed host
    )
    parameters = module.params
    mirror = parameters["mirror"] or os.environ.get("STAKEYARD_MIRROR", "")
    try:
        release = load(Path(parameters["manifest"]), parameters["version"], parameters["platform"])
        obtained = obtain(release, mirror, default_cache(), module.debug)
    except ArtifactError as refusal:
        module.fail_json(msg=str(refusal))
    for warning in obtained.warnings:
        module.warn(warning)
    module.exit_json(
        changed=False,
        artifact=release.artifact,
        version=release.version,
        path=str(obtained.path),
        sha256=obtained.sha256,
        origin=obtained.origin,
        signers=obtained.signers,
        members=list(release.members),
        strip=release.strip,
        reports=release.reports,
    )


if __name__ == "__main__":
    main()
