"""`python -m images.node [bootable]`: build the golden image, or its bootable form, and print where it is."""

import sys

from images.node.bootable import bootable
from images.node.build import build
from stacks.errors import StakeyardError

try:
    make = bootable if sys.argv[1:] == ["bootable"] else build
    print(make(lambda line: print(line, file=sys.stderr)))
except StakeyardError as error:
    sys.exit(f"stakeyard: {error}")
