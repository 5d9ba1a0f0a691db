"""`python -m images.node`: build the golden image and print its directory."""

import sys

from images.node.build import build
from stacks.errors import StakeyardError

try:
    print(build(lambda line: print(line, file=sys.stderr)))
except StakeyardError as error:
    sys.exit(f"stakeyard: {error}")
