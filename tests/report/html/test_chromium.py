"""The pages in a real browser: what is drawn, what fails, what is asked of a network, what fits."""

import shutil
from contextlib import contextmanager

import pytest

from simulator.report.html.page import page_of
from simulator.report.html.render import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DESKTOP, PHONE = 1280, 390
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
        chromium = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@contextmanager
def opened(browser, path):
    """Open a page; what it complains of and what it asks for is noted."""
    noted = {"said": [], "asked": []}
    context = browser.new_context()
    tab = context.new_page()
    tab.on("console", lambda message: noted["said"].append(message.text))
    tab.on("pageerror", lambda error: noted["said"].append(str(error)))
    tab.on("request", lambda request: noted["asked"].append(request.url))
    tab.goto(path.as_uri())
    tab.wait_for_selector("html[data-drawn]", timeout=30_000)
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


@pytest.fixture(scope="module")
def run_page(run_folder, tmp_path_factory):
    page = page_of(run_folder)
    return write_page(page, tmp_path_factory.mktemp("page") / "report.html"), len(page.charts)


def test_a_run_is_drawn_and_fits(browser, run_page):
    path, charts = run_page
    with opened(browser, path) as (tab, noted):
        for width in (DESKTOP, PHONE):
            tab.set_viewport_size({"width": width, "height": 800})
            check(tab, noted, path, charts)
        assert "<script>" in tab.locator("h1").inner_text()  # as text
        assert tab.locator("img, iframe, a[href^=http]").count() == 0
        button = tab.locator(".legend button", has_text="SD off").first
        button.click()
        assert button.get_attribute("aria-pressed") == "false"
        assert noted["said"] == []
