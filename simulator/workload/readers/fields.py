"""Single fields of a row, checked one at a time: what `BadRow` says about them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from hashlib import blake2b

from simulator.workload.readers.policy import BadRow
from simulator.workload.requests import MAX_TOKENS

MAX_HASH = (1 << 62) - 1
"""Largest prefix hash: 62 bits, as good as unique."""

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def tokens(value: object, column: str) -> int:
    """Return a token count of 1 to ``MAX_TOKENS``, from text or JSON.

    Raises
    ------
    BadRow
        If it is anything else.

    Examples
    --------
    >>> tokens(" 374", "ContextTokens")
    374
    """
    digits = value.strip() if isinstance(value, str) else written(value)
    if digits.isascii() and digits.isdigit():
        count = int(digits) if len(digits) < 20 else MAX_TOKENS + 1
        if 1 <= count <= MAX_TOKENS:
            return count
        problem = (
            "no request has so many tokens"
            if count
            else "a request without tokens cannot be served: remove the row"
        )
        reason = f"{column} above {MAX_TOKENS:,}" if count else f"{column} is 0"
    elif digits.startswith("-"):
        reason, problem = f"{column} is negative", "a number of tokens is positive"
    else:
        reason, problem = f"{column} is no whole number", "expected a whole number of tokens"
    raise BadRow(reason, f"{column} is {shown(value)}; {problem}.")


def seconds(value: object, column: str) -> float:
    """Return a finite time from zero on, from text or JSON.

    Raises
    ------
    BadRow
        If it is anything else.
    """
    text = value.strip() if isinstance(value, str) else written(value)
    number = float(text) if _DECIMAL.fullmatch(text) else math.nan
    if math.isfinite(number) and number >= 0:
        return number
    reason = f"{column} is negative" if number < 0 else f"{column} is no time"
    raise BadRow(reason, f"{column} is {shown(value)}; expected a number from 0 on.")


def prefix_hashes(values: object, column: str, largest: int = MAX_HASH) -> tuple[int, ...]:
    """Return hashes of a list: whole numbers from 0 to the largest.

    Raises
    ------
    BadRow
        If one of them is anything else.
    """
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise BadRow(f"{column} is no list", f"{column} is {shown(values)}; expected a list.")
    for value in values:
        if type(value) is not int or not 0 <= value <= largest:
            raise BadRow(
                f"{column} holds an unknown kind of hash",
                f"{column} holds {shown(value)}; a hash is a whole number from 0 to {largest}.",
            )
    return tuple(values)


def fitting(
    hashes: tuple[int, ...], prompt_tokens: int, hash_tokens: int, column: str
) -> tuple[int, ...]:
    """Return the hashes of the blocks that a prompt fills; the last it fills in part is dropped.

    Raises
    ------
    BadRow
        If there are more hashes than the prompt has blocks.
    """
    if len(hashes) > -(-prompt_tokens // hash_tokens):
        raise BadRow(
            f"more {column} than the prompt has blocks",
            f"{column} has {len(hashes)} hashes, but {prompt_tokens} prompt tokens have "
            f"{-(-prompt_tokens // hash_tokens)} blocks of {hash_tokens}; does a hash stand for "
            "another number (workload.hash_tokens)?",
        )
    return hashes[: prompt_tokens // hash_tokens]


def identity(text: str) -> int:
    """Return a number that stands for a name: itself if it is one, else a hash of 62 bits.

    Examples
    --------
    >>> identity("12"), identity("alice") == identity("alice")
    (12, True)
    """
    if text.isascii() and text.isdigit() and len(text) < 18:
        return int(text)
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def unquoted(value: object, column: str) -> object:
    """Return a value of a file that has numbers beside texts.

    Raises
    ------
    BadRow
        If it is a text where a number belongs.
    """
    if isinstance(value, str):
        raise BadRow(f"{column} is a text", f"{column} is the text {shown(value)}, no number.")
    return value


def written(value: object) -> str:
    """Return a value of a JSON file as it may stand there, for checks of its digits."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 1e15
    return str(int(value) if whole else value)


def shown(value: object) -> str:
    """Quote a field for a message: escaped, shortened, and saying so where bytes are not UTF-8."""
    text = value if isinstance(value, str) else "null" if value is None else str(value)
    quoted = ascii(text) if len(text) <= 60 else ascii(text[:60]) + "..."
    if not isinstance(value, str) and len(text) <= 60:
        quoted = ascii(text).strip("'\"")
    broken = any("\udc80" <= c <= "\udcff" for c in text)
    return f"{quoted} (not valid UTF-8)" if broken else quoted
