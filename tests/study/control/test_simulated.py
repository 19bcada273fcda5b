"""What is said of arms in the event simulator, from outcomes made by hand."""

import pytest

from simulator.study.control.simulated import simulated_metrics, simulated_words
from simulator.study.policies.compare import Comparison, Outcome

GOODPUT = {
    "gamma 0": [1.0, 2.0],
    "gamma 3": [2.0, 4.0],
    "batch_schedule": [2.0, 4.0],
    "threshold": [3.0, 6.0],
    "cost_model": [2.5, 5.0],
    "table's schedule": [1.0, 4.0],
    "learned table": [2.4, 4.8],
    "oracle's table": [2.5, 5.0],
}
COMPARISON = Comparison(
    "mine",
    "",
    [
        Outcome(name, name.startswith("gamma"), [], goodput, *([[1.0, 1.0]] * 4))
        for name, goodput in GOODPUT.items()
    ],
)


def test_ratios_are_of_pairs():
    """Goodput doubles from one replication to the next, in all arms but one: its ratio is loose."""
    found = simulated_metrics(COMPARISON)
    for arm, value in {"best_fixed": 1.2, "batch_schedule": 1.2, "threshold": 0.8}.items():
        ends = [found[f"learned_goodput_over_{arm}{end}"] for end in ("_low", "", "_high")]
        assert ends == pytest.approx([value] * 3)
    assert found["learned_goodput_over_oracle"] == pytest.approx(0.96)
    assert found["learned_goodput_over_schedule_low"] < 1.0 < found["learned_goodput_over_schedule"]
    assert found["goodput_gamma_3"] == 3.0


def test_words_name_every_rival_also_those_that_do_better():
    said = " ".join(simulated_words(COMPARISON))
    assert "1.200 (1.200 to 1.200) of the best fixed draft length (gamma 3)" in said
    assert "0.800 (0.800 to 0.800) of the threshold" in said
    assert "of the cost model's schedule by batch" in said
    assert "The oracle's table reaches 1.250 (1.250 to 1.250) of gamma 3" in said
