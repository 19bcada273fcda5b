"""Configurations for commands that take one point, with one message for what is wrong."""

from __future__ import annotations

from hydra.core.override_parser.overrides_parser import OverridesParser

from simulator.commands.messages import explain
from simulator.compose import compose
from simulator.config import Config
from simulator.errors import ConfigError, SimulatorError


def compose_point(overrides: list[str], command: str) -> Config:
    """Compose a configuration, whatever Hydra raises turned into one message.

    Parameters
    ----------
    overrides
        Choices and settings, as for ``moesim simulate``.
    command
        Who asks, for messages.

    Raises
    ------
    SimulatorError
        If a word cannot be read, or makes no sense.

    Examples
    --------
    >>> compose_point(["workload=code"], "workload describe").workload.preset
    'code'
    """
    try:
        _refuse_sweeps(overrides, command)
        return compose(overrides)
    except SimulatorError:
        raise
    except Exception as error:
        raise ConfigError(explain(error, overrides)) from error


def _refuse_sweeps(overrides: list[str], command: str) -> None:
    """Refuse several values of a setting: composing would advise a flag that is not here."""
    for override in OverridesParser.create().parse_overrides(overrides):
        if override.is_sweep_override():
            raise ConfigError(
                f"{override.input_line} is a sweep, and moesim {command} takes one point; "
                f"give {override.key_or_group} one value."
            )
