"""``moesim calibrate check``: screen, files and refusals."""

import json

PLAN = "knowledge: digits\nmoduli: [9]\n"


def test_tables_files_and_metrics(moesim, tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    code, out, _ = moesim(
        "calibrate", "check", "plan=plan.yaml", "picture=true", f"hydra.run.dir={tmp_path / 'run'}"
    )
    assert code == 0
    assert "it leaves 2 of 10 unknowns open" in out
    assert out.rstrip().endswith(f"graph: {tmp_path / 'run' / 'graph.png'}")
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["metrics"]["solutions"] == 2
    assert found["metrics"]["disagreement"] == 2
    assert found["metrics"]["bound"] == 0.2
    assert found["metrics"]["sample_bound"] == 761
    assert found["metrics"]["predicted_variance"] is None
    assert found["free"] == ["z0", "z9"]


def test_metrics_as_json(moesim, tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    code, out, _ = moesim("calibrate", "check", "plan=plan.yaml", "json=true")
    assert code == 0
    assert json.loads(out)["solutions"] == 2


def test_a_missing_plan_is_refused(moesim, tmp_path):
    (tmp_path / "plan.yaml").write_text(PLAN)
    code, out, err = moesim("calibrate", "check", "plan=plans.yaml")
    assert (code, out) == (2, "")
    assert "there is no plan plans.yaml. Did you mean plan.yaml?" in err
    assert not (tmp_path / "runs").exists()


def test_no_plan_is_refused(moesim):
    code, _, err = moesim("calibrate", "check")
    assert code == 2
    assert "plan is missing" in err


def test_help_shows_a_plan_that_works(moesim, tmp_path):
    code, out, _ = moesim("calibrate", "check", "--help")
    assert code == 0
    assert all(len(line) <= 80 for line in out.splitlines())
    start = out.index("  knowledge:")
    (tmp_path / "plan.yaml").write_text(
        out[start : out.index("\n\n", start)].replace("\n  ", "\n")[2:]
    )
    assert moesim("calibrate", "check", "plan=plan.yaml")[0] == 0
