"""From plain mappings (YAML, composed configuration) to dataclasses, with errors that help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from simulator.errors import SchemaError, unknown

T = TypeVar("T")

_SCALARS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


def from_mapping(cls: type[T], values: Mapping[str, Any], path: str) -> T:
    """Build a dataclass from a mapping of its fields, nested dataclasses included.

    Parameters
    ----------
    cls
        A dataclass whose fields are bool, int, float, str, dataclasses of such, lists or tuples of
        one kind of these, each perhaps optional.
    values
        The mapping. Integers pass for floats; nothing else is converted.
    path
        Where the mapping stands ("model"), for error messages; empty for the root.

    Raises
    ------
    SchemaError
        If a field is unknown, missing, or of another type; the message names it by its path.

    Examples
    --------
    >>> from simulator.models.architecture import Moe
    >>> from_mapping(Moe, {"experts": 8, "topk": 2}, "model.moe")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    simulator.errors.SchemaError: unknown setting 'topk' in model.moe. Did you mean 'top_k'? ...
    """
    hints = _hints(cls)  # type: ignore[arg-type] # classes hash
    for key in values:
        if key not in hints:
            raise SchemaError(unknown("setting", str(key), hints, path))
    prefix = f"{path}." if path else ""
    for field in fields(cls):  # type: ignore[arg-type]
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in values:
            raise SchemaError(f"{prefix}{field.name} is missing and has no default; set it.")
    return cls(**{k: _convert(hints[k], value, f"{prefix}{k}") for k, value in values.items()})


@cache
def _hints(cls: type) -> dict[str, Any]:
    """Return the types of the fields: resolving them takes most of the time of a conversion."""
    return get_type_hints(cls)


def _convert(hint: Any, value: Any, path: str) -> Any:
    choices = get_args(hint)
    if NoneType in choices:
        if value is None:
            return None
        (hint,) = (choice for choice in choices if choice is not NoneType)
    if is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise SchemaError(f"{path}={value!r} must be a mapping of settings.")
        return from_mapping(hint, value, path)  # type: ignore[arg-type]
    if get_origin(hint) in (list, tuple):
        if not isinstance(value, (list, tuple)):
            raise SchemaError(f"{path}={value!r} must be a list.")
        kind = get_args(hint)[0]
        items = (_convert(kind, item, f"{path}[{i}]") for i, item in enumerate(value))
        return get_origin(hint)(items)
    accepted = (int, float) if hint is float else hint
    if not isinstance(value, accepted) or (isinstance(value, bool) and hint is not bool):
        raise SchemaError(f"{path}={value!r} must be {_SCALARS[hint]}.")
    return hint(value)
