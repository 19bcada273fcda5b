"""``moesim simulate``: the Hydra side. What a point of a sweep does is in `commands.job`."""

from __future__ import annotations

import io
import os
import sys
import warnings
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from simulator.commands import completion
from simulator.commands.scenario_help import scenario_help
from simulator.errors import ConfigError, InvariantError, SimulatorError

_GROUPS = "pkg://simulator.conf"
"""Where Hydra finds the shipped config groups."""


def main(arguments: list[str]) -> int:
    """Compose the scenario with Hydra, run it, print and save the result.

    Returns
    -------
    int
        0 when every point ran.

    Raises
    ------
    SimulatorError
        If the input cannot be run. Of a sweep (``-m``) the other points have run.
    """
    options = _parse(arguments)
    if options.shell_completion and options.overrides != ["query=bash"]:
        return _completion(options.overrides)
    if options.help:
        with _errors_of_composing(options):
            sys.stdout.write(scenario_help(options))
        return 0
    points = _Points()
    with _hydra_environment(options, arguments), _errors_of_composing(options):
        hydra.main(version_base="1.3", config_path=_GROUPS, config_name="config")(points.job)()
    if not (options.cfg or options.info or options.shell_completion):
        points.conclude()
    return 0


class _Escape(BaseException):
    """Carries an exception past Hydra, which would print and wrap an ordinary one."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Points:
    """Runs the points of a sweep, or the one point of a plain run, and keeps the refusals."""

    def __init__(self) -> None:
        self._home = os.getpid()
        self._away = False
        self._seen: list[list[str]] = []
        self._refused: list[tuple[list[str], SimulatorError]] = []

    def __getstate__(self) -> dict[str, Any]:
        """Notice that a launcher takes the job to another process, out of sight."""
        self._away = True
        return self.__dict__

    def job(self, composed: DictConfig) -> None:
        """Run one point; what is wrong with it must not stop the others."""
        point = HydraConfig.get()
        overrides: Any = OmegaConf.to_container(point.overrides.task)  # may hold "${...}": as is
        self._seen.append(overrides)
        try:
            # Slow, and help does without.
            from simulator.commands.job import run  # noqa: PLC0415
            from simulator.report.own_options import own_options  # noqa: PLC0415

            sources: Any = point.runtime.config_sources
            words = [*own_options(sources), *overrides]
            run(composed, Path(point.runtime.output_dir), words)
        except Exception as error:
            if os.getpid() != self._home:  # a launcher's worker: Hydra carries it home
                raise
            if isinstance(error, InvariantError) or not isinstance(error, SimulatorError):
                raise _Escape(error) from error
            self._refused.append((overrides, error))

    def conclude(self) -> None:
        """Raise what was refused, as one error."""
        if not self._seen and not self._away:
            raise ConfigError("the sweep has no points; give each swept setting a value.")
        if len(self._seen) == 1 and self._refused:
            raise self._refused[0][1]
        if self._refused:
            common = set.intersection(*map(set, self._seen))
            lines = [f"{len(self._refused)} of {len(self._seen)} points refused:"]
            for overrides, error in self._refused:
                point = " ".join(word for word in overrides if word not in common)
                lines.append(f"  {point}\n    {error}")
            raise ConfigError("\n".join(lines))


def _parse(arguments: list[str]) -> Namespace:
    """Parse the arguments as Hydra will, its complaint turned into an error."""
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            return get_args_parser().parse_intermixed_args(arguments)
    except SystemExit as leaving:
        if not leaving.code:
            raise
        complaint = said.getvalue().strip().rpartition("error: ")[2]
        raise ConfigError(f"{complaint}. Try: moesim simulate --hydra-help") from leaving


def _completion(overrides: list[str]) -> int:
    """Answer ``-sc install=bash`` with our own script: Hydra's does not know sub-commands."""
    if "install=bash" in overrides:
        return completion.main(["bash"])
    if "uninstall=bash" in overrides:
        return completion.uninstall()
    raise ConfigError("moesim simulate -sc offers install=bash and uninstall=bash only.")


@contextmanager
def _hydra_environment(options: Namespace, arguments: list[str]) -> Iterator[None]:
    """Give Hydra its arguments, and make it raise instead of printing and leaving."""
    before, full = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    # Hydra wants the overrides in one stretch; people also write them around its flags.
    flags = [word for word in arguments if word not in options.overrides]
    sys.argv = ["moesim simulate", *flags, *options.overrides]
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        with warnings.catch_warnings():
            # What Hydra warns of, such as a search path that is not there, is wrong input.
            warnings.filterwarnings("error", category=UserWarning, module=r"hydra\.")
            yield
    finally:
        sys.argv = before
        if full is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = full


@contextmanager
def _errors_of_composing(options: Namespace) -> Iterator[None]:
    """Turn whatever Hydra raises into our errors: composing depends on the input alone."""
    try:
        yield
    except _Escape as escape:
        raise escape.error from None
    except (SimulatorError, BrokenPipeError):
        raise
    except Exception as error:
        from simulator.commands.messages import explain  # noqa: PLC0415 - only who errs waits

        raise ConfigError(explain(error, options.overrides)) from error
