"""A tick is a timeout without a new object: same times, same order, one event each."""

import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from simulator.serving.tick import Tick

delays = st.lists(st.lists(st.floats(0, 10), max_size=8), min_size=1, max_size=4)


def times(sleepers, sleep):
    """When each of several sleepers wakes, in the order in which they do."""
    env, woke = simpy.Environment(), []

    def sleeper(name, delays_s):
        wait = sleep(env)
        for delay_s in delays_s:
            yield wait(delay_s)
            woke.append((name, env.now))

    for name, delays_s in enumerate(sleepers):
        env.process(sleeper(name, delays_s))
    env.run()
    return woke, next(env._eid)


@given(delays)
def test_it_wakes_as_timeouts_do(sleepers):
    ours = times(sleepers, lambda env: Tick(env).after)
    assert ours == times(sleepers, lambda env: env.timeout)


def test_the_clock_is_the_sum_of_the_delays():
    """The replica adds them up itself."""
    env, seen = simpy.Environment(), []

    def sleeper():
        tick, now_s = Tick(env), 0.0
        for step in range(1000):
            delay_s = 0.1 + step / 977
            yield tick.after(delay_s)
            now_s += delay_s
            seen.append(env.now == now_s)

    env.process(sleeper())
    env.run()
    assert len(seen) == 1000
    assert all(seen)


def test_after_an_interrupt_a_new_tick_keeps_its_own_time():
    env, woke = simpy.Environment(), []

    def sleeper():
        try:
            yield Tick(env).after(5.0)
        except simpy.Interrupt:
            yield Tick(env).after(10.0)
        woke.append(env.now)

    process = env.process(sleeper())

    def lose():
        yield env.timeout(2.0)
        process.interrupt("lost")

    env.process(lose())
    env.run()
    assert woke == [pytest.approx(12.0)]
