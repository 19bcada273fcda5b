"""What a YAML file says about its keys, in its comments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import yaml


class Comment(NamedTuple):
    """What is said about a key: on its line, and in the lines right above it."""

    beside: str = ""
    above: str = ""

    @property
    def text(self) -> str:
        """Both, what is beside the key first."""
        return ". ".join(part for part in self if part)


def comments(text: str) -> dict[str, Comment]:
    r"""Return the comments of a YAML mapping by dotted key; what heads the file under ``""``.

    Parameters
    ----------
    text
        The file.

    Examples
    --------
    >>> said = comments("# Drafts.\ngamma: 3 # length\ntree:\n  # by depth\n  widths: []")
    >>> {key: comment.text for key, comment in said.items()}
    {'': 'Drafts.', 'gamma': 'length', 'tree.widths': 'by depth'}
    """
    lines = text.splitlines()
    heading = list(takewhile(_is_comment, lines))
    found = {"": Comment(above=_joined(heading))} if heading else {}
    body = [""] * len(heading) + lines[len(heading) :]
    return found | dict(_of_keys(yaml.compose(text, yaml.SafeLoader), body, ""))


def _of_keys(
    node: yaml.Node | None, lines: Sequence[str], prefix: str
) -> Iterator[tuple[str, Comment]]:
    """Yield dotted key and comment of the keys of a mapping, and of the mappings in it."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        row = key.start_mark.line
        last = key if value.start_mark.line > row else value
        end = last.end_mark
        line = lines[end.line] if end.line < len(lines) else ""  # past the end: a block of text
        beside = re.match(r":?\s*#\s*(.*)", line[end.column :])
        above = list(takewhile(_is_comment, reversed(lines[:row])))
        comment = Comment(beside.group(1) if beside else "", _joined(above[::-1]))
        if comment.text:
            yield prefix + key.value, comment
        yield from _of_keys(value, lines, f"{prefix}{key.value}.")


def _is_comment(line: str) -> bool:
    return line.lstrip().startswith("#")


def _joined(lines: Sequence[str]) -> str:
    return " ".join(line.strip().lstrip("# ") for line in lines)
