"""The report and the tables opened in a real browser from their file paths, without a network."""

import re
import shutil
import subprocess

import pytest

pytestmark = pytest.mark.workflow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-quic", "--virtual-time-budget=8000"),
)


@pytest.fixture
def dom(tmp_path):
    """What a page's document holds after its scripts have run; every request to a network fails."""
    if CHROMIUM is None:
        pytest.skip("SKIPPED: no Chromium here: nothing was looked at in a browser (Debian: apt-get install chromium)")

    def open_page(path):
        offline = f"--user-data-dir={tmp_path / 'browser'} --proxy-server=127.0.0.1:9 --dump-dom file://{path}"
        command = [CHROMIUM, *QUIET, *offline.split()]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout

    return open_page


def test_the_tables_are_there_and_sortable(finished, dom):
    page = dom(finished[0].folder / "results/tables/linear_mimic-cxr_vit-ci.html")
    text = re.sub(r"<[^>]+>", " ", page)
    for expected in ("MSN", "AUROC", "Synthetic phantoms", "sex"):
        assert expected in text
    assert page.count("<tr") >= 3
    assert "<script" in page


def test_pages_ask_for_nothing_outside_themselves(finished):
    for page in (finished[0].folder / "results/tables").glob("*.html"):
        assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]+", page.read_text()), page


def test_the_report_shows_its_categories(finished, dom):
    project = finished[0]
    made = project.snakemake("--report", "results/report.html")
    assert made.returncode == 0, made.stdout
    text = re.sub(r"<[^>]+>", " ", dom(project.folder / "results/report.html"))
    for category in ("1 Results", "2 Cohort", "3 Pretraining"):
        assert category in text
