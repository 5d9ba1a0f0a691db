#!/usr/bin/python3
"""Write several files in one task: on an emulated guest every task costs seconds, and a role has many files."""

import os
import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule  # type: ignore[import-untyped]
from ansible.module_utils.common.text.converters import to_bytes, to_native  # type: ignore[import-untyped]

DOCUMENTATION = r"""
module: managed_files
short_description: Write several files, each whole and atomically
description:
  - Every file gets its content, owner, group and mode; missing parent directories are made (root, 0755).
  - All files are checked before the first is written, so a bad one changes nothing.
options:
  files:
    description: The files, each with path, content, owner, group, mode and optionally validate.
    type: list
    elements: dict
    required: true
    suboptions:
      path: {description: Where the file goes., type: path, required: true}
      content: {description: What is in it., type: str, required: true}
      owner: {description: Name of the owner., type: str, default: root}
      group: {description: Name of the group., type: str, default: root}
      mode: {description: Four octal digits., type: str, default: '0644'}
      validate:
        description: Command that must succeed with %s replaced by a file that has the new content.
        type: str
      run:
        description: Command that takes up a change. The module does not run it, but returns it in RV(commands).
        type: str
attributes:
  check_mode: {support: full}
  diff_mode: {support: full}
"""

RETURN = r"""
changed_paths: {description: Paths whose content or attributes changed., type: list, returned: always}
commands:
  description: The commands given as O(files[].run) for these paths, each once, in the order of the files.
  type: list
  returned: always
"""

SPEC: dict[str, dict[str, Any]] = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "owner": {"type": "str", "default": "root"},
    "group": {"type": "str", "default": "root"},
    "mode": {"type": "str", "default": "0644"},
    "validate": {"type": "str"},
    "run": {"type": "str"},
}


def present(path: Path) -> bytes | None:
    """The file's content now; None where there is no plain file, so that a link is replaced and not followed."""
    return path.read_bytes() if path.is_file() and not path.is_symlink() else None


def check(module: AnsibleModule, item: dict[str, Any]) -> None:
    """Fail unless the file's own program accepts the new content."""
    descriptor, name = tempfile.mkstemp(dir=module.tmpdir)
    with os.fdopen(descriptor, "wb") as file:
        file.write(to_bytes(item["content"]))
    rc, out, err = module.run_command(item["validate"].replace("%s", name))
    Path(name).unlink()
    if rc != 0:
        reason = " ".join((err or out).replace(name, item["path"]).split())
        module.fail_json(msg=f"{item['path']} would not be valid, so nothing was written: {reason}")


def write(module: AnsibleModule, item: dict[str, Any]) -> None:
    """Put the content in place by a rename in the same directory."""
    path = Path(item["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".stakeyard-")
    with os.fdopen(descriptor, "wb") as file:
        file.write(to_bytes(item["content"]))
    attributes(module, item, name)
    # Not module.atomic_move: that gives a file which was not there before the default mode and owner.
    Path(name).replace(path)


def attributes(module: AnsibleModule, item: dict[str, Any], path: str) -> bool:
    """Owner, group and mode; says whether one of them was (or in check mode would be) changed."""
    arguments = {"path": path, "owner": item["owner"], "group": item["group"], "mode": item["mode"]}
    options = module.load_file_common_arguments({**arguments, "attributes": None, "seuser": None, "selevel": None})
    return bool(module.set_fs_attributes_if_different(options, False))


def main() -> None:
    """Compare, check, write."""
    options = {"files": {"type": "list", "elements": "dict", "required": True, "options": SPEC}}
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    files = module.params["files"]
    old = {item["path"]: present(Path(item["path"])) for item in files}
    new = [item for item in files if old[item["path"]] != to_bytes(item["content"])]
    for item in new:
        if item["validate"]:
            check(module, item)
    changed = [item["path"] for item in new]
    for item in files:
        if item in new:
            if not module.check_mode:
                write(module, item)
        elif attributes(module, item, item["path"]):
            changed.append(item["path"])
    diff = [
        {"before_header": item["path"], "after_header": item["path"],
         "before": to_native(old[item["path"]] or b"", errors="surrogate_or_replace"), "after": item["content"]}
        for item in new
    ]  # fmt: skip
    commands = list(dict.fromkeys(item["run"] for item in files if item["path"] in changed and item["run"]))
    module.exit_json(changed=bool(changed), changed_paths=changed, commands=commands, diff=diff)


if __name__ == "__main__":
    main()
