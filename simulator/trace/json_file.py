"""JSON files that appear whole or not at all, and hold no NaN."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import ConfigError

Json = dict[str, Any]
"""A JSON object."""


def write_json(path: Path | str, content: Mapping[str, Any]) -> Path:
    """Write a JSON file that appears whole or not at all.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    path = Path(path)
    partial = path.with_name(path.name + ".incomplete")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps(json_safe(content), indent=2, ensure_ascii=False, allow_nan=False)
        partial.write_text(text + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(
            f"cannot write {str(path)!r}: {error.strerror}. Free the disk or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from error
    return path


def json_safe(value: Any) -> Any:
    """Return the value in JSON types; NaN and infinities become None, paths strings.

    Examples
    --------
    >>> json_safe({"a": (1.0, float("nan"))})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return json_safe(value.tolist())
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    if isinstance(value, np.generic):
        return json_safe(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
