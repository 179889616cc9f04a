"""The report and the tables opened in a real browser from their file paths; a proxy of our own sees every request."""

import json
import re
import shutil
import socketserver
import subprocess
import threading
from html import unescape
from pathlib import Path

import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.workflow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--no-default-browser-check", "--no-pings"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic"),
    *("--disable-default-apps", "--disable-extensions", "--disable-domain-reliability", "--metrics-recording-only"),
    *("--disable-client-side-phishing-detection", "--safebrowsing-disable-auto-update", "--disable-breakpad"),
    "--disable-features=OptimizationHints,MediaRouter,Translate,AutofillServerCommunication,InterestFeedContentSuggestions",
    *("--proxy-bypass-list=<-loopback>", "--virtual-time-budget=12000"),
)
BROWSERS_OWN = ("update.googleapis.com", "clients2.google.com", "accounts.google.com")
"""What Chromium asks for itself whatever its flags: its clock, its components, who is signed in."""
LOOK_AT_RESULTS = (Path(__file__).parent / "look_at_results.js").read_text()


class Proxy(socketserver.ThreadingTCPServer):
    """Takes down what a browser asks a network for, and answers nothing."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.daemon_threads = True
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Asked(socketserver.StreamRequestHandler):
    """One connection."""

    def handle(self) -> None:
        request = self.rfile.readline(2000).decode(errors="replace").strip()
        if not any(host in request for host in BROWSERS_OWN):
            self.server.requests.append(request)


@pytest.fixture
def proxy():
    server = Proxy()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def dom(tmp_path, proxy):
    """What a page's document holds after its scripts have run; every request to a network ends at `proxy`."""
    if CHROMIUM is None:
        pytest.skip("SKIPPED: no Chromium here: nothing was looked at in a browser (Debian: apt-get install chromium)")

    def open_page(path):
        port = proxy.server_address[1]
        own = (f"--user-data-dir={tmp_path / 'browser'}", f"--proxy-server=http://127.0.0.1:{port}")
        command = [CHROMIUM, *QUIET, *own, "--dump-dom", f"file://{path}"]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=True).stdout

    return open_page


@pytest.fixture(scope="session")
def report(finished):
    """The real report of the finished study."""
    project = finished[0]
    made = project.snakemake("--report", "results/report.html")
    assert made.returncode == 0, made.stdout
    return project.folder / "results/report.html"


def test_the_proxy_sees_a_page_that_asks_for_something(dom, proxy, tmp_path):
    page = '<!doctype html><img src="http://example.test/seen.png"><script>fetch("https://data.test/rows")</script>'
    (tmp_path / "curious.html").write_text(page)
    dom(tmp_path / "curious.html")
    assert any("example.test" in request for request in proxy.requests), proxy.requests
    assert any("data.test:443" in request for request in proxy.requests), proxy.requests


def test_the_reports_own_view_sorts_tables_and_draws_figures_and_asks_no_network(report, dom, proxy, tmp_path):
    before, _, after = report.read_text().rpartition("</body>")
    copy = tmp_path / "looked_at.html"
    copy.write_text(f"{before}<script>{LOOK_AT_RESULTS}</script></body>{after}")
    found = re.search(r"<pre id=\"seen\">(.*?)</pre>", dom(copy), re.DOTALL)
    assert found, "the script that looks at the results did not come to its end"
    seen = json.loads(unescape(found[1]))
    tables = {name: one for name, one in seen.items() if name.endswith(".html")}
    figures = {name: one for name, one in seen.items() if name.endswith((".svg", ".png"))}
    assert any("paper_table_3" in name for name in tables), list(tables)
    for name, table in tables.items():
        assert len(table["before"]) >= 1, name
        assert table["arrow"] == "descending", (name, table)
        assert table["after"] == table["expected"], name
    assert any(table["before"] != table["after"] for table in tables.values())
    assert any("forest_linear" in name for name in figures), list(figures)
    assert all(figure["width"] > 0 and figure["height"] > 0 for figure in figures.values()), figures
    assert proxy.requests == []


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


def test_the_report_shows_its_categories(report, dom, proxy, tmp_path):
    page = dom(report)
    text = re.sub(r"<[^>]+>", " ", page)
    for category in ("0 The paper", "1 Results", "2 Cohort", "3 Pretraining"):
        assert category in text
    for opening in ("The result", "What was run", "Conformance", "Controls", "Limits", "cannot say"):
        assert opening in text
    place = "document.querySelector('#the-result').getBoundingClientRect().top"
    seen = f"setTimeout(() => {{ document.title = 'top ' + {place} }}, 3000)"
    before, _, after = report.read_text().rpartition("</body>")
    (tmp_path / "seen.html").write_text(f"{before}<script>{seen}</script></body>{after}")
    top = re.search(r"<title>top (-?[\d.]+)", dom(tmp_path / "seen.html"))
    assert top, "the result is not on the first page"
    assert float(top[1]) >= 0, "the result lies above the window, where nobody can scroll"
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)=\"https?:", page)
    assert proxy.requests == []
