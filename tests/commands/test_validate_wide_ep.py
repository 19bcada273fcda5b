"""``moesim validate wide_ep``, as typed."""

import json

import pytest

from simulator.cli import main


@pytest.mark.slow
def test_the_reported_deployments_are_modelled_and_drawn(tmp_path, capsys):
    words = ["expert_parallel=8,72", "batches=1,8", f"hydra.run.dir={tmp_path}"]
    assert main(["validate", "wide_ep", *words]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    for expected in ("EP 72: 256 requests a GPU", "EP 144: 88 requests a GPU", "from memory"):
        assert expected in shown
    metrics = json.loads((tmp_path / "summary.json").read_text())["metrics"]
    for name in ("sglang_h100_ep72", "deepseek_h800_ep144"):
        assert metrics[f"{name}_serial_ratio"] > 0
    assert {"speculation.png", "steps.png"} <= {file.name for file in tmp_path.iterdir()}


def test_a_size_that_does_not_divide_the_slots_is_refused_with_those_that_do(capsys):
    assert main(["validate", "wide_ep", "expert_parallel=8,80"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "expert_parallel=80 does not share out the 288 slots" in said
    assert "72, 96, 144." in said
