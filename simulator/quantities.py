"""Numbers with provenance: every figure in the data folders carries unit, source and kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from simulator.errors import TableError, nearest, unknown

KINDS = ("spec", "measured", "fitted", "assumed")
"""How a number came to be: vendor specification, measurement, fit to measurements, judgement."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with its unit, its source and its kind."""

    value: float
    unit: str
    source: str
    kind: str

    @classmethod
    def read(cls, entry: Any, origin: str) -> Quantity:
        """Read ``{value, unit, source, kind}``.

        Parameters
        ----------
        entry
            The mapping as it stands in a data file.
        origin
            File and key, for the error message.

        Raises
        ------
        TableError
            If a field is missing or empty, or the kind is unknown.
        """
        if not isinstance(entry, Mapping):
            raise TableError(f"{origin} is {entry!r}; write {{value, unit, source, kind}}.")
        missing = [
            key for key in ("value", "unit", "source", "kind") if not str(entry.get(key, ""))
        ]
        if missing:
            raise TableError(f"{origin} lacks {', '.join(missing)}; every number states all four.")
        if entry["kind"] not in KINDS:
            raise TableError(unknown("kind", str(entry["kind"]), KINDS, origin))
        try:
            value = float(entry["value"])
        except (TypeError, ValueError):
            raise TableError(f"{origin} has the value {entry['value']!r}, no number.") from None
        return cls(value, str(entry["unit"]), str(entry["source"]), entry["kind"])


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""LibYAML's where PyYAML has it, which is ten times as fast; a scenario reads a dozen files."""


def read_quantities(entries: Mapping[str, Any], origin: str) -> dict[str, Quantity]:
    """Read several quantities by key.

    Parameters
    ----------
    entries
        Their mappings as they stand in a data file.
    origin
        The file, for the error message.

    Raises
    ------
    TableError
        As `Quantity.read`; the message names the key.
    """
    return {key: Quantity.read(entry, f"{origin}: {key}") for key, entry in entries.items()}


def data_names(package: str, suffix: str = ".yaml") -> list[str]:
    """List the names (without suffix) of the data files of a package."""
    return sorted(
        p.name.removesuffix(suffix) for p in files(package).iterdir() if p.name.endswith(suffix)
    )


def read_data(package: str, name: str, what: str) -> dict[str, Any]:
    """Read one YAML data file of a package, by name.

    Raises
    ------
    TableError
        If there is no such file; the message names the nearest.
    """
    names = data_names(package)
    if name not in names:
        raise TableError(unknown(what, name, names))
    text = files(package).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return dict(yaml.load(text, Loader=_LOADER))


def quoted(text: str) -> str:
    """Write a text so that YAML reads it back as it is, whatever it holds.

    Examples
    --------
    >>> print(quoted("CPU: #1"))
    "CPU: #1"
    """
    written: str = yaml.safe_dump(text, default_style='"', allow_unicode=True, width=float("inf"))
    return written.strip()


def quantity_lines(entries: Mapping[str, Quantity], indent: str = "") -> list[str]:
    """Write quantities as the data files hold them, a line each.

    Examples
    --------
    >>> quantity_lines({"memory": Quantity(8e9, "byte", "a test", "assumed")})
    ['memory: {value: 8000000000.0, unit: "byte", kind: assumed, source: "a test"}']
    """
    return [
        f"{indent}{key}: {{value: {entry.value!r}, unit: {quoted(entry.unit)}, "
        f"kind: {entry.kind}, source: {quoted(entry.source)}}}"
        for key, entry in entries.items()
    ]


def names_a_file(name: str) -> bool:
    """Tell whether a name is the path of a data file of the user's own, not of a shipped one.

    Examples
    --------
    >>> [names_a_file(name) for name in ("vllm", "mine.yaml", "runs/engine")]
    [False, True, True]
    """
    return "/" in name or Path(name).suffix in (".yaml", ".yml")


def read_data_file(path: Path | str, what: str) -> dict[str, Any]:
    """Read a YAML data file by its path.

    Parameters
    ----------
    path
        The file.
    what
        What it holds, for messages.

    Raises
    ------
    TableError
        If it cannot be read, or holds no mapping; a missing one names the nearest of its folder.
    """
    file = Path(path).expanduser()
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TableError(missing_file(what, file)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{what} {str(path)!r} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise TableError(f"{what} {str(path)!r} is not YAML: {reason}.") from error
    if not isinstance(content, Mapping):
        raise TableError(f"{what} {str(path)!r} holds no mapping of names to figures.")
    return dict(content)


def missing_file(what: str, path: Path) -> str:
    """Compose the message for a file that is not there: its path, and the nearest one beside it.

    Examples
    --------
    >>> missing_file("plan", Path("/nowhere/plan.yaml"))
    "plan '/nowhere/plan.yaml' not found: there is no folder '/nowhere'."
    """
    if not path.parent.is_dir():
        return f"{what} {str(path)!r} not found: there is no folder {str(path.parent)!r}."
    close = nearest(path.name, [entry.name for entry in path.parent.iterdir()])
    hint = f" Did you mean {str(path.with_name(close))!r}?" if close else ""
    return f"{what} {str(path)!r} not found.{hint}"
