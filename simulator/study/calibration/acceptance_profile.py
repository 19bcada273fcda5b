"""Acceptance as files: a profile with sources and intervals, and settings that `simulate` takes."""

from __future__ import annotations

import re
from pathlib import Path

from simulator.errors import ConfigError
from simulator.quantities import quoted
from simulator.study.calibration.acceptance import CONFIDENCE, Acceptance, Estimate

GROUP = "speculation"
"""Config group that the settings belong to, and the folder they are written into."""


def option_name(model: str) -> str:
    """Turn the name of a model into that of an option of the group.

    Examples
    --------
    >>> option_name("Qwen/Qwen3-30B-A3B")
    'qwen_qwen3_30b_a3b'
    """
    return re.sub(r"\W+", "_", model.lower()).strip("_") or "measured"


def overrides(found: Acceptance) -> list[str]:
    """Return the settings as words of the command line.

    Examples
    --------
    >>> overrides(Acceptance("", "", 100, 200, 120, (80, 40)))
    ['speculation=by_position', 'speculation.gamma=2', 'speculation.alphas=[0.8,0.5]']
    """
    rates = ",".join(_rates(found))
    return [
        "speculation=by_position",
        f"speculation.gamma={found.gamma}",
        f"speculation.alphas=[{rates}]",
    ]


def _rates(found: Acceptance) -> list[str]:
    return [f"{alpha.value:.4g}" for alpha in found.alphas]


def write_profile(folder: Path, found: Acceptance, source: str) -> dict[str, Path]:
    """Write the profile of a model and its settings.

    Parameters
    ----------
    folder
        Folder of the run. The settings go into ``speculation/NAME.yaml`` below it, so that
        ``moesim simulate --config-dir FOLDER speculation=NAME`` finds them.
    found
        The counts of one model.
    source
        Where they come from.

    Returns
    -------
    dict
        The files, by what they are.

    Raises
    ------
    ConfigError
        If the folder cannot be written.
    """
    name = option_name(found.model)
    profile, settings = folder / f"acceptance_{name}.yaml", folder / GROUP / f"{name}.yaml"
    try:
        settings.parent.mkdir(parents=True, exist_ok=True)
        profile.write_text(_profile_text(found, source), encoding="utf-8")
        settings.write_text(_settings_text(found, source), encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot write into {str(folder)!r}: {error.strerror}. Free the disk or choose another "
            "folder with hydra.run.dir=FOLDER."
        ) from error
    return {profile.stem: profile, f"{GROUP}={name}": settings}


def _profile_text(found: Acceptance, source: str) -> str:
    def line(key: str, value: float, unit: str, estimate: Estimate | None = None) -> str:
        bounds = f", low: {estimate.low!r}, high: {estimate.high!r}" if estimate else ""
        return (
            f"{key}: {{value: {value!r}{bounds}, unit: {quoted(unit)}, kind: measured, "
            f"source: {quoted(source)}}}"
        )

    length = found.length
    alphas = [
        line(f"alpha_{position}", alpha.value, "1", alpha)
        for position, alpha in enumerate(found.alphas, start=1)
    ]
    return "\n".join(
        [
            "# Written by moesim calibrate acceptance. low, high: "
            f"{CONFIDENCE:.0%} intervals that take rounds as independent,",
            "# which rounds of one request are not: they are too narrow.",
            f"model: {quoted(found.model)}",
            line("drafts", found.drafts, "round"),
            line("gamma", float(found.gamma), "token"),
            line("acceptance_length", length.value, "token", length),
            "# Chance that the token at a position is accepted, if all before it were.",
            *alphas,
            "",
        ]
    )


def _settings_text(found: Acceptance, source: str) -> str:
    return (
        f"# {source}: {found.drafts:g} drafts; intervals in acceptance_*.yaml.\n"
        f"gamma: {found.gamma}\ndrafter: null\nacceptance: by_position\nalpha: null\n"
        f"alphas: [{', '.join(_rates(found))}]\n"
    )
