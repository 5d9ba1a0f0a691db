#!/bin/bash
# Once, when the databases and the catalogue are filled: lets the services start, now and at every boot.
set -euo pipefail
touch /var/lib/stakeyard-lab/initialised
mapfile -t services < /var/lib/stakeyard-lab/services
systemctl start --no-block "${services[@]}"
