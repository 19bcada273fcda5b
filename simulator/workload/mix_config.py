"""Settings of a mix: presets, their shares, and what their traffic is promised."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.errors import ConfigError
from simulator.slo import SloConfig
from simulator.workload.traits_config import TrafficClassConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class MixPartConfig:
    """One entry of ``workload.mix``: a preset whose traffic is a traffic class of its own.

    Parameters
    ----------
    preset
        Name of the preset, or path of a file of the same form.
    share
        Its share of the requests, relative to those of the others.
    name
        What reports call it. Null: the preset's name.
    priority, tenants, cancel_after_s
        As of a traffic class.
    slo
        What its requests are promised. Null: what the preset's usually are.
    """

    preset: str
    share: float = 1.0
    name: str | None = None
    priority: int = 0
    tenants: int = 1
    cancel_after_s: float | None = None
    slo: SloConfig | None = None

    def __post_init__(self) -> None:
        self.traffic_class(None)

    @property
    def title(self) -> str:
        """What reports call it."""
        return self.name or self.preset

    def traffic_class(self, usual: SloConfig | None) -> TrafficClassConfig:
        """Return the class of its requests, given what such are usually promised."""
        return TrafficClassConfig(
            name=self.title,
            share=self.share,
            priority=self.priority,
            tenants=self.tenants,
            cancel_after_s=self.cancel_after_s,
            slo=self.slo or usual,
        )


def check_names(setting: str, names: Sequence[str]) -> None:
    """Refuse classes of one name.

    Raises
    ------
    ConfigError
        If there are.
    """
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigError(
            f"workload.{setting} has two classes named {twice!r}; name them differently."
        )
