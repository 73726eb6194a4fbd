"""The report of a job in Debian's Chromium, wide and narrow: nothing is cut off, and nothing is fetched."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from finetune.report.compared import compared
from finetune.report.facts import facts_of
from finetune.report.page import comparison_page, page
from tests.finetune.report.whole import JOB, whole_job

CHROMIUM = shutil.which("chromium")

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt-get install chromium"),
]


def test_the_pages_fit_a_wide_and_a_narrow_window_and_fetch_nothing(tmp_path: Path) -> None:
    facts = [facts_of(whole_job(tmp_path / f"job_{number}")) for number in range(3)]
    pages = {"report": page(facts[0], JOB), "compare": comparison_page(compared(facts))}
    fetched: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        window = browser.new_page()
        window.on("request", lambda request: fetched.append(request.url))
        for name, html in pages.items():
            (tmp_path / f"{name}.html").write_text(html, "utf-8")
            for width in (1280, 375):
                window.set_viewport_size({"width": width, "height": 900})
                window.goto(f"file://{tmp_path}/{name}.html")
                wide = window.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{name} is {wide} wide in a window of {width}"
                assert window.locator("svg polyline").count() >= 1
                assert window.locator("svg").bounding_box()["width"] > width / 4  # type: ignore[index]
        browser.close()
    assert fetched
    assert all(url.startswith("file://") for url in fetched)
