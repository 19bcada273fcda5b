"""A machine whose times follow a formula, with a clock that only it moves."""

from simulator.kernels.microbench.cells import expert_bytes
from simulator.kernels.microbench.device import Machine
from simulator.kernels.microbench.routing import distinct
from simulator.quantities import Quantity

BANDWIDTH, RATE, FIXED_S = 1e10, 2e11, 2e-5


class FakeMachine:
    """Takes ``fixed + max(bytes / bandwidth, FLOPs / rate)`` for a run, with noise if given.

    Parameters
    ----------
    noise
        Factors of the times of successive runs, repeated.
    slower
        Factor of all times: 1000 is a machine for which most shapes are too slow.
    """

    def __init__(self, noise=(1.0,), slower=1.0):
        self.now_s = 0.0
        self.prepared, self.runs = [], 0
        self._noise, self._slower = noise, slower
        fact = Quantity(32e9, "byte", "a test", "measured")
        cache = Quantity(1e6, "byte", "a test", "measured")
        self.machine = Machine("Fake: a machine", fact, cache, "fake", "1.0", "2 threads")

    def clock(self):
        return self.now_s

    def kernel(self, cell):
        return f"fake_{cell.operator}"

    def prepare(self, cell):
        self.prepared.append(cell)
        return lambda: self.seconds(cell)

    def time(self, call):
        took = call() * self._noise[self.runs % len(self._noise)]
        self.runs += 1
        self.now_s += took
        return took

    def seconds(self, cell):
        """Time of a run without noise."""
        if cell.operator == "launch":
            return 1e-6 * cell.keys["kernels"] * self._slower
        moved, flops = cell.work()
        if cell.operator == "experts":
            moved = distinct(cell) * expert_bytes(cell)
        return (FIXED_S + max(moved / BANDWIDTH, flops / RATE)) * self._slower


class MoodyMachine(FakeMachine):
    """Takes ten times as long over an odd number of tokens: no line in the experts."""

    def seconds(self, cell):
        return (1 + 9 * (cell.keys.get("tokens", 0) % 2)) * super().seconds(cell)
