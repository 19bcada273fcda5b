"""Workers and runs for tests of the study of prefetchers."""

from simulator.study.executors import open_executor
from simulator.study.executors.in_order import Workers
from simulator.study.prefetch.served import BEFORE, Measured, Point


def here():
    """Workers that are this process."""
    return Workers(open_executor("processes"), 1, lambda units: None)


def runs(arm, times, traffic=BEFORE, replication=0):
    """Runs of an arm that takes a time at each batch."""
    return [
        Measured(Point(arm, traffic, batch, replication), time, time, time, 1.0)
        for batch, time in times.items()
    ]
