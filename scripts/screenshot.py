"""Takes a picture of a page of ``bfimna wave --html`` in a browser without a window (Chromium or Chrome).

bfimna wave op ADD --html add.html
python scripts/screenshot.py add.html docs/figures/passes.png --pass 7
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from sim.errors import UserError
from sim.files import check_output, write_output
from sim.tools import ToolError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SECONDS = 60


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("page", type=Path, help="the page")
    parser.add_argument("picture", help="the PNG to write")
    parser.add_argument("--pass", dest="at", type=int, default=1, metavar="N", help="pass to show (default: 1)")
    parser.add_argument("--size", default="1200,1010", help="width and height in pixels (default: 1200,1010)")
    arguments = parser.parse_args()
    try:
        check_output(arguments.picture, "picture")
        if not arguments.page.is_file():
            raise UserError(f"page {arguments.page} does not exist")
        write_output(arguments.picture, screenshot(arguments.page, arguments.at, arguments.size), "picture")
    except UserError as error:
        parser.error(str(error))
    print(arguments.picture)
    return 0


def screenshot(page: Path, at: int, size: str) -> bytes:
    """Return the page at a pass as PNG of few colours, so that it is small."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        raise ToolError(f'a screenshot needs a browser, one of {", ".join(BROWSERS)}: install the package "chromium"')
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "page.png"
        subprocess.run(
            [
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--force-device-scale-factor=1", f"--user-data-dir={folder}/profile", f"--window-size={size}",
                f"--screenshot={target}", f"{page.resolve().as_uri()}#pass={at}",
            ],
            check=False, capture_output=True, timeout=SECONDS,
        )  # fmt: skip
        if not target.is_file():
            raise ToolError(f"{browser} must write a screenshot of {page}, it wrote none")
        content = io.BytesIO()
        with Image.open(target) as image:
            image.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(content, format="PNG", optimize=True)
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
