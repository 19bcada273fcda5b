"""One clear message for whatever Hydra, OmegaConf or YAML object to while composing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from simulator.commands.settings import (
    group_options,
    groups,
    nearest_setting,
    option_named,
    options_with,
    setting_names,
)
from simulator.errors import nearest

CONFIG_ERRORS = (HydraException, OmegaConfBaseException)
"""What composing a configuration raises on purpose because of its input."""


_LONGEST = 120
"""Characters of an override that a message repeats."""


def explain(error: BaseException, overrides: Sequence[str] = ()) -> str:
    """Say what is wrong with a configuration and what to do, naming the nearest valid name.

    Parameters
    ----------
    error
        What composing raised. Hydra and OmegaConf also let assertions and value errors of their
        own escape on odd input, so that any exception may come here.
    overrides
        The words of the command line, to find the one at fault where the error does not say.
    """
    unreadable = next((word for word in overrides if not word.lstrip("+~").partition("=")[0]), None)
    if unreadable is not None:
        return _unreadable(unreadable)
    for kind, word_error in _WORDED_TYPES.items():
        if isinstance(error, kind):
            return word_error(error)
    text = str(error).strip()
    if re.match(r"Config group override (deletion value )?must be", text):
        return _not_one_option(overrides)
    for pattern, word in _WORDED.items():
        found = re.search(pattern, text)
        if found:
            file = re.match(r"In '([^']+)'", text)
            place = f"{file.group(1)}.yaml: " if file else ""
            names = found.groupdict()
            if "key" in names:
                names["key"] = _whole_key(error, names["key"])
            return place + word(names)
    return _by_itself(error, overrides)


def unusable(error: OSError) -> str:
    """Word a file or folder that cannot be read or written: nearly always the run folder."""
    choose = "choose the run folder with hydra.run.dir=FOLDER (of a sweep: hydra.sweep.dir=FOLDER)"
    what = repr(str(error.filename)) if error.filename else "a file of the run"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{what} is in the way, a file where a folder is needed; {choose}."
    return f"cannot use {what}: {error.strerror or error}; {choose}."


def _unreadable(override: str) -> str:
    """Word an override that Hydra's grammar does not know."""
    shown = repr(override if len(override) <= _LONGEST else override[:_LONGEST] + "...")
    if "=" not in override and not override.startswith("~"):
        group = option_named(override)
        hint = f" Did you mean {group}={override}?" if group else ""
        return f"cannot read {shown}: write key=value.{hint} Try: moesim simulate --help"
    return (
        f"cannot read {shown}: write key=value, a list as 'key=[1,2]', and text beyond plain words "
        f"in quotes twice, as 'title=\"a: b\"'."
    )


def _missing_option(error: MissingConfigException) -> str:
    """Word an unknown group option, like ``model=mixtrl``."""
    missing = str(error.missing_cfg_file or "")
    group, _, option = missing.rpartition("/")
    if missing.partition("/")[0] in groups():
        group, _, option = missing.partition("/")
    options = sorted(error.options or ())
    if not options:
        return _first_line(error)
    close = nearest(option, options)
    hint = f" Did you mean {group}={close}?" if close else ""
    return f"unknown {group} {option!r}.{hint} Known: {', '.join(options)}."


