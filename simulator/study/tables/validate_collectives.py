"""How far collectives can be trusted: measured ones left out, closed forms against transfers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from simulator.errors import ConfigError, unknown
from simulator.hardware.gpu import load_gpu
from simulator.hardware.topology import load_topology, topology_names
from simulator.study.tables.closed_forms import Agreement, agreement
from simulator.study.tables.collectives import CollectivesLeftOut, leave_collectives_out
from simulator.study.tables.left_out import LeftOut
from simulator.study.tables.reported_exchange import Beside, beside_reported, reported_exchange

LEFT_OUT = ("sizes", "models", "nodes")
"""What is left out, one at a time."""

NODES_ON = "rails_infiniband_h100_144"
"""The topology over which numbers of nodes are predicted: that of the measured ones, Hopper with a
card of 400 Gbit/s a GPU."""

GOAL = 0.10
"""Median error up to which a table counts as well interpolated: a stated aim."""

CLOSED_FORM_GOAL = 0.01
"""Error up to which a closed form counts as met: a stated aim."""


class CollectivesValidation(NamedTuple):
    """All checks of collectives.

    Parameters
    ----------
    gpus
        What was left out, by GPU.
    topologies
        How closed forms agree with transfers.
    reported
        DeepEP's own figures beside the tables, where the GPU that these rest on is among the GPUs.
    """

    gpus: Sequence[CollectivesLeftOut]
    topologies: Sequence[Agreement]
    reported: Sequence[Beside] = ()

    def tables(self, left_out: str) -> list[LeftOut]:
        """Return all tables of one of `LEFT_OUT`, over all GPUs."""
        found: list[LeftOut] = []
        for gpu in self.gpus:
            found += by_name(gpu, left_out).values()
        return found

    def missed(self) -> list[LeftOut]:
        """Return the tables whose sizes are interpolated worse than the aim."""
        return [table for table in self.tables("sizes") if table.median > GOAL]


def by_name(gpu: CollectivesLeftOut, left_out: str) -> Mapping[str, LeftOut]:
    """Return the tables of one of `LEFT_OUT`, by collective or exchange."""
    found: Mapping[str, LeftOut] = getattr(gpu, left_out)
    return found


def chosen_topologies(names: Iterable[str]) -> list[str]:
    """Return the topologies named, or all.

    Raises
    ------
    ConfigError
        If one is not shipped; the message names the nearest.
    """
    known = topology_names()
    wanted = list(dict.fromkeys(names)) or known
    for name in wanted:
        if name not in known:
            raise ConfigError(unknown("topology", name, known))
    return wanted


def validate_collectives(
    gpus: Sequence[str], topologies: Sequence[str], advance: Callable[[], None]
) -> CollectivesValidation:
    """Leave out and predict on some GPUs, and compare on some topologies.

    Parameters
    ----------
    gpus
        Measured GPUs (`tables.validate.measured_gpus`).
    topologies
        As `chosen_topologies` gives them.
    advance
        Called once for each of both.
    """
    links = load_topology(NODES_ON)
    left_out = []
    for name in gpus:
        left_out.append(leave_collectives_out(load_gpu(name), links))
        advance()
    found = []
    for name in topologies:
        found.append(agreement(name))
        advance()
    rests_on = load_gpu(reported_exchange().gpu).tables
    return CollectivesValidation(left_out, found, beside_reported() if rests_on in gpus else ())


def metrics(validation: CollectivesValidation) -> dict[str, float]:
    """Return the figures by flat name, all of them fractions.

    ``{collective}_{left out}_median_ape_{gpu}`` and ``..._worst_ape_...``, and by topology the
    largest errors of closed forms, and how much longer two flows take than one; ours over what is
    reported, less one.
    """
    found: dict[str, float] = {}
    for left_out in LEFT_OUT:
        for table in validation.tables(left_out):
            key = f"{table.operator}_{left_out}_left_out"
            found[f"{key}_median_ape_{table.gpu}"] = table.median
            found[f"{key}_worst_ape_{table.gpu}"] = float(table.relative_errors.max())
    for one in validation.topologies:
        found[f"closed_forms_worst_error_{one.topology}"] = one.collectives_error
        found[f"exchanges_worst_error_{one.topology}"] = one.exchanges_error
        found[f"two_flows_ratio_{one.topology}"] = one.two_flows[1]
    for beside in validation.reported:
        found[f"reported_{beside.phase}_error_ep{beside.gpus}"] = beside.error
    found["tables_beyond_aim"] = float(len(validation.missed()))
    return found


def summary(validation: CollectivesValidation) -> dict[str, Any]:
    """Return what goes into ``summary.json``."""
    return {
        "gpus": [gpu.gpu for gpu in validation.gpus],
        "topologies": [one.topology for one in validation.topologies],
        "metrics": metrics(validation),
    }
