"""Inputs of resources as Pulumi shows them before an update, when some are not known yet.

A preview's JSON has a marker in the place of such a value; the policy SDK raises where one is touched.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pulumi_policy import proxy

_MARKERS = frozenset(value for name, value in vars(proxy).items() if name.startswith("UNKNOWN_"))


def known(value: Any) -> Any:
    """The value as plain data, without what is not known yet."""
    if isinstance(value, Mapping):
        return {key: known(each) for key, each in _each(value, value) if not _unknown(each)}
    if _is_list(value):
        return [known(each) for _, each in _each(value, range(len(value))) if not _unknown(each)]
    return value


def unknown(inputs: Mapping[str, Any]) -> frozenset[str]:
    """Names of the inputs that are not known yet, or hold such a value."""
    return frozenset(name for name, value in _each(inputs, inputs) if _holds(value))


def _holds(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(_holds(each) for _, each in _each(value, value))
    if _is_list(value):
        return any(_holds(each) for _, each in _each(value, range(len(value))))
    return _unknown(value)


def _each(holder: Any, keys: Any) -> Iterator[tuple[Any, Any]]:
    """Keys and values of a mapping or list; a marker where the SDK raises."""
    for key in keys:
        try:
            yield key, holder[key]
        except proxy.UnknownValueError as error:
            yield key, error.unknown_type_sentinel


def _unknown(value: Any) -> bool:
    return isinstance(value, str) and value in _MARKERS


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)
