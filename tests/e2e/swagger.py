"""The Swagger page as somebody uses it, in Debian's Chromium."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ANSWER_SECONDS = 60


@contextmanager
def swagger_page(url: str) -> Iterator["SwaggerPage"]:
    """The page of a service, in a browser of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(f"{url}/docs")
        page.wait_for_selector(".opblock")
        yield SwaggerPage(page)
        browser.close()


class SwaggerPage:
    """What a person does on the page, and reads there."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def reload(self) -> None:
        """Make it what it is to somebody who just comes: nothing is open, and nothing typed."""
        self._page.reload()
        self._page.wait_for_selector(".opblock")

    def operations(self) -> list[str]:
        """The ids of all operations, in the page's order."""
        blocks = self._page.locator(".opblock").all()
        return [(block.get_attribute("id") or "").rpartition("-")[2] for block in blocks]

    def authorize(self, key: str) -> None:
        """Press the button for the key and give it."""
        self._page.get_by_role("button", name="Authorize").first.click()
        self._page.locator(".auth-container input").fill(key)
        self._page.get_by_role("button", name="Apply credentials").click()
        self._page.get_by_role("button", name="Close").first.click()

    def open(self, operation: str) -> Locator:
        """Open an operation and press "Try it out"."""
        block = self._page.locator(f".opblock[id$='-{operation}']")
        if not block.locator(".opblock-body").count():
            block.locator(".opblock-summary-control").click()
        try_out = block.get_by_role("button", name="Try it out")
        try_out.or_(block.get_by_role("button", name="Cancel")).first.wait_for()
        if try_out.count():
            try_out.click()
        return block

    def close(self, operation: str) -> None:
        """Fold an operation again: the page is the slower the more of them are open."""
        block = self._page.locator(f".opblock[id$='-{operation}']")
        block.locator(".opblock-summary-control").click()
        block.locator(".opblock-body").wait_for(state="detached")

    def execute(self, operation: str, **values: str | Path | list[Path]) -> tuple[int, Any]:
        """Fill these fields in, and no others, choose the files, press "Execute"; the status and the answer read."""
        block = self.open(operation)
        for name, value in values.items():
            row = block.locator(f"[data-param-name='{name}'], [data-property-name='{name}']")
            if isinstance(value, list):
                for at, file in enumerate(value):
                    if at:
                        row.get_by_role("button", name="Add string item").click()
                    row.locator("input[type=file]").last.set_input_files(file)
                continue
            if isinstance(value, Path):
                row.locator("input[type=file]").set_input_files(value)
                continue
            if row.locator("select").count():
                row.locator("select").select_option(value)
                continue
            if row.get_by_role("button", name="Add string item").count():
                row.get_by_role("button", name="Add string item").click()
            row.locator("input:not([type=checkbox]):not([type=file])").fill(value)
        if block.get_by_role("button", name="Clear", exact=True).count():  # of an answer before
            block.get_by_role("button", name="Clear", exact=True).click()
        block.get_by_role("button", name="Execute", exact=True).click()
        answer = block.locator(".live-responses-table tbody .response")
        answer.wait_for(timeout=ANSWER_SECONDS * 1000)
        status = answer.locator(".response-col_status").inner_text().split()[0]
        body = answer.locator(".response-col_description pre").first.inner_text()
        return int(status), json.loads(body)

    def filled_in(self, operation: str) -> dict[str, str]:
        """What stands in the fields of an operation before anybody has typed."""
        block = self.open(operation)
        values: dict[str, str] = {}
        for row in block.locator("[data-param-name], [data-property-name]").all():
            name = row.get_attribute("data-param-name") or row.get_attribute("data-property-name")
            for field in row.locator("input:not([type=checkbox]), select, textarea").all():
                if value := field.input_value():
                    values[name or ""] = value
        for body in block.locator(".body-param textarea").all():
            values["body"] = body.input_value()
        return values

    def refusals(self, operation: str) -> dict[str, str]:
        """The text of each refusal that is shown beside an operation, by status."""
        block = self.open(operation)
        rows = block.locator(".responses-table:not(.live-responses-table) tr.response").all()
        told = {row.get_attribute("data-code") or "": row.inner_text() for row in rows}
        return {status: text for status, text in told.items() if status >= "400"}
