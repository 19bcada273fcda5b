"""Plan files: YAML that says what is unknown and what would be measured."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from simulator.errors import ConfigError, DataError, nearest, unknown
from simulator.mapping import from_mapping

T = TypeVar("T")

KNOWLEDGE = ("moesd", "popularity", "digits")
"""Knowledge bases that a plan may name."""


@dataclass(frozen=True, slots=True)
class PlanFile:
    """A plan as it stands in its file.

    Parameters
    ----------
    path
        The file.
    content
        Its settings.
    root
        The same with line numbers.
    """

    path: Path
    content: Mapping[str, Any]
    root: yaml.MappingNode

    def place(self, *keys: str | int) -> str:
        """Say where a setting stands: file, line and key.

        Parameters
        ----------
        keys
            Names and places in lists, from the outermost; as many as exist are followed.
        """
        node: yaml.Node = self.root
        for key in keys:
            node = next(iter(_children(node, key)), node)
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
        return f"{self.path}, line {node.start_mark.line + 1} ({name.removeprefix('.')})"

    def settings(self, schema: type[T], apart: Sequence[str] = ()) -> T:
        """Read the settings into a dataclass.

        Parameters
        ----------
        schema
            Dataclass of the settings.
        apart
            Further settings that are read elsewhere.

        Raises
        ------
        ConfigError
            If a setting is unknown, missing or of another type.
        """
        names = [field.name for field in fields(schema)]  # type: ignore[arg-type]
        for key in self.content:
            if key not in {*names, *apart, "knowledge"}:
                raise ConfigError(
                    unknown("setting", str(key), [*names, *apart], self.place(str(key)))
                )
        try:
            return from_mapping(
                schema, {key: self.content[key] for key in names if key in self.content}, ""
            )
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error

    def refuse_unless(self, allowed: bool, key: str, what: str) -> None:
        """Refuse a setting that is not what it must be.

        Raises
        ------
        ConfigError
            If it is not allowed.
        """
        if not allowed:
            raise ConfigError(f"{self.place(key)}: {self.content[key]!r} must be {what}.")

    def entries(self, key: str) -> list[Any]:
        """Return a list of the plan, empty where it is left out.

        Raises
        ------
        ConfigError
            If it is there and no list.
        """
        value = self.content.get(key, [])
        if not isinstance(value, list):
            raise ConfigError(f"{self.place(key)} must be a list: one '- ...' per entry.")
        return value

    def weights(self, unknowns: Collection[str]) -> dict[str, float] | None:
        """Return ``weights``, how often each unknown is met, or None where they are left out.

        Raises
        ------
        ConfigError
            If an unknown is none, or a weight is below 0 or all are 0.
        """
        value = self.content.get("weights")
        if value is None:
            return None
        place = self.place("weights")
        if not isinstance(value, Mapping):
            raise ConfigError(f"{place} must be a mapping from unknowns to weights.")
        for name, weight in value.items():
            if name not in unknowns:
                raise ConfigError(unknown("unknown", str(name), unknowns, place))
            if not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
                raise ConfigError(f"{place}: {name}={weight!r} must be a number of at least 0.")
        weights = {name: float(value.get(name, 1.0)) for name in unknowns}
        if not any(weights.values()):
            raise ConfigError(f"{place}: all weights are 0; give at least one unknown a weight.")
        return weights


def _children(node: yaml.Node, key: str | int) -> Iterable[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [value for name, value in node.value if name.value == key]
    if isinstance(node, yaml.SequenceNode) and isinstance(key, int):
        items: list[yaml.Node] = node.value
        return items[key : key + 1]
    return []


def read_plan(path: Path | str) -> PlanFile:
    """Read a plan.

    Parameters
    ----------
    path
        YAML with a setting ``knowledge``.

    Raises
    ------
    DataError
        If there is no such file, or it is not YAML of settings.
    ConfigError
        If it names no known knowledge base.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        root, content = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except FileNotFoundError:
        raise DataError(_missing(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"plan {path} cannot be read: {error}.") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DataError(f"{path}{line} is not YAML: {error.problem}.") from error
    if not isinstance(content, Mapping) or not isinstance(root, yaml.MappingNode):
        raise DataError(f"{path} must hold settings, 'key: value', the first 'knowledge: moesd'.")
    plan = PlanFile(path, content, root)
    if "knowledge" not in content:
        raise ConfigError(f"{path} does not say what is unknown; add 'knowledge: moesd'.")
    if content["knowledge"] not in KNOWLEDGE:
        name = str(content["knowledge"])
        raise ConfigError(unknown("knowledge base", name, KNOWLEDGE, plan.place("knowledge")))
    return plan


def _missing(path: Path) -> str:
    close = nearest(path.name, [found.name for found in path.parent.glob("*.y*ml")])
    hint = f" Did you mean {path.with_name(close)}?" if close else ""
    return (
        f"there is no plan {path}.{hint} Write one like those in examples/plans of the repository, "
        "or see moesim calibrate check --help."
    )
