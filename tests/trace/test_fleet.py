"""Replica-seconds and losses from the table of events, by hand."""

import pytest

from simulator.errors import DataError
from simulator.trace.fleet import Event, fleet_use, summarise_fleet
from simulator.trace.merge import merge
from simulator.trace.schema import EVENT_NAMES, EVENTS
from simulator.trace.writer import TraceWriter


def test_a_life_of_a_replica():
    """There from 0 to 4 s, lost for 2 s, drained at 9 s, stopped at 10 s."""
    names = [(0, "ready"), (4, "lost"), (6, "ready"), (9, "drain"), (10, "stop")]
    use = fleet_use(Event(time_s, name, 0, 8, 3, 7) for time_s, name in names)
    assert (use.replica_s, use.gpu_s) == (8.0, 64.0)
    assert (use.losses, use.lost_attempts, use.lost_tokens) == (1, 3, 7)
    assert (use.starts, use.most_replicas, use.duration_s) == (0, 1, 10)


def test_starting_is_paid_for_also_if_it_comes_to_nothing():
    events = [Event(0, "ready", 0, 1), Event(2, "start", 1, 1), Event(5, "stop", 1, 1)]
    events += [Event(6, "start", 1, 1), Event(7, "lost", 1, 1), Event(9, "end", 0, 1)]
    use = fleet_use(events)
    assert (use.replica_s, use.most_replicas, use.starts, use.losses) == (13.0, 2, 2, 1)


def test_a_link_costs_nothing():
    events = [Event(1, "link_slower", -1, 0), Event(2, "link_back", -1, 0)]
    assert fleet_use(events).replica_s == 0.0


def write(folder, runs):
    parts = []
    for (arm, number), rows in runs.items():
        part = folder / f"{arm}-{number}.parquet"
        with TraceWriter(part, EVENTS, {}, {"arm": arm, "replication": number}) as writer:
            for time_s, name, replica in rows:
                writer.rows.append((time_s, EVENT_NAMES.index(name), replica, 2, 0, 0))
        parts.append(part)
    return merge(parts, folder / "events.parquet", {})


def test_arms_are_means_over_replications(tmp_path):
    runs = {
        ("baseline", 0): [(0, "ready", 0), (0, "start", 1), (10, "end", 0), (10, "end", 1)],
        ("baseline", 1): [(0, "ready", 0), (5, "start", 1), (10, "end", 0), (10, "end", 1)],
        ("speculative", 0): [(0, "ready", 0), (10, "end", 0)],
        ("speculative", 1): [(0, "ready", 0), (20, "end", 0)],
    }
    arms = summarise_fleet(write(tmp_path, runs))
    assert arms["baseline"]["replica_s"] == 17.5
    assert arms["baseline"]["gpu_hours"] == pytest.approx(35 / 3600)
    assert arms["baseline"]["mean_replicas"] == 1.75
    assert arms["baseline"]["saved"] == pytest.approx(1 - 35 / 40)
    assert arms["speculative"]["replica_s"] == 15.0
    assert arms["speculative"]["saved"] == 0.0


def test_another_table_is_refused(tmp_path):
    with pytest.raises(DataError, match="no trace"):
        summarise_fleet(tmp_path / "events.parquet")
