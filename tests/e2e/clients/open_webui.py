"""Open WebUI before a service, used in Debian's Chromium."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.e2e.clients.serving import program
from tests.e2e.swagger import CHROMIUM, FLAGS

START_MILLISECONDS = 120_000
ANSWER_MILLISECONDS = 120_000


@contextmanager
def open_webui(programs: Path, base_url: str, folder: Path) -> Iterator["OpenWebUI"]:
    """Its page, for one user without an account, with nothing but a base URL and a key said."""
    settings = {
        "DATA_DIR": str(folder),
        "OPENAI_API_BASE_URL": base_url,
        "OPENAI_API_KEY": "none",
        "WEBUI_AUTH": "False",
        "ENABLE_OLLAMA_API": "False",
        "OFFLINE_MODE": "True",
        "HF_HUB_OFFLINE": "1",
        "RAG_EMBEDDING_ENGINE": "openai",
        "WEBUI_SECRET_KEY": "of-this-test-alone",
    }
    command = [str(programs / "open-webui"), "serve", "--host=127.0.0.1"]
    with (
        program(command, "--port={port}", "/health", **settings) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(url)
        page.get_by_role("button", name="Okay, Let's Go!").click(timeout=START_MILLISECONDS)
        yield OpenWebUI(page)
        browser.close()


class OpenWebUI:
    """What a person does on the page, and reads there."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def choose(self, model: str) -> None:
        """Choose a model by its name."""
        self._page.locator("#model-selector-model-button").click()
        self._page.get_by_role("option", name=model).first.click()

    def ask(self, question: str) -> str:
        """Send a message; the answer, when it is whole."""
        self._page.locator("#chat-input").click()
        self._page.keyboard.type(question)
        self._page.keyboard.press("Enter")
        answer = self._page.locator(".chat-assistant").last
        answer.wait_for(timeout=ANSWER_MILLISECONDS)
        whole = self._page.locator("button.copy-response-button").last
        whole.wait_for(timeout=ANSWER_MILLISECONDS)
        return answer.inner_text()

    def picture(self, path: Path) -> None:
        """What is seen now."""
        self._page.screenshot(path=path)
