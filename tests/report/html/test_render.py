import json
import re

import pytest

from simulator.errors import ConfigError
from simulator.report.html.blocks import Command, Items, Page, Paragraph, Section
from simulator.report.html.grids import plain_table
from simulator.report.html.page import page_of
from simulator.report.html.render import render, write_page

HOSTILE = '</script><script>alert(1)</script> & "x"'


@pytest.fixture(scope="module")
def html(run_folder):
    return render(page_of(run_folder))


def figures(html):
    (data,) = re.findall(r'<script type="application/json" id="figures">(.*?)</script>', html)
    return data


def test_every_chart_of_the_page_has_a_box_and_its_data(html):
    boxes = re.findall(r'id="chart-([\w-]+)"', html)
    assert set(json.loads(figures(html))) == set(boxes)
    assert len(boxes) == len(set(boxes))


def test_nothing_on_the_page_comes_from_elsewhere(html):
    ours = html.replace(re.findall(r"<script>(.*?)</script>", html, re.DOTALL)[0], "")
    assert not re.findall(r"""(?:src|href)=["'](?!#|data:)""", ours)
    assert "@import" not in ours
    assert "url(" not in ours


def test_the_data_of_a_page_are_small_whatever_the_trace(html):
    assert len(figures(html)) < 200_000


def test_a_title_stays_text(html):
    assert "<script>document" not in html
    assert "&lt;script&gt;document.body.remove()" in html
    assert "<img" not in html


def test_text_of_a_stranger_stays_text_in_every_block():
    blocks = [
        Paragraph(HOSTILE),
        Items([HOSTILE]),
        Command(HOSTILE, HOSTILE),
        plain_table(HOSTILE, [HOSTILE], [[HOSTILE]]),
    ]
    page = Page(
        kind="run",
        title=HOSTILE,
        facts=[(HOSTILE, HOSTILE)],
        verdict=HOSTILE,
        advice=HOSTILE,
        sections=[Section("a", HOSTILE, blocks)],
    )
    html = render(page)
    assert "<script" not in html  # without charts a page has none
    assert "script-src 'none'" in html.replace("&#39;", "'")


def test_the_same_page_gives_the_same_bytes(run_folder, html, tmp_path):
    path = write_page(page_of(run_folder), tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == html
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_says_so(run_folder, tmp_path):
    (tmp_path / "file").write_text("")
    page = Page(kind="run", title="", facts=[], verdict="")
    with pytest.raises(ConfigError, match="cannot write"):
        write_page(page, tmp_path / "file" / "report.html")
