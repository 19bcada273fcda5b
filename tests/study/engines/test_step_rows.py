"""Step times are read in any unit, and what cannot be is refused with file and line."""

from dataclasses import replace

import pytest
from helpers.measurements import bench, step_rows

from simulator.costs.engine import load_engine
from simulator.errors import DataError
from simulator.study.engines.checks import check_enough, check_rows
from simulator.study.engines.step_rows import read_steps

HEADER = "model,gamma,batch,step_ms,target_ms,draft_ms,active_experts,spread,role\n"
GOOD = "moe,0,1,12.5,11.8,0,8,1.3,calibrate\nmoe,4,1,24.3,16,7,15.5,1.1,check\n"


@pytest.fixture
def read(tmp_path):
    def write_and_read(text):
        path = tmp_path / "steps.csv"
        path.write_text(text, encoding="utf-8")
        return read_steps(path)

    return write_and_read


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    return bench(tmp_path_factory.mktemp("models"))


def test_rows_have_seconds_and_what_was_not_measured_is_none(read):
    plain, verify = read(HEADER + GOOD)
    assert (plain.step_s, plain.target_s, plain.draft_s) == (0.0125, pytest.approx(0.0118), None)
    assert (verify.gamma, verify.draft_s, verify.role) == (4, pytest.approx(0.007), "check")
    assert plain.noise > verify.noise > 0.03


@pytest.mark.parametrize(
    ("column", "value"),
    [("step_s", 0.0125), ("step_ms", 12.5), ("step_us", 12500), ("seconds", 0.0125)],
)
def test_the_unit_is_in_the_name(read, column, value):
    (row,) = read(f"batch,query_tokens,{column}\n8,5,{value}\n")
    assert row.step_s == pytest.approx(0.0125)
    assert (row.gamma, row.batch, row.model, row.role) == (4, 8, "", "calibrate")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("batch,gamma,step_s\n", "no rows. Measure plain steps"),
        ("batch,gamma,step\n1,0,1\n", r"lacks the column step_s or .*is 'step' that"),
        ("batches,gamma,step_s\n1,0,1\n", r"lacks the column batch \(is 'batches' that\?\)"),
        ("batch,step_s\n1,1\n", "lacks the column gamma or query_tokens"),
        ("batch,gamma,step_s\n1,0\n", "line 2: 2 fields, but the header has 3"),
        ("batch,gamma,step_s\n1,0,-0.1\n", "line 2: step_s is -0.1; a time is not negative"),
        ("batch,gamma,step_s\n1,0,0\n", "line 2: the step time is missing, zero"),
        ("batch,gamma,step_s\n1,0,fast\n", "line 2: step_s is 'fast', no number"),
        ("batch,gamma,step_s\n1,0,inf\n", "no finite number"),
        ("batch,gamma,step_s\n0,0,1\n", "batch is 0; it must be a whole number, 1 or more"),
        ("batch,gamma,step_s\n1.5,0,1\n", "batch is 1.5"),
        ("batch,gamma,step_s\n1,-1,1\n", "gamma is -1"),
        ("batch,gamma,step_s\n1,65,1\n", "gamma is 65; at most 64"),
        ("batch,gamma,query_tokens,step_s\n1,4,4,1\n", r"gamma is 4 but query_tokens is 4"),
        ("batch,gamma,step_s,spread\n1,0,1,0.5\n", "spread is 0.5"),
        ("batch,gamma,step_s,role\n1,0,1,chek\n", "role is 'chek'; it is one of calibrate, check"),
        ("batch,gamma,step_s,context_tokens\n1,0,1,-2\n", "context_tokens is -2"),
        ("batch,gamma,step_s,target_ms\n1,0,0.012,13000\n", "more than the whole step"),
        ("batch,gamma,step_ms,draft_ms\n1,0,12,3\n", "at gamma 0; state the draft length"),
        (HEADER + GOOD + GOOD.splitlines()[0] + "\n", "line 4: identical to line 2"),
        ("batch,gamma,step_s\n8,0,0.03\n8,4,0.02\n", "less than the plain step of line 2"),
    ],
)
def test_what_cannot_be_is_refused(read, text, message):
    with pytest.raises(DataError, match=message) as caught:
        read(text)
    assert "steps.csv" in str(caught.value)


def test_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / "steps.csv").write_text("x", encoding="utf-8")
    with pytest.raises(DataError, match=r"Did you mean '.*steps\.csv'"):
        read_steps(tmp_path / "step.csv")


@pytest.mark.parametrize("factor", [1e3, 1e-3])
def test_a_column_off_by_a_thousand_is_refused(made_up, tmp_path, factor):
    rows = [replace(r, step_s=factor * r.step_s) for r in step_rows(made_up)]
    with pytest.raises(DataError, match="in the unit that its name states"):
        check_rows(tmp_path / "steps.csv", rows, made_up, load_engine("vllm"))


def test_one_row_off_by_a_thousand_is_named(made_up, tmp_path):
    rows = step_rows(made_up)
    rows[3] = replace(rows[3], step_s=1000 * rows[3].step_s)
    with pytest.raises(DataError, match=f"line {rows[3].line}: .* in another unit"):
        check_rows(tmp_path / "steps.csv", rows, made_up, load_engine("vllm"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "meo"}, "unknown model 'meo'. Did you mean 'moe'"),
        ({"active_experts": 65.0}, "touches 8 to 8 of 64"),
        ({"active_experts": 4.0}, "Is gamma or the model wrong"),
        ({"model": "dense", "active_experts": 8.0}, "but the model is dense"),
    ],
)
def test_rows_that_do_not_fit_the_models_are_refused(made_up, tmp_path, changes, message):
    rows = step_rows(made_up)
    rows[0] = replace(rows[0], **changes)
    with pytest.raises(DataError, match=message) as caught:
        check_rows(tmp_path / "steps.csv", rows, made_up, load_engine("vllm"))
    assert f"line {rows[0].line}" in str(caught.value)


def test_drafting_without_a_drafter_is_refused(made_up, tmp_path):
    alone = replace(
        made_up, models={n: replace(m, drafter=None) for n, m in made_up.models.items()}
    )
    with pytest.raises(DataError, match="no draft model is known; name the drafter"):
        check_rows(tmp_path / "s.csv", step_rows(made_up), alone, load_engine("vllm"))


def test_too_few_rows_or_steps_say_what_to_measure(made_up, tmp_path):
    rows = step_rows(made_up)
    with pytest.raises(DataError, match=r"2 rows to fit; at least 3 are needed\. Measure plain"):
        check_enough(tmp_path / "steps.csv", rows[:2])
    same = [replace(rows[0], line=n, step_s=0.01 + n / 1000) for n in range(4)]
    with pytest.raises(DataError, match="1 different steps to fit"):
        check_enough(tmp_path / "steps.csv", same)
