"""When a run is overloaded, so that its latencies measure how long it lasted and nothing else.

Under a load above capacity the queue grows as long as requests arrive, and takes long to empty
afterwards. A run is called saturated if all four hold:

1. the mean queue of a replica in the last quarter of the window exceeds ``GROWTH`` times that in
   the first quarter. Steady growth from an empty system gives (8 - (1 - w)) / (8 w + 1 - w) with
   the warm-up fraction w: 4.2 at w = 0.1, 3 at 0.2, 1.67 at 0.5; a steady state gives 1;
2. it exceeds ``MIN_WAITING`` requests and ``MIN_WAITING_PER_BATCH`` of the mean batch;
3. emptying the system after the last arrival takes more than ``DRAIN`` of the window;
4. the replicas are busy for more than ``BUSY`` of the second half of the window: bursts, however
   long the queue behind one, leave them idle in between.

A closed loop, whose users wait for their answers, cannot grow a queue and is never saturated.
"""

from __future__ import annotations

from simulator.trace.load import Load

GROWTH = 1.5
"""Ratio of the queue in the last quarter to the first. Assumed: between 1 and 1.67."""

MIN_WAITING = 4.0
"""Waiting requests. Assumed: fewer is a passing burst."""

MIN_WAITING_PER_BATCH = 0.25
"""Waiting per decoding request. Assumed: an overload adds a whole batch within a few residences."""

DRAIN = 0.1
"""Drain time over window length. Assumed: an excess load of 10 % leaves that much work."""

BUSY = 0.9
"""Utilisation. Assumed: under an overload it tends to 1, once the first queue has formed."""


def is_saturated(load: Load) -> bool:
    """Tell whether a run was overloaded."""
    early, late = load.waiting(0), load.waiting(3)
    return (
        late > GROWTH * early
        and late > max(MIN_WAITING, MIN_WAITING_PER_BATCH * (load.mean_batch or 0.0))
        and (load.late_utilisation or 0.0) > BUSY
        and load.window.drain_s > DRAIN * load.window.length_s
    )
