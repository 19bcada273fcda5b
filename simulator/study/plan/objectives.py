"""What each class of requests is promised."""

from __future__ import annotations

from simulator.config import Config
from simulator.slo import SloConfig
from simulator.workload.mix import traffic_classes

ONE_CLASS = "all"
"""Name of the requests where the traffic has one class."""


def objectives_of(config: Config) -> dict[str, SloConfig]:
    """Return what each class of requests is promised, by its name, in the order of the classes.

    Examples
    --------
    >>> from simulator.compose import compose
    >>> objectives_of(compose(["slo=interactive"]))["all"].ttft_s
    0.45
    """
    classes = traffic_classes(config.workload)
    if len(classes) < 2:
        own = classes[0].slo if classes else None
        return {ONE_CLASS: own or config.slo}
    return {one.name: one.slo or config.slo for one in classes}


def requests_of(name: str) -> str:
    """Return how a sentence names the requests of a class.

    Examples
    --------
    >>> requests_of("chat"), requests_of(ONE_CLASS)
    ('chat', 'the requests')
    """
    return "the requests" if name == ONE_CLASS else name