def _broken_yaml(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    place = f"{mark.name}, line {mark.line + 1}: " if mark else ""
    return f"{place}not valid YAML: {error.problem or error.context}."


def _not_one_option(overrides: Sequence[str]) -> str:
    """Word a group that is given a number, null or a mapping in place of a name."""
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        group = override.key_or_group
        if group in groups() and not isinstance(override.value(), str | list):
            return (
                f"{override.input_line}: a group takes the name of one of its options. Known: "
                f"{', '.join(group_options(group))}."
            )
    return f"a group takes the name of one of its options; got {', '.join(overrides)}."


def _whole_key(error: BaseException, key: str) -> str:
    """Return the key as OmegaConf knows it: ``model.a`` of ``model={a:1}``, not just ``model``."""
    full = str(getattr(_keyed(error), "full_key", None) or key)
    return full if full.startswith(f"{key}.") or full.endswith(f".{key}") else key


def _unknown_setting(found: Mapping[str, str]) -> str:
    key = found["key"]
    if any(name == key or name.startswith(f"{key}.") for name in setting_names()):
        group = key.partition(".")[0]
        having = [] if group == "model" else options_with(key)  # a model is what it is
        choose = f"choose {group}={', '.join(having)}" if having else f"add it with +{key}=VALUE"
        return f"the options chosen do not have {key}; {choose}."
    if key.startswith("hydra."):
        return f"unknown setting {key!r}. All settings of Hydra: moesim simulate --cfg hydra"
    close = nearest_setting(key)
    hint = f" Did you mean {close}?" if close else ""
    return f"unknown setting {key!r}.{hint} All settings: moesim simulate --help"


def _nothing_to_delete(found: Mapping[str, str]) -> str:
    key = found["key"]
    close = nearest(key, setting_names() if "." in key else groups())
    hint = f" Did you mean ~{close}?" if close and close != key else ""
    return f"~{key} deletes what is not there.{hint}"


def _ambiguous(found: Mapping[str, str]) -> str:
    key, _, values = found["item"].partition("=")
    return (
        f"{key}={values} names several values. To run each, add -m; for one list write "
        f"'{key}=[{values}]'."
    )


_WORDED_TYPES: dict[type[BaseException], Callable[[Any], str]] = {
    OverrideParseException: lambda error: _unreadable(error.override),
    MissingConfigException: _missing_option,  # an OSError too, so before those
    yaml.MarkedYAMLError: _broken_yaml,
    OSError: unusable,
}
"""Errors that say all in their fields."""

_WORDED: dict[str, Callable[[Mapping[str, str]], str]] = {
    r"Could not override '(?P<key>[^']*)'": _unknown_setting,
    r"Could not delete '(?P<key>[^'=]*)[^']*'": _nothing_to_delete,
    r"Could not delete from config. '(?P<key>[^']*)' does not exist": _nothing_to_delete,
    r"The value of '(?P<key>[^']*)' is (?P<is>.*) and not (?P<given>.*)\.": lambda found: (
        f"~{found['key']}={found['given']} deletes nothing: {found['key']} is {found['is']}."
    ),
    r"An item is already at '(?P<key>[^']*)'": lambda found: (
        f"+{found['key']} adds what is there already; write {found['key']}=VALUE to change it."
    ),
    r"Ambiguous value for argument '(?P<item>.*)'": _ambiguous,
    r"Sweep parameters '(?P<item>.*)' requires --multirun": lambda found: (
        f"{found['item']} is a sweep; add -m to run each of its points."
    ),
    r"Sweeping over Hydra's configuration is not supported : '(?P<item>.*)'": lambda found: (
        f"{found['item']}: settings of Hydra itself cannot be swept; give one value."
    ),
    r"Missing mandatory value: (?P<key>\S+)": lambda found: (
        f"{found['key']} has no value; set it with {found['key']}=VALUE."
    ),
    r"path=(?P<path>.*) is not available": lambda found: (
        f"hydra.searchpath: there is no folder or package {found['path']!r}."
    ),
}
"""What Hydra says, and how it is said here."""


def _by_itself(error: BaseException, overrides: Sequence[str]) -> str:
    """Word any other error: the key and what the innermost library says about it."""
    innermost = _keyed(error)
    said = _first_line(innermost)
    key = getattr(innermost, "full_key", None) or _overridden_key(str(error))
    if said == "Cannot merge DictConfig with ListConfig.":  # whichever was given
        if any(word.startswith(f"{key}=[") for word in overrides):
            return f"{key} takes settings, but was given a list; write '{key}={{name: value}}'."
        return f"{key} takes a list, but was given settings; write '{key}=[...]'."
    if isinstance(innermost, CONFIG_ERRORS) and said:
        return f"{key}: {said}" if key and str(key) not in said else said
    about = f" ({', '.join(overrides)})" if overrides else ""
    return f"cannot compose the configuration{about}: {type(innermost).__name__}: {said}"


def _keyed(error: BaseException) -> BaseException:
    """Return the error in a chain of causes that names a key, or else the innermost."""
    while not getattr(error, "full_key", None) and isinstance(error.__cause__, CONFIG_ERRORS):
        error = error.__cause__
    return error


def _overridden_key(text: str) -> str | None:
    found = re.search(r"merging override [+~]*([\w.@/]+)", text)
    return found.group(1) if found else None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") + "." if lines else ""
