"""``moesim simulate --help``: groups, and every setting with its value and what its file says."""

from __future__ import annotations

import shutil
import textwrap
from argparse import Namespace
from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from itertools import chain
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf

from simulator.commands.yaml_comments import comments
from simulator.quantities import data_names

_CONF = "simulator.conf"

_KEY_WIDTH = 36
"""Columns of a setting and its value; a longer one has its comment on the next line."""

_TEXT = """\
moesim simulate: one scenario, with and without speculative decoding, paired.

Groups (pick with group=option)

{groups}

Settings (change with key=value)

{settings}

Examples
  moesim simulate
  moesim simulate model=mixtral_8x7b hardware=h100_sxm workload.rate=4
  moesim simulate scenario=code speculation.alpha=0.85
  moesim simulate -m speculation.gamma=0,1,2,3,4
  moesim simulate hydra.run.dir=my_run
Known names with their sources: moesim list. Hydra's own flags: moesim simulate
--hydra-help. Settings of other options: moesim simulate workload=mix --help.
"""


def scenario_help(options: Namespace) -> str:
    """Return the help of a scenario, with the choices and settings of a command line.

    Parameters
    ----------
    options
        Of Hydra's parser: ``overrides`` and ``config_dir`` are looked at.

    Raises
    ------
    HydraException
        If an override is wrong.
    """
    folders: list[Traversable] = [files(_CONF)]
    overrides = list(options.overrides)
    if options.config_dir:
        own = Path(options.config_dir).absolute()
        folders.insert(0, own)
        overrides.append(f"hydra.searchpath=['file://{own}']")
    with initialize_config_module(_CONF, version_base="1.3"):
        composed = compose("config", overrides=overrides, return_hydra_config=True)
    choices = composed.hydra.runtime.choices
    sections = [str(key) for key in composed if key != "hydra"]
    values: Any = OmegaConf.to_container(OmegaConf.masked_copy(composed, sections), resolve=True)
    width = min(shutil.get_terminal_size((80, 24)).columns, 100)
    wrapper = textwrap.TextWrapper(width, subsequent_indent=" " * 16, break_on_hyphens=False)
    groups = [
        wrapper.fill(f"  {group:14}{', '.join(data_names(f'{_CONF}.{group}'))}")
        for group in sorted({*sections, "scenario"} & set(choices))
    ]
    settings: list[str] = []
    for section in sections:
        option = choices.get(section)
        said = _said(folders, section, option)
        settings += _section(section, option, values[section], said, width)
    return _TEXT.format(groups="\n".join(groups), settings="\n".join(settings).rstrip())


def _said(folders: list[Traversable], section: str, option: str | None) -> dict[str, str]:
    """Return what the file of an option says of its keys, or else that of the usual option.

    What stands above a key there is about its value, and does not go for another option.
    """
    root = _text(folders, "config")
    if option is None:
        return {key: comment.text for key, comment in comments(root).items()}
    usual = dict(
        chain(*(one.items() for one in yaml.safe_load(root)["defaults"] if one != "_self_"))
    )
    default = comments(_text(folders, section, usual[section]))
    own = {key: comment.text for key, comment in comments(_text(folders, section, option)).items()}
    return {key: comment.beside for key, comment in default.items()} | own


def _text(folders: list[Traversable], *names: str) -> str:
    """Return the file of that name in the first folder that has it; nothing if none has."""
    for folder in folders:
        path = folder.joinpath(*names[:-1], f"{names[-1]}.yaml")
        if path.is_file():
            return path.read_text(encoding="utf-8")
    return ""


def _section(
    section: str, option: str | None, value: Any, said: Mapping[str, str], width: int
) -> Iterator[str]:
    """Yield the lines of a section: its option, then its settings, comments beside them."""
    wrapper = textwrap.TextWrapper(width, break_on_hyphens=False, break_long_words=False)
    if option:
        wrapper.subsequent_indent = "  "
        yield wrapper.fill(f"{section}={option}  {said.get('', '')}".rstrip())
    wrapper.initial_indent = wrapper.subsequent_indent = " " * _KEY_WIDTH
    for key, shown in _leaves(value, ""):
        name = f"{section}.{key}" if key else section
        line = f"  {name}={shown}"
        lines = wrapper.wrap(said.get(key if option else name, ""))
        if lines and len(line) < _KEY_WIDTH - 1:
            line = line.ljust(_KEY_WIDTH) + lines.pop(0).lstrip()
        yield from (line, *lines)
    yield ""


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, str]]:
    """Yield dotted keys with their values, as a command line has them."""
    if not isinstance(value, dict) or not value:
        yield prefix, _written(value)
        return
    for key, inner in value.items():
        yield from _leaves(inner, f"{prefix}.{key}" if prefix else key)


def _written(value: Any) -> str:
    """Write a value as Hydra reads it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(_written, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_written(item)}" for key, item in value.items()) + "}"
    return str(value)
