"""What is asked on a validator's host, as only it reaches its beacon nodes; each answer is JSON."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from .beacon import BeaconError
from .interchange import InterchangeError, public_key
from .record import first_duty, record
from .survey import look


def _record(asked: argparse.Namespace) -> dict[str, Any]:
    found = record(asked.beacon, asked.key, asked.epoch)
    return {**asdict(found), "chain": found.genesis_validators_root}


QUESTIONS: dict[str, Callable[[argparse.Namespace], Any]] = {
    "record": _record,
    "first-duty": lambda asked: first_duty(asked.beacon, asked.key, asked.epoch),
    "survey": lambda asked: look(asked.beacon, asked.epoch, asked.last_epoch, asked.key),
}


def main() -> int:
    """Ends with 1 and one sentence on standard error when no beacon node can be asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("question", choices=sorted(QUESTIONS))
    parser.add_argument("--beacon", action="append", required=True, help="address of a Beacon API")
    parser.add_argument("--key", action="append", default=[], help="public key; a survey without one looks at all")
    parser.add_argument("--epoch", type=int, required=True, help="first epoch to look at, or the one before duties")
    parser.add_argument("--last-epoch", type=int, help="last one of a survey; the head's when not given")
    asked = parser.parse_args()
    if not asked.key and asked.question != "survey":
        parser.error("name at least one --key")
    try:
        asked.key = [public_key(key) for key in asked.key]  # stack files write them with 0x, the chain's record without
        print(json.dumps(QUESTIONS[asked.question](asked)))
    except (BeaconError, InterchangeError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
