"""Expected, sampled and event in whole runs: where they agree, and why they differ elsewhere."""

import json

import numpy as np
import pytest
from helpers.scenarios import make_config

from simulator.cli import main
from simulator.config import HardwareConfig, RunConfig
from simulator.errors import ConfigError
from simulator.experts.config import ExpertsConfig, RoutingConfig
from simulator.report.dispatch import reasons_of
from simulator.scenario import build
from simulator.study.fidelity import CASES, chosen, compare, summary
from simulator.study.paired import Run, dispatch_tables, run_arm
from simulator.trace.parts import read_part
from simulator.workload.config import WorkloadConfig

EP = HardwareConfig(gpu="h100_sxm", tensor_parallel=1, data_parallel=8, expert_parallel=8)


def config(fidelity, *, routing=None, users=256, tokens=6, **experts):
    return make_config(
        "qwen3_30b_a3b",
        hardware=EP,
        routing=routing or RoutingConfig(law="uniform"),
        experts=ExpertsConfig(fidelity=fidelity, **experts),
        workload=WorkloadConfig(
            kind="closed_loop", concurrency=users, prompt_tokens=32, output_tokens=tokens
        ),
        run=RunConfig(requests=users, replications=1, workers=1),
    )


class Served:
    """What a run without speculation left."""

    def __init__(self, folder, settings):
        names = ("requests", "iterations", *dispatch_tables(settings))
        run, tables = Run("baseline", 0), [folder / f"{name}.parquet" for name in names]
        self.events = run_arm(build(settings), run, tuple(tables))
        self.tables = {path.stem: read_part(run.part(path)) for path in tables}

    def column(self, table, name):
        return self.tables[table][name].to_numpy()

    @property
    def duration_s(self):
        return self.column("iterations", "duration_s")


@pytest.fixture(scope="module")
def even(tmp_path_factory):
    """One run of each fidelity on even routing."""
    return {
        fidelity: Served(tmp_path_factory.mktemp(fidelity), config(fidelity, **extra))
        for fidelity, extra in (
            ("expected", {}),
            ("sampled", {"loads_every": 3}),
            ("event", {"loads_every": 3}),
        )
    }


def test_on_balanced_loads_and_links_to_themselves_all_agree(even):
    expected, drawn, events = (even[name].duration_s for name in ("expected", "sampled", "event"))
    assert drawn == pytest.approx(expected, rel=0.01)
    assert events == pytest.approx(expected, rel=0.01)
    assert events == pytest.approx(drawn, rel=1e-9)


def test_only_runs_with_drawn_loads_leave_their_tables(even):
    assert set(even["expected"].tables) == {"requests", "iterations"}
    assert set(even["sampled"].tables) - set(even["expected"].tables) == {
        "expert_loads",
        "step_times",
    }
    assert "links" in even["event"].tables


def test_every_iteration_has_its_times_and_some_their_loads(even):
    run = even["event"]
    iterations = run.column("iterations", "iteration")
    assert run.column("step_times", "iteration").tolist() == iterations.tolist()
    assert run.column("step_times", "duration_s") == pytest.approx(run.duration_s)
    loads = run.tables["expert_loads"]
    written = np.unique(loads["iteration"].to_numpy())
    assert written.tolist() == iterations[::3].tolist()
    assert loads.num_rows == len(written) * 48 * 8
    # Every token goes to 8 experts, in each layer.
    tokens = run.column("iterations", "prefill_tokens")[::3]
    tokens = tokens + run.column("iterations", "decode_requests")[::3]
    copies = loads["tokens"].to_numpy().reshape(len(written), 48, 8).sum(axis=2)
    assert copies == pytest.approx(8 * tokens[:, None] * np.ones((1, 48)))
    # An all-gather brings seven eighths of 4096 bytes a token, whatever is chosen.
    brought = loads["bytes_in"].to_numpy().reshape(len(written), -1)
    assert brought == pytest.approx(tokens[:, None] * 4096 * 7 / 8 * np.ones((1, 384)))


