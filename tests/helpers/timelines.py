"""Timelines for trace viewers: read, and held against what the format asks for."""

import gzip
import json
from collections import defaultdict


def read(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return json.load(file)["traceEvents"]


def ns(microseconds):
    return round(microseconds * 1000)


def check_format(events):
    """What the format asks for: names before use, slices nested, counters and pairs in order."""
    named, stacks, asynchronous, counters = set(), defaultdict(list), defaultdict(list), {}
    for event in events:
        kind, track = event["ph"], (event["pid"], event["tid"])
        if kind == "M":
            named.add(track if event["name"].startswith("thread") else event["pid"])
            continue
        assert event["pid"] in named
        assert event["ts"] >= 0
        if kind == "X":
            assert track in named
            start, end = ns(event["ts"]), ns(event["ts"]) + ns(event["dur"])
            stack = stacks[track]
            while stack and stack[-1][1] <= start:
                stack.pop()
            assert not stack or (stack[-1][0] <= start and end <= stack[-1][1])
            stack.append((start, end))
        elif kind == "C":
            key = event["pid"], event["name"]
            assert event["ts"] >= counters.get(key, 0)
            assert all(isinstance(value, int | float) for value in event["args"].values())
            counters[key] = event["ts"]
        elif kind in "be":
            key = event["pid"], event["id2"]["local"]
            stack = asynchronous[key]
            if kind == "b":
                assert not stack or event["ts"] >= stack[-1][1]
                stack.append((event["name"], event["ts"]))
            else:
                name, start = stack.pop()
                assert (name, True) == (event["name"], event["ts"] >= start)
        else:
            assert kind == "i"
    assert not any(asynchronous.values())
