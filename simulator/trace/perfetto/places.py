"""Where events stand: a process per replica of a run, and one for what belongs to no replica."""

from __future__ import annotations

from simulator.trace.perfetto.events import name_event
from simulator.trace.read import Run

STEPS = 1
"""Thread of the steps of a replica."""

FIRST_DEVICE = 10
"""Thread of rank 0 of its expert-parallel group; the others follow."""

CLUSTER = -1
"""In place of a replica: what belongs to none."""


class Places:
    """Numbers processes and threads as they come up, and names each once."""

    def __init__(self) -> None:
        self._pids: dict[tuple[Run, int], int] = {}
        self._tids: set[tuple[int, int]] = set()
        self._names: list[str] = []

    def pid(self, run: Run, replica: int) -> int:
        """Return the process of a replica of a run, or of what belongs to none (`CLUSTER`)."""
        key = (run, replica)
        if key not in self._pids:
            pid = self._pids[key] = len(self._pids) + 1
            where = "cluster" if replica == CLUSTER else f"replica {replica}"
            name = f"{where}, {run.arm} (replication {run.replication})"
            self._names.append(name_event("process_name", pid, 0, name))
            self._names.append(name_event("process_sort_index", pid, 0, pid))
        return self._pids[key]

    def thread(self, pid: int, tid: int, name: str) -> int:
        """Return a thread of a process, named."""
        if (pid, tid) not in self._tids:
            self._tids.add((pid, tid))
            self._names.append(name_event("thread_name", pid, tid, name))
            self._names.append(name_event("thread_sort_index", pid, tid, tid))
        return tid

    def names(self) -> list[str]:
        """Return the events that name what has come up since the last call."""
        names, self._names = self._names, []
        return names
