"""Tables of a workload, and what is said under them."""

import io

import numpy as np
import pytest
from rich.console import Console

from simulator.report.workload import print_description
from simulator.study.workloads.describe import Description
from simulator.workload.requests import RequestBlock, RequestTraits


def printed(*blocks, open_loop=True):
    found = Description("a test", open_loop, cache_tokens=(64,), assumptions=("all is well",))
    for block in blocks:
        found.add(block)
    console = Console(file=io.StringIO(), width=200)
    print_description(found, console)
    return console.file.getvalue()


def block(arrival_s, *, prefixes=(), follows=-1, tenants=1):
    n = len(arrival_s)
    ids = np.arange(n)
    traits = RequestTraits(
        traffic_class=ids * 0,
        tenant=ids % tenants,
        priority=ids * 0,
        session=ids,
        cancel_after_s=np.full(n, np.inf),
        prefixes=[tuple(prefixes)] * n,
        hash_tokens=16,
        follows=np.where(ids, follows, -1),
        think_s=np.zeros(n),
    )
    return RequestBlock(0, np.asarray(arrival_s), ids + 100, ids + 10, traits)


def test_what_is_known_is_shown():
    text = printed(block(np.arange(40.0), prefixes=(1, 2), tenants=12))
    assert "Prefix reuse" in text
    assert "Clients, 12 in all" in text
    rows = text.split("busiest clients")[1].split("Assumed")[0].splitlines()
    assert [row.split()[0] for row in rows if "%" in row] == ["1", "5", "10", "11"]
    assert "Assumed: all is well." in text
    assert "Less than a day" in text
    assert "do not say" not in text
    assert "coarse" not in text


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        (block(np.arange(40) // 8 * 3.0), "the clock is coarse"),
        (block(np.arange(40.0), follows=0), "39 requests wait for the answer"),
        (block(np.arange(40.0)), "do not say what prefixes they share"),
        (block(np.arange(40.0)), "do not say which client"),
    ],
)
def test_what_figures_do_not_show_is_said(requests, said):
    assert said in printed(requests)


def test_a_closed_loop_shows_no_arrivals():
    text = printed(block(np.zeros(40)), open_loop=False)
    assert "Arrivals" not in text
    assert "gap" not in text
    assert "A closed loop" in text
