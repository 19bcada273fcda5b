"""Single events of the trace format, as lines of JSON."""

from __future__ import annotations

import json

from simulator.trace.perfetto.document import microseconds


def name_event(what: str, pid: int, tid: int, name: str | int) -> str:
    """Name, or order, a process or thread.

    Parameters
    ----------
    what
        ``process_name``, ``process_sort_index``, ``thread_name`` or ``thread_sort_index``.
    pid, tid
        Which; the thread of a process is 0.
    name
        What it is called, or its place.
    """
    key = "sort_index" if what.endswith("sort_index") else "name"
    args = json.dumps({key: name})
    return f'{{"ph":"M","pid":{pid},"tid":{tid},"name":"{what}","args":{args}}}'


def slice_event(pid: int, tid: int, name: str, start_ns: int, end_ns: int, args: str = "") -> str:
    """Show a stretch of time on a thread.

    Parameters
    ----------
    args
        What is told about it: members of a JSON object, without braces.

    Examples
    --------
    >>> slice_event(1, 2, "draft", 1500, 4000)
    '{"ph":"X","pid":1,"tid":2,"ts":1.500,"dur":2.500,"name":"draft","args":{}}'
    """
    return (
        f'{{"ph":"X","pid":{pid},"tid":{tid},"ts":{microseconds(start_ns)},'
        f'"dur":{microseconds(end_ns - start_ns)},"name":"{name}","args":{{{args}}}}}'
    )


def async_events(
    pid: int, key: str, name: str, start_ns: int, end_ns: int, args: str = ""
) -> tuple[str, str]:
    """Show a stretch that overlaps others: its beginning and its end, joined by a key.

    Those with one key nest by the order in which they are written.
    """
    head = f'"cat":"request","id2":{{"local":"{key}"}},"pid":{pid},"tid":0,"name":"{name}"'
    return (
        f'{{"ph":"b",{head},"ts":{microseconds(start_ns)},"args":{{{args}}}}}',
        f'{{"ph":"e",{head},"ts":{microseconds(end_ns)}}}',
    )


def counter_event(pid: int, name: str, time_ns: int, values: str) -> str:
    """Show figures from a time on; ``values`` are members of a JSON object, without braces."""
    return (
        f'{{"ph":"C","pid":{pid},"tid":0,"ts":{microseconds(time_ns)},"name":{json.dumps(name)},'
        f'"args":{{{values}}}}}'
    )


def instant_event(pid: int, name: str, time_ns: int, args: str = "") -> str:
    """Mark a moment of a process."""
    return (
        f'{{"ph":"i","s":"p","pid":{pid},"tid":0,"ts":{microseconds(time_ns)},"name":"{name}",'
        f'"args":{{{args}}}}}'
    )
