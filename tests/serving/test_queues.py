"""Waiting queues: order, removal, victims, and fairness between tenants."""

from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import ConfigError
from simulator.serving.queues import QUEUES, ByPriority, Fair, Fcfs, charge
from simulator.serving.request import Request, Traits


def request(number, *, tenant=0, priority=0, prompt=10, output=5):
    traits = Traits(tenant=tenant, priority=priority)
    return Request(number, 0.0, prompt, output, np.zeros(output, np.int64), None, traits)


def drained(queue, count):
    return [queue.pop().request_id for _ in range(count)]


def test_the_registry_names_the_nearest():
    assert list(QUEUES) == ["fair", "fcfs", "priority"]
    with pytest.raises(ConfigError, match="Did you mean 'fair'"):
        QUEUES.get("fairr", "scheduler.queue")


def test_first_come_first_served_and_the_last_goes():
    queue = Fcfs()
    requests = [request(number) for number in range(4)]
    for one in requests[:3]:
        queue.join(one)
    queue.rejoin(requests[3])
    assert queue.head() is requests[3]
    assert queue.remove(requests[1])
    assert not queue.remove(requests[1])
    assert drained(queue, 3) == [3, 0, 2]
    assert queue.victim(requests) == 3


def test_priorities_come_before_arrival_and_the_least_urgent_goes():
    queue = ByPriority()
    requests = [request(n, priority=p) for n, p in enumerate([2, 0, 1, 0, 2])]
    for one in requests:
        queue.join(one)
    queue.rejoin(request(9, priority=1))
    assert drained(queue, 6) == [1, 3, 9, 2, 0, 4]
    assert queue.victim(requests) == 4
    assert queue.victim(requests[:4]) == 0


def test_a_tenant_that_idled_earns_no_credit():
    queue = Fair()
    for number in range(10):
        queue.join(request(number, tenant=0))
    assert drained(queue, 5) == [0, 1, 2, 3, 4]
    for number in range(10, 20):
        queue.join(request(number, tenant=1))
    # Tenant 1 starts where tenant 0 is: they take turns, rather than 1 catching up on five.
    assert drained(queue, 6) == [5, 10, 6, 11, 7, 12]


def test_a_request_that_was_charged_comes_first_and_is_not_charged_again():
    queue = Fair()
    dear, cheap = request(0, tenant=0, prompt=100), request(1, tenant=1)
    queue.join(dear)
    queue.join(cheap)
    queue.rejoin(queue.pop())
    before = queue.charged[0]
    assert drained(queue, 2) == [0, 1]
    assert queue.charged[0] == before
    assert queue.victim([dear, cheap]) == 0  # tenant 0 was charged more, though 1 came in later


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "join", "pop", "pop", "remove", "return"]),
        st.integers(0, 3),
        st.integers(1, 50),
        st.integers(1, 50),
    ),
    max_size=120,
)


@pytest.mark.parametrize("kind", list(QUEUES))
@given(events=EVENTS)
def test_every_request_comes_in_once_or_is_removed(kind, events):
    """Whatever the order: none is lost, none comes twice, and the head is who comes next."""
    queue, waiting, out = QUEUES.get(kind)(), {}, []
    for number, (event, tenant, prompt, output) in enumerate(events):
        if event == "join":
            one = request(number, tenant=tenant, priority=tenant, prompt=prompt, output=output)
            queue.join(one)
            waiting[number] = one
        elif event == "pop" and waiting:
            head = queue.head()
            assert queue.pop() is head
            out.append(waiting.pop(head.request_id))
        elif event == "remove" and waiting:
            assert queue.remove(waiting.pop(list(waiting)[prompt % len(waiting)]))
        elif event == "return" and out:
            one = out.pop()
            queue.rejoin(one)
            waiting[one.request_id] = one
    assert sorted(drained(queue, len(waiting))) == sorted(waiting)


@given(events=EVENTS)
def test_tenants_that_wait_all_along_are_served_alike(events):
    """The bound of a virtual token counter: charges drift apart by what one request costs at most.

    So what two tenants are served while both wait differs by twice that at most.
    """
    queue, waiting, most = Fair(), defaultdict(int), 0.0
    served, since = defaultdict(float), {}
    for number, (event, tenant, prompt, output) in enumerate(events):
        if event == "join":
            one = request(number, tenant=tenant, prompt=prompt, output=output)
            most = max(most, charge(one))
            queue.join(one)
            waiting[tenant] += 1
            since.setdefault(tenant, dict(served))
        elif event == "pop" and sum(waiting.values()):
            one = queue.pop()
            waiting[one.traits.tenant] -= 1
            served[one.traits.tenant] += charge(one)
            if not waiting[one.traits.tenant]:
                del since[one.traits.tenant]
        for a, b in combinations(since, 2):
            # What each was served since both wait: from the later of their starts on.
            start = max(since[a], since[b], key=lambda snapshot: sum(snapshot.values()))
            gains = [served[t] - start.get(t, 0.0) for t in (a, b)]
            assert abs(gains[0] - gains[1]) <= 2 * most
            assert abs(queue.charged[a] - queue.charged[b]) <= most


def test_no_tenant_starves():
    """One floods the queue with long requests; the other's wait for one of them each at most."""
    queue = Fair()
    for number in range(100):
        queue.join(request(number, tenant=0, prompt=1000))
    for number in range(100, 110):
        queue.join(request(number, tenant=1))
    order = drained(queue, 30)
    assert [number for number in order if number >= 100] == list(range(100, 110))