def test_links_carry_what_ranks_get(even):
    run = even["event"]
    tokens = (
        run.column("iterations", "prefill_tokens") + run.column("iterations", "decode_requests")
    ).sum()
    # Per token and layer each GPU gets, and sends, seven eighths of it; there and back.
    total = 8 * 2 * 2 * 48 * tokens * 4096 * 7 / 8
    assert run.column("links", "bytes").sum() == pytest.approx(total)
    assert set(run.tables["links"]["link"].to_pylist()) == {f"gpu{n}-nvswitch0" for n in range(8)}


def test_an_iteration_has_the_events_of_its_devices_and_exchanges(even):
    run = even["event"]
    each = 48 * (8 + 8 + 2) + 2  # attention and experts, dispatch and combine; begin and end
    assert run.events == each * len(run.duration_s) + 1


def test_same_seed_same_loads(even, tmp_path):
    again = Served(tmp_path, config("event", loads_every=3))
    for name in ("expert_loads", "step_times", "links"):
        assert again.tables[name].equals(even["event"].tables[name])


@pytest.mark.parametrize(
    ("fidelity", "settings", "match"),
    [
        ("expected", {"two_batch_overlap": True}, r"experts\.two_batch_overlap"),
        ("expected", {"loads_every": 5}, r"experts\.loads_every=5 has no effect"),
        ("sampled", {"links_interval_s": 2.0}, r"experts\.links_interval_s=2\.0 has no effect"),
        ("sampled", {"loads_every": 0}, "must be positive"),
        ("events", {}, "Did you mean 'event'"),
    ],
)
def test_settings_without_effect_are_refused(fidelity, settings, match):
    with pytest.raises(ConfigError, match=match):
        ExpertsConfig(fidelity=fidelity, **settings)


@pytest.mark.parametrize(
    ("model", "hardware", "experts", "match"),
    [
        ("llama_3_1_8b", {}, {"fidelity": "sampled"}, "has none"),
        ("qwen3_30b_a3b", {"pipeline_parallel": 2}, {"fidelity": "event"}, "pipeline_parallel=2"),
        ("qwen3_30b_a3b", {"gpu": "l40s"}, {"fidelity": "event"}, r"set hardware\.topology"),
        (
            "qwen3_30b_a3b",
            {"tensor_parallel": 2},
            {"fidelity": "event", "two_batch_overlap": True},
            "one group",
        ),
    ],
)
def test_what_cannot_be_followed_is_refused_before_anything_runs(model, hardware, experts, match):
    settings = {"gpu": "h100_sxm", "tensor_parallel": 4} | hardware
    with pytest.raises(ConfigError, match=match):
        build(
            make_config(
                model, hardware=HardwareConfig(**settings), experts=ExpertsConfig(**experts)
            )
        )


@pytest.mark.slow
def test_the_cases_agree_or_differ_for_the_reason_they_are_made_for():
    found = {one.case.name: one for one in compare(CASES, 0, lambda _: None)}
    for case in CASES:
        over = [found[case.name].over_expected(name) for name in ("sampled", "event")]
        assert all(abs(share) < 0.01 for share in over) == case.agree
        reasons = list(reasons_of(found[case.name].figures, overlapping=case.overlapping))
        assert bool(reasons) != case.agree
    assert found["skewed"].figures["imbalance"] > 1.15 > found["balanced"].figures["imbalance"]
    assert found["contention"].figures["contention"] > 0.01
    assert abs(found["overlap"].figures["rest"]) > 0.01
    assert summary([*found.values()])["metrics"]["skewed_event_over_expected"] > 0.01


@pytest.mark.slow
def test_validate_fidelity_as_typed(tmp_path, capsys):
    assert main(["validate", "fidelity", "case=balanced", f"hydra.run.dir={tmp_path}"]) == 0
    assert "all agree within 1%" in capsys.readouterr().out
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    assert abs(metrics["balanced_event_over_expected"]) < 0.01


def test_a_case_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="Did you mean 'skewed'"):
        chosen(["skewd"])
