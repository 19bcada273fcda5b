"""All that was measured on one GPU left out once: what fits, metrics and summary say of it."""

import json

import numpy as np
import pytest

from simulator.kernels.fits import load_fits
from simulator.study.tables import validate as validate_kernels
from simulator.study.tables.validate import metrics, summary
from simulator.trace.json_file import json_safe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def l40s():
    done = []
    found = validate_kernels.validate_kernels(["l40s"], lambda: done.append(1))
    assert len(done) == validate_kernels.steps(["l40s"])
    return found


def test_the_shipped_fits_state_the_errors_found_here(l40s):
    fits = {fit.dtype: fit for fit in load_fits()["experts"] if fit.gpu == "l40s"}
    for found in l40s.experts:
        fit = fits[found.rows.dtype]
        medians = [middle for middle, _ in found.rows.by_group().values()]
        if medians:
            assert np.median(medians) == pytest.approx(fit.unseen_median_error, rel=0.01)
            assert max(medians) == pytest.approx(fit.unseen_worst_error, rel=0.01)
        else:
            assert np.isnan(fit.unseen_median_error)


def test_metrics_are_flat_fractions_by_gpu(l40s):
    found = metrics(l40s)
    assert 0 < found["ratio_median_ape_l40s"] < found["experts_lomo_median_ape_l40s"] < 0.05
    assert found["experts_lomo_median_ape_l40s_bfloat16"] < 0.05
    assert np.isnan(found["experts_lomo_median_ape_l40s_int4_wo"])  # one shape
    assert 0.7 < found["bandwidth_fraction_l40s_bfloat16"] < 0.95
    assert found["rejected_share_l40s"] < 0.15 < found["experts_rejected_share_l40s"]
    for operator in ("decode_attention", "prefill_attention", "latent_decode", "latent_prefill",
                     "gemm", "all_reduce"):  # fmt: skip
        assert 0 < found[f"{operator}_left_out_median_ape_l40s"] < 0.1
    assert found["experts_lomo_mape_l40s"] > found["experts_lomo_median_ape_l40s"]
    assert found["experts_lomo_spread_median_ape_l40s"] > found["experts_lomo_median_ape_l40s"]


def test_the_summary_holds_every_group_left_out(l40s):
    found = json.loads(json.dumps(json_safe(summary(l40s)), allow_nan=False))
    by_dtype = {table["dtype"]: table for table in found["experts"]}
    assert len(by_dtype["bfloat16"]["left_out"]) == by_dtype["bfloat16"]["measured_shapes"] == 14
    assert by_dtype["int4_wo"]["median_ape"] is None
    assert {line["gpu"] for line in found["linear_in_active_experts"]} == {"l40s"}
    operators = [table["operator"] for table in found["operators"]]
    assert operators.count("gemm") == 3  # formats
    assert operators.count("decode_attention") == operators.count("prefill_attention") == 2
    assert {t["dtype"] for t in found["operators"] if "prefill" in t["operator"]} == {
        *("bfloat16", "fp8")
    }
    assert found["metrics"]["ratio_median_ape_l40s"] > 0
