"""``moesim show experts``: a table, a picture, a placement that a run takes, and refusals."""

import json

import pytest

from simulator.experts.placement_file import from_file


def test_placements_side_by_side(moesim, tmp_path):
    words = ("model=mixtral_8x7b", "ranks=4", "redundant=0,4", "popularity_sd=0.7", "requests=4")
    code, out, err = moesim("show", "experts", *words, "hydra.run.dir=seen")
    assert (code, err) == (0, "")
    assert "Load of the slowest of 4 ranks over the mean: Mixtral-8x7B" in out
    metrics = json.loads((tmp_path / "seen" / "summary.json").read_text())["metrics"]
    slowest = {key: value for key, value in metrics.items() if "_steps_" in key}
    assert min(slowest, key=slowest.get) == "slowest_over_mean_steps_load_aware_4"
    assert (tmp_path / "seen" / "loads.png").stat().st_size > 1000
    best = from_file(tmp_path / "seen" / "placement.yaml", experts=8, ranks=4)
    assert best.replicas.sum(axis=1).tolist() == [12] * 32
    assert "experts.redundant=4 experts.fidelity=sampled" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ranks=1"], "leaves nothing to place"),
        (["ranks=9"], "8 GPUs in nodes of 8"),
        (["redundant=-1"], "none negative"),
        (["requests=0"], "requests=0 must be at least 1"),
        (["model=llama_3_1_8b"], "is dense: it has no experts"),
        (["model=deepseek_v3"], "unknown routing archetype"),
        (["routes=none.parquet"], "file of routes 'none.parquet' not found"),
        (["routes=none.parquet", "archetype=glm_5"], "has no effect with routing.law=recorded"),
    ],
)
def test_refused(moesim, words, message):
    code, out, err = moesim("show", "experts", *words)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
