"""``moesim study prefetch``: settings, refusals, and the whole way, small and served."""

import json

import pyarrow.parquet as pq
import pytest

WORDS = ["sequences=24", "steps=6", "seeds=2", "recipes=ce,ce_auc_bank"]


def test_the_help_of_the_subject_fits_a_terminal(moesim, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = moesim("study", "prefetch", "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["recipes=ce,ce_auc_bnk"], "Did you mean 'ce_auc_bank'"),
        (["seeds=0"], "seeds=0 must be 1 or more"),
        (["trace=routes.parquet"], "needs model="),
        (["model=mixtral_8x7b", "batches=4,2"], "batches=4,2 must be"),
        (["model=llama_3_1_8b"], "dense"),
        (["model=mixtral_8x7b"], "more than the 8 experts of a layer"),
        (["model=gpt_oss_20b", "trace=nowhere.parquet"], "nowhere.parquet"),
    ],
)
def test_what_makes_no_sense_is_refused(moesim, words, message):
    code, _, err = moesim("study", "prefetch", *words)
    assert code == 2
    assert message in err


def test_the_small_instance_is_told_and_saved(moesim, tmp_path):
    code, out, err = moesim("study", "prefetch", *WORDS, "hydra.run.dir=run")
    assert (code, err) == (0, "")
    for text in ("before the change", "after the change", "CE + AUC + bank", "Memory of the loss"):
        assert text in out
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["metrics"]["misses_ce_over_ce_after"] == 1.0
    assert found["recipes"]["on_demand"]["before"]["misses"]["value"] > 0
    rows = pq.read_table(tmp_path / "run" / "recipes.parquet").to_pylist()
    assert len(rows) == 3 * 2 * 2  # on demand too, two seeds, before and after
    assert (tmp_path / "run" / "prefetch.png").exists()


@pytest.mark.slow
def test_a_model_is_served_and_the_predictor_serves_again(moesim, tmp_path):
    served = ["model=mixtral_8x7b", "hardware=h200_sxm", "resident=3", "slots=1", "batches=1,2"]
    more = ["replications=1", "workers=1", "hydra.run.dir=run", "experts=8"]
    code, out, err = moesim("study", "prefetch", *WORDS, *served, *more)
    assert (code, err) == (0, "")
    assert "Median TPOT by batch, after the change" in out
    found = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert found["metrics"]["tpot_over_on_demand_batch_1_before"] > 0
    words = ["model=mixtral_8x7b", "hardware=h200_sxm", "hardware.tensor_parallel=1"]
    words += ["experts=offloaded", "experts.fidelity=sampled", "routing=recorded"]
    words += ["routing.path=run/routes_after.parquet", "experts.offload.resident_experts=3"]
    words += ["experts.offload.prefetch=learned", "experts.offload.prefetch_experts=1"]
    words += ["experts.offload.predictor=run/predictor.npz", "slo=none"]
    few = ["run.requests=10", "run.replications=1", "run.picture=false", "workload.rate=0.1"]
    code, out, err = moesim("simulate", *words, *few, "hydra.run.dir=again")
    assert (code, err) == (0, "")
    assert "a linear code of its experts" in " ".join(out.split())
