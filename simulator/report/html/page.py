"""From a folder to its page."""

from __future__ import annotations

from pathlib import Path

from simulator.report.html.blocks import Page
from simulator.report.html.folder import RUN, SWEEP, kind_of
from simulator.report.html.run.page import run_page
from simulator.report.html.sweep.page import sweep_page

_PAGES = {RUN: run_page, SWEEP: sweep_page}


def page_of(folder: Path) -> Page:
    """Return the page of what a folder holds.

    Parameters
    ----------
    folder
        Of a run, a sweep or a plan.

    Raises
    ------
    SimulatorError
        If there is nothing whole in it that can be reported.
    """
    return _PAGES[kind_of(folder)](folder)
