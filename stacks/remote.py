"""Run a role's own Python on a host that the control machine reaches over SSH, without installing anything there.

The module utilities of the role travel as one zip file through standard input; the host needs Python alone.
"""

import base64
import io
import json
import shlex
import zipfile
from collections.abc import Sequence
from typing import Any

from stacks.errors import StakeyardError
from stacks.paths import REPOSITORY
from stacks.ssh import Session
from stacks.text import last_line

ANSWER_SECONDS = 300
_RUN = "f=$(mktemp) && base64 -d > $f && python3 -I $f {arguments}; s=$?; rm -f $f; exit $s"


def archive(role: str, module: str) -> bytes:
    """A zip file of roles/<role>/module_utils that Python runs: `main()` of `module` is its beginning."""
    folder, packed = REPOSITORY / "roles" / role / "module_utils", io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as written:
        for path in sorted(folder.rglob("*.py")):
            written.writestr(str(path.relative_to(folder)), path.read_bytes())
        written.writestr("__main__.py", f"import sys\nfrom {module} import main\nsys.exit(main())\n")
    return packed.getvalue()


def ask(opened: Session, host: str, role: str, module: str, arguments: Sequence[str]) -> Any:
    """What `module` of the role prints as JSON on the host. Raises StakeyardError with its last word when it fails."""
    words = " ".join(shlex.quote(argument) for argument in arguments)
    sent = base64.b64encode(archive(role, module)).decode()
    answer = opened.run(host, _RUN.format(arguments=words), stdin=sent, timeout=ANSWER_SECONDS)
    if answer.returncode != 0:
        raise StakeyardError(f"{host}: {last_line(answer.stderr, 'it gave no reason')}")
    return json.loads(answer.stdout)
