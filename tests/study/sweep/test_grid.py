"""The grid of a sweep, and the configurations of its points."""

import pytest
from hydra.errors import HydraException

from simulator.compose import compose
from simulator.errors import ConfigError, SchemaError
from simulator.study.sweep.composing import compose_points
from simulator.study.sweep.folder import plan_sweep
from simulator.study.sweep.grid import MAX_POINTS, read_grid


@pytest.mark.parametrize(
    ("words", "axes"),
    [
        (["speculation.gamma=0,2"], {"speculation.gamma": [0, 2]}),
        (["a=range(1,9,4)", "b=x,1.5,null"], {"a": [1, 5], "b": ["x", 1.5, None]}),
        (["a=choice([1,2],[3])", "b=c"], {"a": [[1, 2], [3]]}),
        (["a='1,2',x/y.csv"], {"a": ["1,2", "x/y.csv"]}),
        (["+a=true,false", "+a=1,1,2"], {"a": [1, 2]}),
        (["a=0.5,5e-1,0.50,1"], {"a": [0.5, 1]}),
        (["slo=glob(*long*)"], {"slo": ["long_prompts"]}),
    ],
)
def test_axes_are_read_as_hydra_reads_them(words, axes):
    assert read_grid(words).axes == axes


def test_points_come_in_the_order_of_multirun():
    grid = read_grid(["a=1,2", "c=5", "b=x,y"])
    assert list(grid.points()) == [
        ("a=1", "c=5", "b=x"),
        ("a=1", "c=5", "b=y"),
        ("a=2", "c=5", "b=x"),
        ("a=2", "c=5", "b=y"),
    ]
    assert list(grid.coordinates()) == [(1, "x"), (1, "y"), (2, "x"), (2, "y")]
    assert grid.fixed == ["c=5"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["speculation.gamma=2"], "nothing is swept"),
        (["workload.rate=interval(1,2)"], "has no end of values"),
        (["speculation.gamma=range(3,1)"], "has no value"),
        ([f"run.seed=range(0,{MAX_POINTS + 1})"], "has more than 100,000 values"),
        (
            ["run.seed=range(0,400)", "run.requests=range(1,252)"],
            "400 x 251 = 100,400 points, more than 100,000",
        ),
    ],
)
def test_what_is_no_grid_is_refused(words, message):
    with pytest.raises(ConfigError, match=message):
        read_grid(words)


@pytest.mark.parametrize(
    "words",
    [
        # The group comes last and still applies first; a scenario sets groups and values.
        ["speculation.gamma=3", "workload.rate=2", "model=mixtral_8x7b,qwen3_30b_a3b"],
        [
            "+workload.swing={period_s:600,peak_to_mean:2},null",
            "speculation.gamma=${run.replications}",
            "run.replications=2",
            "scenario=code",
            "~title",
        ],
    ],
)
def test_points_are_what_composing_each_gives(words):
    points = list(compose_points(read_grid(words)))
    assert [point.config for point in points] == [compose(point.overrides) for point in points]


def test_groups_of_the_users_own_are_groups(tmp_path):
    (tmp_path / "slo").mkdir()
    (tmp_path / "slo" / "mine.yaml").write_text("ttft_s: 9.0\ntpot_s: 0.1\n")
    words = [f"hydra.searchpath=[file://{tmp_path}]", "slo=mine,chat", "slo.tpot_s=0.2"]
    points = list(compose_points(read_grid(words)))
    assert [point.config.slo.ttft_s for point in points] == [9.0, 2.0]
    assert [point.config.slo.tpot_s for point in points] == [0.2, 0.2]


def test_a_value_that_makes_no_sense_is_told_and_one_of_another_type_refused():
    good, bad = compose_points(read_grid(["speculation.gamma=1,-1"]))
    assert good.problem == ""
    assert bad.config is None
    assert bad.problem.startswith("speculation.gamma=-1 must lie in")
    with pytest.raises(SchemaError, match=r"speculation\.gamma='x' must be an integer"):
        list(compose_points(read_grid(["speculation.gamma=1,x"])))
    with pytest.raises(HydraException):
        list(compose_points(read_grid(["speculation.gama=1,2"])))


def test_a_sweep_without_any_configuration_is_refused():
    grid = read_grid(["speculation.gamma=-2,-1"])
    with pytest.raises(ConfigError, match="gamma=-2 must lie in"):
        plan_sweep(grid, list(compose_points(grid)))
