"""Calibrated profiles as files: they load, and are what was calibrated."""

from dataclasses import fields

import pytest
from helpers.moesd import reduced

from simulator.costs.engine import load_engine
from simulator.study.moesd.experiment import DENSE, MOE
from simulator.study.moesd.profiles import save_profiles

NAMES = {"name", "title", "provenance"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return save_profiles(reduced().prepared, tmp_path_factory.mktemp("profiles") / "new")


@pytest.mark.parametrize(("model", "pair"), [(MOE, "moe"), (DENSE, "dense")])
def test_a_saved_profile_is_the_calibrated_engine(files, model, pair):
    loaded = load_engine(str(files[f"engine of {model}"]))
    meant = getattr(reduced().prepared, pair).engine
    for field in fields(meant):
        if field.name not in NAMES:
            ours, theirs = getattr(meant, field.name), getattr(loaded, field.name)
            assert theirs == (pytest.approx(ours, rel=1e-4) if isinstance(ours, float) else ours)


def test_figures_say_whether_they_were_fitted(files):
    kinds = load_engine(str(files[f"engine of {MOE}"])).provenance
    assert kinds["draft_request"].kind == kinds["plain_request"].kind == "fitted"
    assert "arXiv 2505.19645" in kinds["draft_request"].source
    assert kinds["verify_request"].source == "as much above a plain step as before calibration"
    assert (
        load_engine(str(files[f"engine of {DENSE}"])).provenance["verify_request"].kind == "fitted"
    )
    assert kinds["kernel_launch"].kind == "assumed"


def test_a_round_keeps_what_it_has_above_a_plain_step():
    before, after = load_engine("vllm_v0"), reduced().prepared.moe.engine
    assert after.plain_request_s > 2 * before.plain_request_s
    assert after.verify_request_s - after.plain_request_s == pytest.approx(
        before.verify_request_s - before.plain_request_s
    )
