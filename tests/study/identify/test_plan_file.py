"""Plans: what is read, and what each malformed one is told."""

import pytest

from simulator.errors import ConfigError, DataError, TableError
from simulator.study.identify.check_plan import check_plan
from simulator.study.identify.plan_file import read_plan

MOESD = "knowledge: moesd\ntarget: qwen2_57b_a14b\ngpu: a800_sxm\ngpus: 2\n"
POPULARITY = "knowledge: popularity\nexperts: 4\nranks: 2\ntokens: [1, 2]\n"


def test_a_missing_file_names_its_neighbour(plan):
    path = plan(MOESD)
    with pytest.raises(DataError, match=r"there is no plan .*plam\.yaml\. Did you mean .*plan\.y"):
        read_plan(path.with_name("plam.yaml"))


def test_a_folder_is_no_plan(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_plan(tmp_path)


def test_places_name_the_line(plan):
    read = read_plan(plan(MOESD + "measure:\n  - {kind: speedup}\n  - {kind: x}\n"))
    assert read.place("measure", 1).endswith("plan.yaml, line 7 (measure[1])")
    assert read.place("gpu").endswith("line 3 (gpu)")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("knowledge: [", r"line 1 is not YAML"),
        ("- a", "must hold settings, 'key: value'"),
        ("", "must hold settings"),
        ("target: x", "does not say what is unknown; add 'knowledge: moesd'"),
        ("knowledge: moesdd", "unknown knowledge base 'moesdd'.*line 1.*Did you mean 'moesd'"),
    ],
)
def test_what_is_no_plan(plan, text, message):
    with pytest.raises((ConfigError, DataError), match=message):
        read_plan(plan(text))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("", "measures nothing; add 'measure:' with a line such as"),
        ("measures: []", "unknown setting 'measures'.*line 5.*Did you mean 'measure'"),
        ("measure: speedup", r"line 5 \(measure\) must be a list"),
        ("measure: [speedup]", r"line 5 \(measure\[0\]\) must be settings, such as"),
        ("measure:\n  - {kind: speedups}", r"'speedups' in .*line 6.*Did you mean 'speedup'"),
        ("measure: [{kind: speedup}]", r"speedup needs gamma; write 'gamma: \[2, 4\]'"),
        ("measure: [{kind: reject_time, gamma: 2}]", "does not depend on gamma; leave it out"),
        ("measure: [{kind: speedup, gamma: 0}]", "gamma=0 must be at least 1"),
        ("measure: [{kind: reject_time, batch: [1, -8]}]", "batch=-8 must be at least 1"),
        ("measure: [{kind: ar_step_time, top_k: 65}]", "top_k=65 must be from 1 to 64, the exp"),
        ("measure: [{kind: reject_time, tolerance: 0}]", "must be above 0 and below 1: the relat"),
        ("measure: [{kind: reject_time, tolerance: 5}]", "must be above 0 and below 1"),
        ("measure: [{kind: reject_time, every: 0}]", "every=0 must be at least 1"),
        ("measure: [{kind: reject_time, batch: [1.5]}]", r"batch\[0\]=1.5 must be an integer"),
        ("measure: [{kind: reject_time, bath: 1}]", "'bath'. Did you mean 'batch'"),
        ("levels: {k9: [1, 2]}", "unknown parameter 'k9'"),
        ("levels: {k2: [2.0, 1.0]}", "must be numbers above 0 in ascending order .seconds"),
        ("levels: {k2: 2e-4}", "YAML wants 2.0e-4, not 2e-4"),
        ("levels: [1]", "must be a mapping, such as 'k2:"),
        (
            "levels: {bias: 1, k1: 1, k2: 1, k3: 1, draft_bias: 1, draft_k: 1, reject_bias: 1,"
            " reject_k: 1, lambda: 1, s: 1.1}",
            "every parameter is known; give one two levels",
        ),
        (
            "measure: [{kind: reject_time}]\nlevels: {k1: [1, 2, 3, 4, 5, 6, 7, 8, 9],"
            " k2: [1, 2, 3, 4, 5, 6, 7, 8, 9], k3: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]}",
            "combinations of levels are more than 2,000,000; give fewer levels",
        ),
        ("measure: [{kind: reject_time}]\nweights: {k9: 1}", "unknown unknown 'k9'"),
        ("measure: [{kind: reject_time}]\nweights: {k1: -1}", "k1=-1 must be a number of at least"),
        ("measure: [{kind: reject_time}]\nweights: 3", "must be a mapping from unknowns to wei"),
    ],
)
def test_refusals_of_moesd(plan, lines, message):
    with pytest.raises(ConfigError, match=message):
        check_plan(plan(MOESD + lines))


def test_names_that_no_catalogue_has(plan):
    with pytest.raises(TableError, match="unknown GPU 'a900'"):
        check_plan(plan(MOESD.replace("a800_sxm", "a900")))


def test_a_missing_setting_is_named(plan):
    with pytest.raises(ConfigError, match=r"plan.yaml: target is missing"):
        check_plan(plan("knowledge: moesd\ngpu: a800_sxm\n"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (POPULARITY + "seed: -1", r"line 5 \(seed\): -1 must be at least 0"),
        (POPULARITY + "placements: [contiguous]\ncandidates: [x]", r"candidates\[0\].*'x' is no"),
        ("knowledge: digits\nepsilon: 0", "0 must be above 0 and below 1: the error allowed"),
        ("knowledge: digits\ncap: 0", "0 must be at least 2"),
        (MOESD.replace("gpus: 2", "gpus: 0"), "0 must be at least 1"),
        (POPULARITY, r"observes nothing; add 'placements: \[contiguous\]'"),
        (POPULARITY + "placements: [contigous]", "'contigous' is no placement; write one of"),
        (POPULARITY + "placements: [3]", "3 is no placement"),
        (POPULARITY + "placements: [[[0, 1], [1, 2]]]", "each of the experts 0 to 3 once, on 2"),
        (POPULARITY + "placements: [[[0, 1, 2, 3]]]", "on 2 ranks"),
        (POPULARITY + "tiers: [0, 1]", "gives 2 tiers for 4 experts"),
        (POPULARITY + "tiers: [0, 1, 2, 0]", "tiers go from 0 to 1"),
        (POPULARITY + "tolerance: -1", "must be at least 0 and below 1"),
        (POPULARITY.replace("ranks: 2", "ranks: 3"), "4 experts do not spread evenly over 3"),
        (POPULARITY.replace("[1, 2]", "[1, 1]"), "Tiers of equal popularity cannot be told apart"),
        ("knowledge: digits\nmoduli: [1]", "a modulus must be at least 2"),
        ("knowledge: digits\npairs: []", "is empty; leave it out for all hundred pairs"),
        ("knowledge: digits\npairs: [[1, 12]]", r"pairs\[0\]\): \[1, 12\] must be two digits"),
        (
            "knowledge: digits\nweights: {z0: 0, z1: 0, z2: 0, z3: 0, z4: 0, z5: 0, z6: 0, z7: 0,"
            " z8: 0, z9: 0}",
            "all weights are 0",
        ),
    ],
)
def test_refusals_of_the_other_knowledge_bases(plan, text, message):
    with pytest.raises(ConfigError, match=message):
        check_plan(plan(text))
