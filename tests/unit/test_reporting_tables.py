"""Tables as files: csv, Markdown, LaTeX and HTML of one study."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from docutils.core import publish_parts
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined
from typer.testing import CliRunner

from mmsn.reporting.command import app
from mmsn.reporting.layout import Cell, Column, Row, Table, to_html, to_latex, to_markdown
from tests.unit.test_reporting import STRENGTHS, WITHOUT_POSITIVE, fake_study

SYNTHETIC = "Synthetic data & 1 radiograph, not comparable with the published values."
PLACE = ["--protocol", "linear", "--dataset", "mimic-cxr"]
FORMATS = {"csv": "csv", "markdown": "md", "latex": "tex", "html": "html"}


def run(*arguments: object) -> str:
    """Run `mmsn report ...`; returns what it printed."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def outputs(folder: Path, *formats: str) -> list[object]:
    return [word for name in formats for word in (f"--output-{name}", folder / f"table.{FORMATS[name]}")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """summary.parquet and labels.parquet as `report statistics` writes them."""
    place = tmp_path_factory.mktemp("study")
    runs = fake_study(STRENGTHS).write(place)
    settings = json.dumps({"resamples": 60, "seed": 3})
    summary, labels = place / "summary.parquet", place / "labels.parquet"
    run("statistics", "--runs", runs, "--settings", settings, "--output-summary", summary, "--output-labels", labels)
    return place


@pytest.fixture(scope="module")
def results(folder: Path) -> dict[str, str]:
    """The main table of a study on comparable data, by format."""
    return make_table(folder, folder / "comparable")


@pytest.fixture(scope="module")
def synthetic(folder: Path) -> dict[str, str]:
    """The main table of a study on data that are not comparable, by format."""
    return make_table(folder, folder / "synthetic", "--data-note", SYNTHETIC)


def make_table(folder: Path, place: Path, *more: str) -> dict[str, str]:
    run("table", "--summary", folder / "summary.parquet", *PLACE, *outputs(place, *FORMATS), *more)
    return {name: (place / f"table.{suffix}").read_text() for name, suffix in FORMATS.items()}


def read_csv(place: Path) -> pd.DataFrame:
    return pd.read_csv(place / "table.csv", keep_default_na=True).fillna({"feature_set": "", "method": ""})


def test_csv_holds_the_unrounded_numbers_of_the_statistics(folder: Path, results: dict[str, str]) -> None:
    stored = pd.read_parquet(folder / "summary.parquet").set_index(["method", "metric"])
    written = read_csv(folder / "comparable").set_index(["method", "metric"])
    for column in ("value", "lo", "hi", "lo_patient", "p_published", "difference", "p_holm"):
        pd.testing.assert_series_equal(written.loc[stored.index, column], stored[column], rtol=0, atol=0)


def test_published_values_stand_in_the_row_of_their_method(folder: Path, results: dict[str, str]) -> None:
    rows = read_csv(folder / "comparable").set_index(["method", "metric"])
    sex = rows.loc[("msn+ehr.sex", "auroc")]
    assert (sex["published_value"], sex["published_lo"], sex["published_hi"]) == (0.751, 0.748, 0.754)
    assert rows.loc[("msn", "auprc"), "published_value"] == 0.291
    assert rows.loc[("msn+ehr.mort", "auroc"), "published_label_certain"] in (False, "False")
    ours_alone = ["random-init", "msn+g", "msn+ehr.sex.shuffled", "msn+ehr.D & <set>"]
    assert rows.loc[ours_alone, "published_value"].isna().all()


def test_inferred_rows_and_published_marks_are_shown(results: dict[str, str]) -> None:
    row = next(line for line in results["markdown"].splitlines() if line.startswith("| MSN + mort "))
    assert "0.748 (0.744, 0.751)∗‡" in row
    row = next(line for line in results["markdown"].splitlines() if line.startswith("| MSN + sex "))
    assert "**0.751 (0.748, 0.754)**∗ " in row


def test_rows_that_only_the_paper_has_stay_empty_with_the_reason(folder: Path, results: dict[str, str]) -> None:
    rows = read_csv(folder / "comparable")
    alone = rows[rows["missing"] == "not in this study"]
    assert len(alone) == 2 * (17 - 4)  # the study has, or meant to have, MSN, sex, age and mort
    assert alone["value"].isna().all()
    assert "Empty rows: ImageNet, DINO, MAE, MSN + view" in results["markdown"]
    names = list(dict.fromkeys(rows["method_name"]))
    assert names[:6] == ["random-init", "ImageNet", "DINO", "MAE", "MSN", "MSN + sex"]
    assert names[-2:] == ["msn+g", "MSN + sex shuffled"]


def test_a_missing_run_leaves_an_empty_cell_and_the_reason(results: dict[str, str]) -> None:
    row = next(line for line in results["markdown"].splitlines() if line.startswith("| MSN + age "))
    assert row.split("|")[2].strip() == ""
    assert "MSN + age (no predictions)" in results["markdown"]


def test_captions_say_what_a_reader_must_know(results: dict[str, str]) -> None:
    for text in (results["markdown"], results["html"], results["latex"]):
        assert f"{WITHOUT_POSITIVE} (no positive image)" in text
        assert "13 of 14 labels in 150 test images of" in text
        assert "anti-conservative" in text
        assert "3 of MSN + EHR, 2 of the controls, 1 of other baselines" in text


def test_data_that_are_not_comparable_say_so_and_show_only_our_rows(synthetic: dict[str, str]) -> None:
    assert "**Synthetic data \\& 1 radiograph, not" in synthetic["markdown"]
    assert '<p class="note">Synthetic data &amp; 1 radiograph, not' in synthetic["html"]
    assert "\\textbf{Synthetic data \\& 1 radiograph, not" in synthetic["latex"]
    assert "DINO" not in synthetic["csv"]


def test_the_highest_value_of_a_column_is_bold(results: dict[str, str]) -> None:
    values = re.findall(r"^\| [^|]+ \| \**([\d.]+) ", results["markdown"], re.M)
    assert f"| **{max(values)} (" in results["markdown"]
    # Published: sex and D are equal at 0.751.
    assert results["latex"].count("\\textbf{0.751 (0.748, 0.754)}") == 2
    assert results["html"].count("<strong>0.751 (0.748, 0.754)</strong>") == 2


def test_every_format_escapes_what_it_must(results: dict[str, str]) -> None:
    assert "MSN + D \\& \\textless{}set\\textgreater{}" in results["latex"]
    assert "MSN + D &amp; &lt;set&gt;" in results["html"]
    assert "<set>" not in results["html"]
    assert "MSN + D \\& \\<set\\>" in results["markdown"]


def test_the_page_needs_nothing_from_elsewhere(results: dict[str, str]) -> None:
    assert not re.search(r"https?:|src=|href=|@import|url\(", results["html"])
    _Balanced().check(results["html"])


class _Balanced(HTMLParser):
    def check(self, text: str) -> None:
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_latex_is_balanced_and_every_row_has_its_columns(results: dict[str, str]) -> None:
    _check_latex(results["latex"])
    assert results["latex"].count("\\begin{tabular}") == 2  # AUROC above AUPRC


def _check_latex(text: str) -> None:
    bare = re.sub(r"\\[\\{}&%$#_]", "", text)
    assert bare.count("{") == bare.count("}")
    assert bare.count("$") % 2 == 0
    opened: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []
    for columns, body in re.findall(r"\\begin\{tabular\}\{([lr]+)\}(.*?)\\end\{tabular\}", text, re.S):
        rows = [row for row in re.split(r"\\\\\n", body) if "&" in row and "multicolumn" not in row]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {len(columns) - 1}


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="SKIPPED: no pdflatex: LaTeX is only checked for balance")
def test_latex_compiles(results: dict[str, str], tmp_path: Path) -> None:
    import subprocess

    (tmp_path / "table.tex").write_text(results["latex"])
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\\input{table}\\end{document}"
    (tmp_path / "main.tex").write_text(document)
    subprocess.run(["pdflatex", "-halt-on-error", "main.tex"], cwd=tmp_path, check=True, capture_output=True)


