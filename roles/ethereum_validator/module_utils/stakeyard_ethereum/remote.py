"""What is asked on a validator's host, as only it reaches its beacon nodes: `record` or `first-duty`, as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from .beacon import BeaconError
from .record import first_duty, record


def main() -> int:
    """Ends with 1 and one sentence on standard error when no beacon node can be asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=["record", "first-duty"])
    parser.add_argument("--beacon", action="append", required=True, help="address of a Beacon API")
    parser.add_argument("--key", action="append", required=True, help="public key")
    parser.add_argument("--epoch", type=int, required=True, help="first epoch to look at, or the one before duties")
    asked = parser.parse_args()
    try:
        if asked.question == "record":
            print(json.dumps(asdict(record(asked.beacon, asked.key, asked.epoch))))
        else:
            print(json.dumps(first_duty(asked.beacon, asked.key, asked.epoch)))
    except BeaconError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
