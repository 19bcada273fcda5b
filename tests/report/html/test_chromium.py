"""The pages in a real browser: what is drawn, what fails, what is asked of a network, what fits."""

import shutil
from contextlib import contextmanager

import pytest
from helpers.suites import some

from simulator.report.html.page import page_of
from simulator.report.html.render import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP, PHONE = 1280, 390
FLAGS = ["--no-sandbox", "--disable-gpu"]  # root has no sandbox, and CI no GPU to draw on
PATIENCE_MS = 120_000  # a page takes a second, and ten times as long beside other tests
DRAWN = """() => [...document.querySelectorAll(".chart")].map((box) => {
    const size = box.querySelector("svg.main-svg").getBoundingClientRect();
    return [size.width, size.height];
})"""
NARROW_ENOUGH = """() => [...document.querySelectorAll(".chart")].every((box) =>
    box.querySelector("svg.main-svg").getBoundingClientRect().width <= box.clientWidth)"""

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on the path: apt-get install chromium"
)


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'"
    )
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, path):
    """Open a page; what it complains of and what it asks for is noted."""
    noted = {"said": [], "asked": []}
    context = browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    tab.on("console", lambda message: noted["said"].append(message.text))
    tab.on("pageerror", lambda error: noted["said"].append(str(error)))
    tab.on("request", lambda request: noted["asked"].append(request.url))
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-drawn]")
    try:
        yield tab, noted
    finally:
        context.close()


def overflowing(tab):
    """What sticks out of the window, but for what scrolls within a box of its own."""
    return tab.evaluate(
        """() => {
            const wide = document.documentElement.clientWidth;
            const out = [...document.querySelectorAll("body *")].filter(
                (one) => one.getBoundingClientRect().right > wide + 1 &&
                    !one.closest(".scroll, pre, .chart, .skip"));
            return [document.documentElement.scrollWidth - wide, out.map((one) => one.outerHTML)];
        }"""
    )


def check(tab, noted, path, charts):
    """What holds of every page at every width."""
    assert noted["said"] == []
    assert {url.partition("#")[0] for url in noted["asked"]} == {path.as_uri()}
    tab.wait_for_function(NARROW_ENOUGH)  # charts follow the window a moment later
    sizes = tab.evaluate(DRAWN)
    assert len(sizes) == charts
    assert all(width > 250 and height > 150 for width, height in sizes)
    assert overflowing(tab) == [0, []]


@pytest.mark.parametrize("kind", some(["run", "sweep", "plan"], "run"))
def test_a_page_is_drawn_and_fits(browser, kind, request, tmp_path):
    page = page_of(request.getfixturevalue(f"{kind}_folder"))
    path = write_page(page, tmp_path / "report.html")
    with opened(browser, path) as (tab, noted):
        for width in (DESKTOP, PHONE):
            tab.set_viewport_size({"width": width, "height": 800})
            check(tab, noted, path, len(page.charts))
        assert "<script>" in tab.locator("body").inner_text()  # as text
        assert tab.locator("img, iframe, a[href^=http]").count() == 0
        toggle(tab)
        assert noted["said"] == []


def toggle(tab):
    """Hide a series by its button, as a reader does."""
    button = tab.locator(".legend button").first
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
