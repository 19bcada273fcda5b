"""A page as one HTML file that asks nothing of a network.

Plotly's script and our stylesheet stand in the file. A content security policy forbids the browser
to load anything, and to run any script but the two of ours, which it knows by their hashes: titles
and settings are a stranger's text, and stay text.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from simulator.errors import ConfigError
from simulator.report.html.blocks import Page
from simulator.report.html.chart import legend
from simulator.report.html.plotly_figure import figure
from simulator.trace.files import partial_path

_TEMPLATES = "simulator.report.html.templates"


def render(page: Page) -> str:
    """Return a page as HTML; the same page gives the same text.

    Parameters
    ----------
    page
        What it says.
    """
    # 0.3 s that only reports pay.
    from jinja2 import Environment, FunctionLoader  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415
    from plotly.offline import get_plotlyjs  # noqa: PLC0415

    environment = Environment(
        loader=FunctionLoader(_resource), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["legend"] = legend
    environment.filters["kind"] = lambda block: type(block).__name__.lower()
    scripts = [get_plotlyjs(), _resource("page.js")] if page.charts else []
    return environment.get_template("page.html").render(
        page=page,
        style=Markup(_resource("style.css")),
        scripts=[Markup(script) for script in scripts],
        policy=_policy(scripts),
        figures={chart.key: _compact(figure(chart)) for chart in page.charts},
    )


def write_page(page: Page, path: Path) -> Path:
    """Write a page to a file that appears whole or not at all, and return it.

    Raises
    ------
    ConfigError
        If the file cannot be written.
    """
    text = render(page)
    partial = partial_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        raise ConfigError(
            f"cannot write {str(path)!r}: {error.strerror}. Free the disk or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from error
    return path


def _resource(name: str) -> str:
    """Return one of the files that ship beside this module."""
    return files(_TEMPLATES).joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Sequence[str]) -> str:
    """Return a content security policy: nothing is loaded, and only these scripts run."""
    hashes = (hashlib.sha256(script.encode()).digest() for script in scripts)
    known = [f"'sha256-{base64.b64encode(digest).decode()}'" for digest in hashes] or ["'none'"]
    return (
        f"default-src 'none'; script-src {' '.join(known)}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _compact(value: Any) -> Any:
    """Drop what Plotly takes for its default, in nested objects: empty lists and mappings."""
    if isinstance(value, dict):
        return {key: _compact(item) for key, item in value.items() if item not in ([], {})}
    return value
