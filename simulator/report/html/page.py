"""From a folder to its page."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import DataError
from simulator.report.html.blocks import Page
from simulator.report.html.folder import PLAN, RUN, SWEEP, kind_of
from simulator.report.html.plan.page import plan_page
from simulator.report.html.run.page import run_page
from simulator.report.html.sweep.page import sweep_page

_PAGES = {RUN: run_page, SWEEP: sweep_page, PLAN: plan_page}


def page_of(folder: Path) -> Page:
    """Return the page of what a folder holds.

    Parameters
    ----------
    folder
        Of a run, a sweep or a plan.

    Raises
    ------
    SimulatorError
        If there is nothing whole in it that can be reported, or a file of another form than this
        version writes.
    """
    kind = kind_of(folder)
    try:
        return _PAGES[kind](folder)
    except KeyError as error:
        raise DataError(
            f"{str(folder)!r} holds a {kind} that lacks {error.args[0]!r}: another version of "
            "moesim wrote it. Run it again."
        ) from error
