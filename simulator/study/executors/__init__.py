"""Where many small jobs run: worker processes of this machine, or a Ray cluster.

>>> sorted(EXECUTORS)
['processes', 'ray']
"""

from simulator.study.executors import on_ray, processes
from simulator.study.executors.executor import EXECUTORS, Executor, NewExecutor, open_executor

__all__ = ["EXECUTORS", "Executor", "NewExecutor", "on_ray", "open_executor", "processes"]