def test_the_same_statistics_give_the_same_bytes(folder: Path, results: dict[str, str]) -> None:
    assert make_table(folder, folder / "again") == results


TEXTS = st.text(st.sampled_from("aZ0 \\&%$#_{}~^<>|*`[]'\"∗†‡−–é"), min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(name=TEXTS, header=TEXTS, note=TEXTS)
def test_no_text_can_break_a_format(name: str, header: str, note: str) -> None:
    columns = Column("Method", numeric=False), Column(header)
    table = Table(note, columns, (Row((Cell(name), Cell("1", mark=name, bold=True))),), note, (note,))
    _check_latex(to_latex(table))
    _Balanced().check(to_html([table]))
    rows = [line for line in to_markdown([table]).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {3}


@pytest.fixture(scope="module")
def label_tables(folder: Path) -> dict[str, str]:
    formats = ("csv", "markdown", "html")
    run("labels", "--labels", folder / "labels.parquet", *PLACE, *outputs(folder / "labels", *formats))
    return {name: (folder / "labels" / f"table.{FORMATS[name]}").read_text() for name in formats}


def test_per_label_tables_show_auroc_auprc_and_the_difference(label_tables: dict[str, str]) -> None:
    titles = re.findall(r"^### (.*?)\.", label_tables["markdown"], re.M)
    p_title = "p of the AUROC difference to MSN by label"
    assert titles == ["AUROC by label", "AUPRC by label", "AUROC minus that of MSN by label", p_title]
    row = next(line for line in label_tables["markdown"].splitlines() if line.startswith(f"| {WITHOUT_POSITIVE}"))
    assert [cell.strip() for cell in row.split("|")[2:5]] == ["0", row.split("|")[3].strip(), ""]
    assert f"Without a value: {WITHOUT_POSITIVE} (no positive image)." in label_tables["html"]
    assert "rgba(" in label_tables["html"]
    p_table = label_tables["markdown"].partition(p_title)[2]
    assert re.search(r"\| (\*\*)?(<0\.001|\\<0\.001|[01]\.\d{3})(\*\*)?§? \|", p_table)
    assert "DeLong with patients as clusters" in p_table
    _Balanced().check(label_tables["html"])


def test_the_cohort_is_shown_beside_the_published_counts(tmp_path: Path) -> None:
    steps = [
        {"step": "images in the metadata", "count": 377_111, "published": 377_110, "difference": 1},
        {"step": "the cohort: train", "count": 5, "published": None, "difference": None},
    ]
    variables = {"sex": {"known": 4, "unknown": 1, "values": {"F": 3, "M": 1}}}
    flow = {"parts_at": "images in the metadata", "steps": steps, "variables": variables}
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    run("cohort", "--flow", tmp_path / "flow.json", *outputs(tmp_path, "csv", "markdown", "html"))
    assert (tmp_path / "table.csv").read_text().splitlines()[1:] == [
        "images in the metadata,377111,377110,1",
        "the cohort: train,5,,",
    ]
    text = (tmp_path / "table.md").read_text()
    assert "| images in the metadata | 377,111 | 377,110 | **+1** |" in text
    assert "| the cohort: train | 5 |  |  |" in text
    assert "1 of 1 counts differ from the published ones, first 'images in the metadata': 377,111 here" in text
    assert "| sex | 4 | 1 | F 3, M 1 |" in text


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["table", "--summary", "absent.parquet", *PLACE, *outputs(Path("x"), *FORMATS)],
            "absent.parquet does not exist",
        ),
        (
            [
                "statistics",
                "--runs",
                "[]",
                "--output-summary",
                "x",
                "--output-labels",
                "y",
                "--settings",
                '{"seeds": 1}',
            ],
            "seeds: unknown key; did you mean seed?",
        ),
    ],
)
def test_errors_are_one_line(arguments: list[object], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2
    printed = result.output + capsys.readouterr().err
    assert complaint in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("note", ["", "Synthetic data,\nnot comparable."])
def test_report_captions_are_sound_and_carry_the_note(note: str) -> None:
    root = Path(__file__).parents[2]
    captions = sorted((root / "workflow/report").glob("*.rst"))
    rules = "".join(path.read_text() for path in sorted((root / "rules").glob("*.smk")))
    used = re.findall(r'caption="[^"]*/([\w.]+)"', rules)
    assert {caption.name for caption in captions} == {"workflow.rst"} | {Path(name).name for name in used}
    config = {"note": note, "name": "Demo"}
    for caption in captions:
        template = Environment(undefined=StrictUndefined).from_string(caption.read_text())
        params = SimpleNamespace(head="Nothing was trained on this data set.")
        text = template.render(snakemake=SimpleNamespace(config=config, params=params))
        html = publish_parts(text, writer="html", settings_overrides={"halt_level": 2})["html_body"]
        assert ("not comparable" in html) == bool(note)
