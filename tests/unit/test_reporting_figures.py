"""Figures as files: text stays text, the same numbers give the same bytes, nothing shown that misleads."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from mmsn.errors import UserError
from mmsn.files import write_table
from mmsn.reporting.history import draw_history, history_frame, legend_names
from mmsn.reporting.runs import HistoryDescription
from tests.unit.test_reporting import FEW, STRENGTHS, fake_study
from tests.unit.test_reporting_tables import PLACE, SYNTHETIC, run

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figures") / "summary.parquet"
    write_table(path, fake_study(STRENGTHS).summarise(FEW).summary)
    return path


def forest(summary: Path, place: Path, *more: str) -> tuple[str, bytes]:
    files = ["--output-svg", place / "forest.svg", "--output-png", place / "forest.png"]
    run("forest", "--summary", summary, *PLACE, *files, *more)
    return (place / "forest.svg").read_text(), (place / "forest.png").read_bytes()


def test_a_forest_plot_is_text_and_bytes_that_repeat(summary: Path, tmp_path: Path) -> None:
    svg, png = forest(summary, tmp_path / "one")
    assert (svg, png) == forest(summary, tmp_path / "two")
    assert png.startswith(PNG_SIGNATURE)
    for text in ("MSN + sex</text>", "MSN + D &amp; &lt;set&gt;", "no predictions", "macro AUROC"):
        assert text in svg
    assert "font-family: 'DejaVu Sans', 'Arial'" in svg
    assert "dc:date" not in svg


def test_published_values_are_drawn_only_where_they_compare(summary: Path, tmp_path: Path) -> None:
    comparable, _ = forest(summary, tmp_path / "comparable")
    synthetic, _ = forest(summary, tmp_path / "synthetic", "--data-note", SYNTHETIC)
    other, _ = forest(summary, tmp_path / "other", "--dataset", "open-cxr", "--metric", "auprc")
    assert "published value</text>" in comparable
    assert "published value</text>" not in synthetic
    assert "published value</text>" not in other
    assert "macro AUPRC" in other
    assert "Synthetic data &amp; 1 radiograph" in synthetic


def history_table(epochs: int = 4, **columns: float) -> pa.Table:
    epoch = np.repeat(np.arange(epochs), 2)
    return pa.table({"epoch": epoch, **{name: np.full(len(epoch), value) for name, value in columns.items()}})


def test_histories_are_drawn_the_same_every_time(tmp_path: Path) -> None:
    runs = []
    for seed in (0, 1):
        path = tmp_path / f"history{seed}.parquet"
        write_table(path, history_table(loss=1.0 + seed, target_entropy=2.0, rankme=9.0))
        runs.append({"id": f"vit-small/msn/seed{seed}", "name": "MSN", "history": str(path)})
    files = [["--output-svg", tmp_path / f"{name}.svg", "--output-png", tmp_path / f"{name}.png"] for name in "ab"]
    for outputs in files:
        run("history", "--runs", json.dumps(runs), *outputs)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert "MSN (vit-small/msn/seed1)" in (tmp_path / "a.svg").read_text()


def test_a_panel_is_drawn_only_for_what_some_run_has() -> None:
    missing = history_table(loss=1.0, used_prototypes=float("nan"))
    curves = {
        "MAE": history_frame(missing, "history.parquet"),
        "MSN": history_frame(history_table(loss=2.0, rankme=3.0), "history.parquet"),
    }
    titles = [axes.get_title() for axes in draw_history(curves).axes]
    assert titles == ["loss", "RankMe"]


def test_several_rows_of_an_epoch_are_averaged() -> None:
    table = pa.table({"epoch": [0, 0, 1], "loss": [1.0, 3.0, 5.0]})
    expected = pd.Series([2.0, 5.0], index=pd.Index([0, 1], name="epoch"), name="loss")
    pd.testing.assert_series_equal(history_frame(table, "history.parquet")["loss"], expected)


@pytest.mark.parametrize("table", [pa.table({"epoch": [0]}), pa.table({"loss": [1.0]}), history_table(0, loss=1.0)])
def test_a_history_without_anything_to_draw_is_refused(table: pa.Table) -> None:
    with pytest.raises(UserError, match=r"history\.parquet: no rows, no column 'epoch', or none of loss"):
        history_frame(table, "history.parquet")


def test_a_name_of_one_run_stays_short() -> None:
    runs = [HistoryDescription(id=f"{name}/seed0", name=name, history=Path("h")) for name in ("MSN", "MAE")]
    assert list(legend_names(runs)) == ["MSN", "MAE"]
