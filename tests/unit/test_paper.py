"""The paper's tables filled from a study: layout, published values beside, reasons in empty cells."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mmsn.methods import Method
from mmsn.paper.cells import fill, parts
from mmsn.paper.command import app
from mmsn.paper.counts import feature_sets, split_sizes
from mmsn.paper.definitions import Block, PaperTable
from mmsn.paper.ids import TABLE_IDS
from mmsn.paper.layout import lay_out
from mmsn.paper.reasons import why_empty
from mmsn.paper.tables import fill_tables
from mmsn.reporting.published import published
from mmsn.reporting.schemas import METRICS
from mmsn.study import Study
from tests.unit.paper_parts import BY_ID, GAINS, NOTHING, a_study, cells_of, measured


@pytest.fixture(scope="module")
def study() -> Study:
    return a_study()


def test_every_table_of_the_paper_is_made_in_its_order(study: Study) -> None:
    assert tuple(filled.id for filled in fill_tables(study, NOTHING)) == TABLE_IDS


def test_every_published_number_stands_in_exactly_one_cell(study: Study) -> None:
    cells = pd.concat([filled.numbers for filled in fill_tables(study, NOTHING) if filled.id not in "12"])
    shown = cells.dropna(subset=["published"])
    assert len(shown) == 2 * len(published()) == 492
    key = ["table", "backbone_name", "dataset", "train_fraction", "pretraining", "feature_set"]
    ours = shown[shown["metric"] == "auprc"].set_index(key)["published"].sort_index()
    theirs = published().rename(columns={"backbone": "backbone_name"}).set_index(key)["auprc"].sort_index()
    assert ours.tolist() == theirs.tolist()


def test_rows_stand_in_the_papers_order_and_what_the_paper_lacks_below(study: Study) -> None:
    found = measured(study, {"msn": 0.0, "msn+g": 0.01, "msn+ehr.sex": 0.02, "msn+ehr.sex.shuffled": 0.0})
    rows = cells_of("3", study, found).drop_duplicates("method")
    assert rows["row"].tolist()[:5] == ["ImageNet", "DINO", "MAE", "MSN", "MSN + sex"]
    assert rows["row"].tolist()[-2:] == ["MSN + g (no EHR)", "MSN + sex (shuffled)"]
    assert rows["in_paper"].sum() == 17


def test_difference_is_ours_minus_the_published_and_intervals_are_compared(study: Study) -> None:
    cells = cells_of("3", study, measured(study, {"msn": 0.03, "msn+ehr.sex": 0.0}))
    auroc = cells[cells["metric"] == "auroc"].set_index("row")
    assert auroc.loc["MSN", "difference"] == pytest.approx(auroc.loc["MSN", "value"] - 0.731)
    assert auroc.loc["MSN", "intervals"] == "overlap"  # 0.72 to 0.74 and 0.727 to 0.734
    assert auroc.loc["MSN + sex", "intervals"] == "apart"  # 0.69 to 0.71 and 0.748 to 0.754


@given(st.floats(0.5, 0.9), st.floats(0, 0.2), st.floats(0.5, 0.9), st.floats(0, 0.2))
def test_intervals_overlap_exactly_if_some_value_lies_in_both(a: float, b: float, c: float, d: float) -> None:
    from mmsn.paper.cells import _beside

    cell = {"value": a, "lo": a, "hi": a + b, "published": c, "published_lo": c, "published_hi": c + d}
    both = max(a, c) <= min(a + b, c + d)
    assert _beside(cell, comparable=True)["intervals"] == ("overlap" if both else "apart")


def test_data_that_are_not_the_papers_get_no_difference() -> None:
    synthetic = a_study(note="Synthetic phantoms.")
    cells = cells_of("3", synthetic, measured(synthetic, {"msn": 0.0}))
    assert cells["difference"].isna().all()
    assert cells["published"].notna().any()


def test_another_backbone_fills_the_layout_without_published_values() -> None:
    demo = a_study("demo.yaml")
    table = BY_ID["3"]
    (own,) = parts(table, demo)
    cells = fill(table, own, demo, measured(demo, {"msn": 0.0}, "vit-demo"))
    assert cells["published"].isna().all()
    shown = lay_out(table, cells, own, NOTHING, demo.note)
    assert any("no backbone of the paper" in sentence for sentence in shown.caption)
    assert [column.header for column in shown.columns] == ["Pretraining", "this study", "this study"]


def test_a_study_with_one_of_the_papers_backbones_leaves_the_others_tables_empty() -> None:
    small = a_study(runs={"backbones": ["vit-small"], "methods": ["msn", "msn+ehr(sex)"]})
    cells = cells_of("C1", small, NOTHING)
    assert set(cells["reason"]) == {"vit-tiny is not in runs.backbones"}
    assert cells["published"].notna().all()


@pytest.mark.parametrize(
    ("method", "block", "changes", "reason"),
    [
        ("dino", Block("linear", "mimic-cxr"), {}, "not in runs.methods"),
        ("imagenet", Block("linear", "mimic-cxr"), {}, "which needs backbones.<name>.imagenet"),
        ("msn", Block("linear", "chexpert"), {}, "data.chexpert is not set"),
        ("msn", Block("finetune", "mimic-cxr", 0.05), {"low_data": {"protocols": []}}, "low_data.protocols is []"),
        (
            "msn",
            Block("finetune", "mimic-cxr", 0.05),
            {"low_data": {"shares": [0.1]}},
            "0.05 is not in low_data.shares",
        ),
        ("msn", Block("finetune", "mimic-cxr"), {"finetune": {"methods": []}}, "finetune.methods is []"),
        ("msn", Block("linear", "mimic-cxr"), {}, "no predictions"),
    ],
)
def test_an_empty_cell_names_the_key_to_change(
    method: str, block: Block, changes: dict[str, object], reason: str
) -> None:
    small = a_study(runs={"backbones": ["vit-small"], "methods": ["msn", "msn+ehr(sex)"]}, **changes)
    assert reason in why_empty(small, "vit-small", Method(method), block)


def test_published_sizes_and_dimensions_are_the_specifications(study: Study) -> None:
    sizes = split_sizes(study, NOTHING).set_index(["dataset", "split"])["published"]
    assert sizes["mimic-cxr"].tolist() == [325_188, 15_282, 36_625]
    assert sizes["nih-14", "train"] + sizes["nih-14", "validate"] == 36_024
    sets = feature_sets(study)
    assert (sets["difference"] == 0).all()
    assert sets["published"].sum() == 2 + 1 + 4 + 2 + 2 + 2 + 3 + 6 + 4 + 9 + 7 + 10 + 13


def test_data_that_are_said_to_be_synthetic_are_not_set_beside_the_papers(study: Study) -> None:
    found = measured(study, GAINS)
    flows = {**found.flows, "mimic-cxr": {**found.flows.get("mimic-cxr", {}), "synthetic": True}}
    synthetic = replace(found, flows=flows)
    tables = {filled.id: filled for filled in fill_tables(study.model_copy(update={"note": ""}), synthetic)}
    assert tables["3"].numbers["difference"].isna().all()
    assert tables["1"].numbers["difference"].isna().all()
    assert all(shown.note == "The data are synthetic." for shown in tables["3"].shown)


def test_a_paper_table_is_a_value() -> None:
    assert isinstance(BY_ID["C2"], PaperTable)
    assert [row.method.id for row in BY_ID["C2"].rows] == ["random-init", "imagenet"] * 2


def test_supervised_baselines_are_the_fine_tuning_of_random_and_imagenet_weights(study: Study) -> None:
    place = "finetune", "mimic-cxr", "vit-small"
    row = {"lo": 0.7, "hi": 0.8, "mark": "", "seeds": 1, "missing": ""}
    values = {
        (place, 1.0, method, metric): row | {"value": value}
        for metric in METRICS
        for method, value in {"random-init": 0.71, "imagenet": 0.75, "supervised": 0.9}.items()
    }
    cells = cells_of("C2", study, replace(NOTHING, values=values))
    shown = cells[(cells["backbone_name"] == "ViT-S") & (cells["metric"] == "auroc")].set_index("pretraining")
    assert shown["value"].to_dict() == {"Supervised-Random": 0.71, "Supervised-ImageNet": 0.75}
    assert "fine-tuning protocol's of random-init and imagenet" in BY_ID["C2"].remark


@pytest.mark.parametrize(
    ("methods", "finetuned", "reasons"),
    [
        (
            ["msn"],
            "published",
            [
                "random-init is not in runs.methods and finetune.methods",
                "imagenet is not in runs.methods and finetune.methods, which needs backbones.<name>.imagenet",
            ],
        ),
        (["msn", "random-init"], "published", ["random-init is not in finetune.methods"]),
        (["msn", "random-init"], ["random-init"], ["no predictions"]),
    ],
)
def test_what_supervised_baselines_lack_names_both_keys(
    methods: list[str], finetuned: object, reasons: list[str]
) -> None:
    runs = {"backbones": ["vit-small"], "methods": methods}
    small = a_study(runs=runs, finetune={"methods": finetuned}, feature_sets={}, figures={})
    cells = cells_of("C2", small, NOTHING)
    own = cells[cells["backbone_name"] == "ViT-S"]
    assert own["reason"].unique().tolist()[: len(reasons)] == reasons


def test_the_verb_writes_every_form_even_when_nothing_was_measured(tmp_path: Path) -> None:
    from mmsn.study_command import resolved_yaml

    (tmp_path / "study.yaml").write_text(resolved_yaml(a_study()))
    given_files = ["--study", str(tmp_path / "study.yaml"), "--output-folder", str(tmp_path / "tables")]
    done = CliRunner().invoke(app, ["tables", *given_files, "--inputs", json.dumps({})])
    assert done.exit_code == 0, done.output
    stems = ["claims", *(f"paper_table_{name}" for name in TABLE_IDS)]
    for stem in stems:
        for kind in ("csv", "md", "tex", "html"):
            assert (tmp_path / f"tables/{stem}.{kind}").stat().st_size > 100
    latex = (tmp_path / "tables/paper_table_3.tex").read_text()
    assert r"\toprule" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == 2
    assert r"a not in runs.methods, which needs backbones" in latex


def test_damaged_inputs_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("name: x\n")
    common = ["tables", "--study", str(tmp_path / "study.yaml"), "--output-folder", str(tmp_path)]
    done = CliRunner().invoke(app, [*common, "--inputs", '{"statistic": []}'])
    assert done.exit_code == 2
    absent = CliRunner().invoke(app, [*common[:2], str(tmp_path / "none.yaml"), *common[3:], "--inputs", "{}"])
    assert absent.exit_code == 2
    assert "none.yaml does not exist" in absent.output
