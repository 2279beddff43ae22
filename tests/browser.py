"""A real browser without a window for tests of HTML: the system's Chromium, driven by Selenium."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

__all__ = ["MISSING", "browser", "messages", "open_page"]

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

MISSING = ", ".join(
    name
    for name, there in (
        ("the Python package selenium", importlib.util.find_spec("selenium")),
        ("chromium", CHROMIUM),
        ("chromedriver", DRIVER),
    )
    if not there
)
"""What this machine lacks for a browser; empty where there is all."""


@contextmanager
def browser(width: int = 1200, height: int = 1000, *, dark: bool = False) -> Iterator[Chrome]:
    """Start a browser with a page of *width* x *height* that has no network, and end it.

    Parameters
    ----------
    width, height : of the page, in pixels.
    dark : whether the user prefers dark colours.
    """
    from selenium.webdriver import Chrome, ChromeOptions, ChromeService

    options = ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
        "--force-device-scale-factor=1", "--host-resolver-rules=MAP * ~NOTFOUND",
    ):  # fmt: skip
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=ChromeService(DRIVER))
    try:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        yield driver
    finally:
        driver.quit()


def open_page(driver: Chrome, path: Path, fragment: str = "") -> None:
    """Open the file *path*, as if a user had opened it."""
    driver.get("about:blank")
    driver.get(path.resolve().as_uri() + fragment)


def messages(driver: Chrome) -> list[dict[str, Any]]:
    """Return what the console has been told since the last call: errors, warnings, refused resources."""
    return list(driver.get_log("browser"))
