"""The report and the tables opened in a real browser from their file paths, without a network."""

import re
import shutil
import subprocess

import pyarrow.parquet as pq
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


@pytest.mark.parametrize("name", ["paper_table_3", "paper_table_4", "claims"])
def test_a_click_on_a_heading_sorts_the_papers_tables(finished, dom, tmp_path, name):
    page = (finished[0].folder / f"results/tables/{name}.html").read_text()
    click = "<script>document.querySelector('th button').click()</script></body>"
    (tmp_path / "clicked.html").write_text(page.replace("</body>", click))
    table = re.search(r"<table.*?</table>", dom(tmp_path / "clicked.html"), re.DOTALL)[0]
    assert 'class="sorted"' in table
    assert 'aria-sort="descending"' in table
    names = [re.sub(r"<[^>]+>", "", cell) for cell in re.findall(r"<th scope=\"row\".*?</th>", table, re.DOTALL)]
    assert len(names) > 3
    assert [name.lower() for name in names] == sorted((name.lower() for name in names), reverse=True)


def test_nothing_that_is_shown_names_a_patient_or_an_image(finished):
    results = finished[0].folder / "results"
    images = pq.read_table(results / "cohort/mimic-cxr/images.parquet", columns=["dicom_id", "subject_id"])
    ids = [str(value) for column in images.columns for value in column.unique().to_pylist()]
    shown = [*(results / "tables").glob("*"), *(results / "figures").glob("*.svg"), results / "opening.rst"]
    for file in shown:
        words = set(re.findall(r"[\w-]+", file.read_text()))
        assert not words & set(ids), file


def test_pages_ask_for_nothing_outside_themselves(finished):
    for page in (finished[0].folder / "results/tables").glob("*.html"):
        assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]+", page.read_text()), page


def test_the_report_shows_its_categories(finished, dom):
    project = finished[0]
    made = project.snakemake("--report", "results/report.html")
    assert made.returncode == 0, made.stdout
    page = dom(project.folder / "results/report.html")
    text = re.sub(r"<[^>]+>", " ", page)
    for category in ("0 The paper", "1 Results", "2 Cohort", "3 Pretraining"):
        assert category in text
    for opening in ("The result", "What was run", "Conformance", "Controls", "Limits", "cannot say"):
        assert opening in text
    place = "document.querySelector('#the-result').getBoundingClientRect().top"
    seen = f"setTimeout(() => {{ document.title = 'top ' + {place} }}, 3000)"
    before, _, after = (project.folder / "results/report.html").read_text().rpartition("</body>")
    (project.folder / "results/seen.html").write_text(f"{before}<script>{seen}</script></body>{after}")
    top = re.search(r"<title>top (-?[\d.]+)", dom(project.folder / "results/seen.html"))
    assert top, "the result is not on the first page"
    assert float(top[1]) >= 0, "the result lies above the window, where nobody can scroll"
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"https?:", page)
