import json

import pytest
from helpers.plans import empty_plan

from simulator.errors import DataError
from simulator.report.html.blocks import Command, Table
from simulator.report.html.page import page_of
from simulator.report.html.plan.page import plan_page
from simulator.report.plan_verdict import verdict
from simulator.study.plan.exports.files import write_plan
from simulator.study.plan.exports.served import started


@pytest.fixture(scope="module")
def page(plan_folder):
    return plan_page(plan_folder)


@pytest.fixture(scope="module")
def told(plan_folder):
    return json.loads((plan_folder / "plan.json").read_text("utf-8"))


def blocks(page, key):
    return next(section for section in page.sections if section.key == key).blocks


def texts(table):
    return [[cell.text for cell in row.cells] for row in table.rows]


def test_the_verdict_comes_first_and_whole(page, told):
    assert f"{page.verdict} {page.advice}" == told["verdict"]
    assert page.verdict.startswith("Serve Qwen3-235B-A22B at 20 requests/s")
    assert page.tone == "good"
    assert [(figure.label, figure.value) for figure in page.figures] == [
        ("GPUs", "12"),
        ("USD an hour", "75.7"),
        ("requests/s held", "23.4"),
        ("SD gain", "1.31x"),
        ("energy", "0.590 J"),
    ]


def test_rows_are_those_of_the_plan_and_say_why_one_fails(page):
    table, fails = blocks(page, "ranked")
    first, second, third = texts(table)
    assert first[:3] == ["1", "3 x (4 x h200_sxm, TP 4, EP 4, fp8)\ngamma 3", "yes"]
    assert first[6:9] == ["23.4\n22.7 to 24.1", "tpot", "1.31x\n1.27 to 1.35"]
    assert first[9] == "1.49 s\nof 2.00 s"
    assert second[3:5] == ["-", "-"]  # no price
    assert (third[2], third[6]) == ("no", "-")
    assert fails.texts == ["3 fails: 95.1 % of reasoning are in time, 99 % must be."]


def test_charts_are_the_front_the_rates_and_the_crossover(page):
    front, rates, crossover = page.charts
    assert [front.key, rates.key, crossover.key] == ["pareto", "max-rate", "crossover"]
    line = front.series[0]
    assert line.x == sorted(line.x)
    assert {series.name for series in front.series[1:]} >= {"h200_sxm, simulated"}
    assert [bars.values for bars in rates.series] == [[23.4, 26.1], [17.9, 17.9]]
    assert rates.rules[0].at == 20.0
    assert crossover.series[0].y == [1.7, 1.62]


def test_headroom_classes_and_fresh_seeds_have_their_tables(page):
    (room,) = blocks(page, "headroom")
    assert texts(room)[1] == ["one replica lost (N+1)", "97 %", "71 %", "no", "4"]
    (seen,) = blocks(page, "classes")
    assert texts(seen)[1][:3] == ["reasoning", "99.3 %", "99 %"]
    (checks,) = blocks(page, "confirmation")
    assert [row[2] for row in texts(checks)] == ["yes", "no"]
    assert any("N+1 takes 4 replicas" in text for text in blocks(page, "why")[0].texts)


def test_commands_can_be_copied_whole(page, told):
    served = [block.text for block in blocks(page, "serve") if isinstance(block, Command)]
    assert "--speculative-config" in served[0]
    again = [block.text for block in blocks(page, "again")]
    assert again == [offer["command"] for offer in told["deployments"]]
    ask = blocks(page, "provenance")[0].text
    assert ask.startswith("moesim plan model=qwen3_235b_a22b workload=mix 'workload.mix=")
    assert "gpus=h200_sxm,b300_sxm,h100_sxm" in ask
    assert "expert_parallel=true" in ask


def test_a_plan_that_found_nothing_says_what_comes_closest(tmp_path):
    found = empty_plan()
    write_plan(found, " ".join(verdict(found)), started(found), tmp_path)
    page = page_of(tmp_path)
    assert page.verdict.startswith("Nothing serves")
    assert (page.tone, list(page.figures)) == ("bad", [])
    assert "Closest comes" in blocks(page, "ranked")[1].texts[-1]
    assert not any(section.key in {"serve", "headroom"} for section in page.sections)
    assert any(isinstance(block, Table) for block in blocks(page, "ruled-out"))


def test_a_plan_of_another_form_is_refused_by_what_it_lacks(tmp_path, told):
    (tmp_path / "plan.json").write_text(json.dumps({"verdict": "x"}), encoding="utf-8")
    with pytest.raises(DataError, match="lacks question, deployments"):
        page_of(tmp_path)
    broken = told | {"question": {"model": "m"}}
    (tmp_path / "plan.json").write_text(json.dumps(broken), encoding="utf-8")
    with pytest.raises(DataError, match="holds a plan that lacks 'objectives'"):
        page_of(tmp_path)
