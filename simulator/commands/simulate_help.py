"""``moesim simulate --help``: groups and settings, as Hydra's own help has them, in half the time.

Hydra's lists every group four times over, its own groups too, and copies all it knows for each.
"""

from __future__ import annotations

import string
from argparse import Namespace
from importlib.resources import files

from hydra import compose, initialize_config_module
from omegaconf import OmegaConf, open_dict

from simulator.commands.settings import group_options

_CONF = "simulator.conf"


def covers(options: Namespace) -> bool:
    """Tell whether all groups are ours, and not also in a folder that the options name."""
    elsewhere = options.config_dir or options.config_path or options.config_name
    return not elsewhere and not any("hydra.searchpath" in word for word in options.overrides)


def help_text(options: Namespace) -> str:
    """Fill in the template of ``hydra.help`` in ``conf/config.yaml``.

    Parameters
    ----------
    options
        As Hydra's parser reads them; the settings shown are those after their overrides.

    Raises
    ------
    HydraException
        If a group or a setting is unknown.
    """
    with initialize_config_module(_CONF, version_base="1.3"):
        composed = compose("config", overrides=options.overrides, return_hydra_config=True)
    template = string.Template(composed.hydra.help.template)
    with open_dict(composed):
        del composed["hydra"]
    settings = OmegaConf.to_yaml(composed, resolve=options.resolve)
    return template.substitute(APP_CONFIG_GROUPS=_groups(), CONFIG=settings)


def _groups() -> str:
    folders = sorted(entry.name for entry in files(_CONF).iterdir() if entry.is_dir())
    options = {folder: group_options(folder) for folder in folders}
    lines = [f"{group}: {', '.join(names)}\n" for group, names in options.items() if names]
    return "".join(lines)
