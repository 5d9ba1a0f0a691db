"""What the classes of the Python SDK `pulumi_openstack` expect of the plugin: tokens and properties, as plain data."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import pulumi
import pulumi_openstack

# Not public, but the only place where the SDK's own names (camelCase) and resolved types are.
from pulumi import _types as sdk_types

PROVIDER = "pulumi:providers:openstack"
SIMPLE: dict[object, str] = {str: "str", bool: "bool", int: "int", float: "float"}


@dataclass(frozen=True)
class Signature:
    """The properties of one token, nested ones as `fixedIps.subnetId`, each with its type."""

    inputs: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)


@cache
def modules() -> tuple[ModuleType, ...]:
    """Every module of the SDK."""
    found = pkgutil.walk_packages(pulumi_openstack.__path__, "pulumi_openstack.")
    return (pulumi_openstack, *(importlib.import_module(module.name) for module in found))


def flatten(types: Mapping[str, Any], nested: Callable[[type], Mapping[str, Any]], prefix: str = "") -> dict[str, str]:
    """Names and types of `types`, with the properties of nested objects behind a dot."""
    flat: dict[str, str] = {}
    for name, hint in types.items():
        kind, inner = type_of(hint)
        flat[prefix + name] = kind
        if inner is not None:
            flat |= flatten(nested(inner), nested, f"{prefix}{name}.")
    return flat


def type_of(hint: Any) -> tuple[str, type | None]:
    """A type annotation in the plugin's words, with the class of the nested object if there is one."""
    hint = _plain(hint)
    if hint in SIMPLE:
        return SIMPLE[hint], None
    origin = typing.get_origin(hint)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        kind, inner = type_of(typing.get_args(hint)[1])
        return f"dict[{kind}]", inner
    if inspect.isclass(origin) and issubclass(origin, Sequence):
        kind, inner = type_of(typing.get_args(hint)[0])
        return f"list[{kind}]", inner
    if inspect.isclass(hint) and (sdk_types.is_input_type(hint) or sdk_types.is_output_type(hint)):
        return "object", hint
    return "any", None


def _plain(hint: Any) -> Any:
    """`hint` without Optional, Awaitable, Output and the dictionary form of an object."""
    while typing.get_origin(hint) is typing.Union:
        choices = [c for c in typing.get_args(hint) if c is not type(None)]
        classes = [c for c in choices if inspect.isclass(c) and sdk_types.is_input_type(c)]
        hint = (classes or choices)[0]
    return hint


def resources() -> dict[str, Signature]:
    """Every resource class by its token."""
    found: dict[str, Signature] = {}
    for module in modules():
        for cls in vars(module).values():
            if (
                not (inspect.isclass(cls) and issubclass(cls, pulumi.CustomResource))
                or cls.__module__ != module.__name__
            ):
                continue
            if issubclass(cls, pulumi.ProviderResource):
                continue
            arguments = getattr(module, f"{cls.__name__}Args")
            found[vars(cls)["pulumi_type"]] = Signature(
                flatten(sdk_types.input_type_types(arguments), sdk_types.input_type_types),
                flatten(sdk_types.resource_types(cls), sdk_types.output_type_types),
            )
    return found


def provider() -> Signature:
    """The provider's own settings. The SDK gives back as outputs only those that are text, so they are not compared."""
    arguments = pulumi_openstack.ProviderArgs
    types = flatten(sdk_types.input_type_types(arguments), sdk_types.input_type_types)
    return Signature(types, types)


def functions() -> dict[str, Signature]:
    """Every `get_...` function by its token."""
    found: dict[str, Signature] = {}
    for module in modules():
        for function in vars(module).values():
            if not inspect.isfunction(function) or function.__module__ != module.__name__:
                continue
            call = _invocation(function)
            if call is None:
                continue
            token, names = call
            hints = typing.get_type_hints(function)
            result = typing.get_args(hints["return"]) or (hints["return"].__bases__[0],)
            found[token] = Signature(
                flatten({name: hints[python] for name, python in names.items()}, sdk_types.input_type_types),
                flatten(sdk_types.output_type_types(result[0]), sdk_types.output_type_types),
            )
    return found


def _invocation(function: Callable[..., object]) -> tuple[str, dict[str, str]] | None:
    """The token that a function invokes, and its arguments: name for the plugin -> name in Python. Else None.

    The generated code reads `__args__['networkId'] = network_id` and then `pulumi.runtime.invoke('openstack:...')`.
    """
    if not function.__name__.startswith("get_") or function.__name__.endswith("_output"):
        return None
    names: dict[str, str] = {}
    token = None
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(function)))):
        match node:
            case ast.Assign(
                targets=[ast.Subscript(value=ast.Name(id="__args__"), slice=ast.Constant(value=str(name)))],
                value=ast.Name(id=str(python)),
            ):
                names[name] = python
            case ast.Call(func=ast.Attribute(attr="invoke"), args=[ast.Constant(value=str(found)), *_]):
                token = found
    return (token, names) if token else None
