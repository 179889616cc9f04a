"""The paper's tables filled from a study: layout, published values beside, reasons in empty cells, claims judged."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from docutils.core import publish_parts
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from mmsn.files import write_table
from mmsn.methods import Method, method_from_id
from mmsn.paper.cells import fill, parts
from mmsn.paper.claims import CLAIMS, judge_claims, other_data
from mmsn.paper.claims_table import claims_tables
from mmsn.paper.command import app
from mmsn.paper.contrasts import Effect, Model, effect, models_of_subsets, same_seeds
from mmsn.paper.counts import feature_sets, split_sizes
from mmsn.paper.definitions import TABLES, Block, PaperTable
from mmsn.paper.ids import TABLE_IDS
from mmsn.paper.layout import lay_out
from mmsn.paper.opening import opening
from mmsn.paper.paper_says import paper_says
from mmsn.paper.reasons import why_empty
from mmsn.paper.record import Record, read_record
from mmsn.paper.sources import Judged, Measured
from mmsn.paper.tables import fill_tables
from mmsn.paper.verdicts import MARGIN, WORDS, Evidence, judge, of_the_paper
from mmsn.reporting.published import published
from mmsn.reporting.schemas import METRICS, Facts
from mmsn.statistics.tests import holm
from mmsn.study import Study, load_study
from mmsn.study_command import merged
from mmsn.titles import title
from mmsn.training.settings import ImagenetWeights

ROOT = Path(__file__).parents[2]
RESAMPLES = 400
FACTS = Facts(1000, 300, 14, {}, RESAMPLES, 0.95, 0, "msn", "abc")
NOTHING = Measured({}, {}, {}, {})
BY_ID = {table.id: table for table in TABLES}


def a_study(*overlays: str, **changes: object) -> Study:
    config = merged([ROOT / "config.yaml", *(ROOT / "workflow/configs" / name for name in overlays)])
    return load_study(config | changes)


@pytest.fixture(scope="module")
def study() -> Study:
    return a_study()


def measured(study: Study, gains: dict[str, float], backbone: str = "vit-small", seeds: int = 1) -> Measured:
    """Macro metrics of methods that lie `gains` above 0.7, each with noise of its own over resamples and seeds."""
    rng = np.random.default_rng(5)
    shared, rows, replicates = rng.normal(0, 0.004, RESAMPLES), [], {}
    for identifier, gain in gains.items():
        method = method_from_id(identifier)
        for metric in METRICS:
            own = 0.7 + gain + rng.normal(0, 0.0005, seeds)
            names = [f"{backbone}/{identifier}/seed{seed}" for seed in range(seeds)]
            entries = list(zip(names, range(seeds), own, strict=True))
            if seeds > 1:
                entries.append((f"{backbone}/{identifier}/mean", None, own.mean()))
            for name, seed, value in entries:
                resampled = value + shared + rng.normal(0, 0.001, RESAMPLES)
                replicates[name, metric] = resampled
                rows.append(
                    {
                        "run": name,
                        "method": identifier,
                        "method_name": title(method),
                        "published": None,
                        "feature_set": method.feature_set,
                        "family": "ehr" if method.feature_set and not method.control else "other",
                        "seed": seed,
                        "seeds": seeds if seed is None else 1,
                        "metric": metric,
                        "value": value,
                        "lo": value - 0.01,
                        "hi": value + 0.01,
                        "mark": "",
                        "difference": gain,
                        "p_holm": 0.001 if gain > 0.005 else 0.9,
                        "missing": "",
                    }
                )
    frame = pd.DataFrame(rows).astype({"seed": "Int64"})
    place = "linear", "mimic-cxr", backbone
    shown = frame[frame["seeds"] == (seeds if seeds > 1 else 1)].to_dict("records")
    values = {(place, 1.0, row["method"], row["metric"]): row for row in shown}
    return Measured({place: Judged(frame, FACTS, replicates)}, values, {}, {})


def cells_of(table: str, study: Study, found: Measured) -> pd.DataFrame:
    own = parts(BY_ID[table], study)[0]
    return fill(BY_ID[table], own, study, found)


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


def test_effects_are_differences_of_means_on_the_same_resamples() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 1, RESAMPLES)  # what all models share cancels
    ours = [Model("a", 0.8, {0: 0.8}, 0.8 + shared), Model("b", 0.7, {0: 0.7}, 0.7 + shared)]
    found = effect(ours, [Model("c", 0.6, {0: 0.6}, 0.6 + shared)], 0.95)
    assert found.difference == pytest.approx(0.15)
    assert (found.lo, found.hi) == pytest.approx((0.15, 0.15))
    assert found.p == pytest.approx(2 / (RESAMPLES + 1))
    assert found.seeds == 1
    assert np.isnan(found.p_seeds)


def test_models_of_other_seeds_are_not_compared() -> None:
    one, other = Model("a", 0.8, {0: 0.8}, np.ones(3)), Model("b", 0.7, {1: 0.7}, np.ones(3))
    assert same_seeds([one, one])
    assert not same_seeds([one, other])


def test_means_over_random_subsets_are_models_like_others() -> None:
    row = {"method": "msn", "method_name": "MSN", "share": 0.01, "metric": "auroc", "seeds": [0, 1]}
    rows = [row | {"values": [0.6, 0.7], "of_patients": [0.64, 0.66]}]
    model = models_of_subsets(rows, 0.01, "auroc")["msn"]
    assert (model.value, model.by_seed) == (pytest.approx(0.65), {0: 0.6, 1: 0.7})
    assert models_of_subsets(rows, 0.05, "auroc") == {}


def evidence(
    difference: float, half: float = 0.001, p: float = 0.01, seeds: int = 3, p_seeds: float = 0.01
) -> Evidence:
    bounds = difference - half, difference + half
    return Evidence("something", Effect(difference, *bounds, p, seeds, p_seeds, *bounds), p)


ABSENT = Evidence("shuffled EHR", None, missing="shuffled EHR missing: not in runs.methods")


@pytest.mark.parametrize(
    ("reference", "controls", "expected"),
    [
        (evidence(0.01), [evidence(0.01)] * 3, "supported"),
        (evidence(0.01), [evidence(0.01), evidence(0.0)], "not supported: not better than something"),
        (evidence(0.01), [evidence(0.01), evidence(-0.01)], "not supported: not better than something"),
        (evidence(0.01), [evidence(0.01), ABSENT], "cannot say: control missing (shuffled EHR)"),
        (evidence(0.01), [evidence(0.0), ABSENT], "not supported: not better than something"),
        (evidence(0.01, seeds=1), [evidence(0.01, seeds=1)], "cannot say: too few seeds (1, at least 3 are needed)"),
        (evidence(0.01, p_seeds=0.2), [evidence(0.01)], "cannot say: over seeds p is 0.200"),
        (evidence(0.0), [evidence(0.01)], "cannot say: the interval includes 0"),
        (evidence(0.01, p=0.08), [evidence(0.01)], "cannot say: p (Holm) is not below 0.05"),
        (evidence(-0.01), [evidence(-0.01)], "contradicted"),
        (evidence(-0.01, seeds=2), [], "cannot say: too few seeds (2, at least 3 are needed)"),
        (Evidence("MSN", None, missing="MSN missing"), [evidence(0.01)], "cannot say: MSN missing"),
    ],
)
def test_a_gain_is_the_records_only_if_it_beats_reference_and_controls_over_seeds(
    reference: Evidence, controls: list[Evidence], expected: str
) -> None:
    assert str(judge("gain", reference, controls)) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (evidence(0.0), "supported"),
        (evidence(-0.02), "supported: EHR does worse"),
        (evidence(0.002, half=0.001, p=0.01), "supported"),  # clear, and smaller than the margin
        (evidence(0.02), "contradicted"),
        (evidence(0.0, half=0.02, p=0.9), f"cannot say: the interval reaches beyond +{MARGIN:g}"),
        (evidence(0.0, seeds=1), "cannot say: too few seeds (1, at least 3 are needed)"),
    ],
)
def test_no_gain_needs_an_interval_that_ends_below_the_margin(reference: Evidence, expected: str) -> None:
    assert str(judge("no gain", reference)) == expected


@given(
    st.sampled_from(["gain", "comparison", "no gain"]),
    st.floats(-0.05, 0.05),
    st.floats(0, 0.03),
    st.floats(0, 1),
    st.integers(1, 5),
    st.floats(0, 1),
)
def test_verdicts_are_four_words_and_decisions_need_seeds(kind, difference, half, p, seeds, p_seeds) -> None:
    verdict = judge(kind, evidence(difference, half, p, seeds, p_seeds))
    assert verdict.word in WORDS
    assert bool(verdict.why) == (verdict.word == "cannot say" or verdict.why == "EHR does worse")
    if seeds < 3:
        assert verdict.word == "cannot say"


GAINS = {
    "msn": 0.0,
    "msn+g": 0.0,
    "msn+ehr.sex": 0.02,
    "msn+ehr.D": 0.02,
    "msn+ehr.sex.shuffled": 0.0,
    "msn+ehr.sex.constant": 0.0,
}


def verdict_of(claim: str, study: Study, found: Measured, backbone: str = "vit-small") -> str:
    return next(
        str(one.verdict)
        for one in judge_claims(study, found)
        if (one.claim.id, one.backbone) == (claim, backbone) and one.block.dataset == "mimic-cxr"
    )


def test_a_true_gain_over_everything_is_supported_with_three_seeds_and_not_with_one(study: Study) -> None:
    assert verdict_of("EHR helps", study, measured(study, GAINS, seeds=3)) == "supported"
    assert "too few seeds" in verdict_of("EHR helps", study, measured(study, GAINS, seeds=1))


def test_a_gain_that_a_shuffled_record_gives_as_well_is_not_the_records(study: Study) -> None:
    found = measured(study, GAINS | {"msn+ehr.sex.shuffled": 0.02}, seeds=3)
    assert verdict_of("EHR helps", study, found) == "not supported: not better than MSN + sex (shuffled)"


def test_a_control_is_compared_with_its_own_feature_set_alone(study: Study) -> None:
    found = measured(study, GAINS | {"msn+ehr.D": 0.2})
    (main,) = [one for one in judge_claims(study, found) if (one.claim.id, one.backbone) == ("EHR helps", "vit-small")]
    shuffled = next(one for one in main.evidence if "shuffled" in one.against)
    assert shuffled.compared == "MSN + sex"
    assert shuffled.effect is not None
    assert shuffled.effect.difference == pytest.approx(0.02, abs=0.003)
    known = [one.effect.p for one in main.evidence if one.effect]
    assert [one.p_holm for one in main.evidence] == pytest.approx(holm(known).tolist())


def test_single_sets_are_compared_with_combinations(study: Study) -> None:
    found = measured(study, {"msn+ehr.sex": 0.01, "msn+ehr.age": 0.01, "msn+ehr.D": 0.05, "msn": 0.0}, seeds=3)
    assert verdict_of("single beats combined", study, found) == "contradicted"


def test_synthetic_data_say_nothing_of_the_papers_claim(study: Study) -> None:
    synthetic = a_study(note="Synthetic phantoms.")
    found = measured(synthetic, GAINS, seeds=3)
    assert verdict_of("EHR helps", synthetic, found) == "cannot say: the data are synthetic"
    flows = {"mimic-cxr": {"synthetic": True}}
    assert other_data(study, Measured({}, {}, {}, flows)) == "the data are synthetic"
    assert other_data(study, NOTHING) == ""
    supported = judge("gain", evidence(0.01))
    assert of_the_paper(supported, "") == supported


def test_a_claim_without_runs_says_which_key_would_bring_them(study: Study) -> None:
    assert all(one.here.word == "cannot say" for one in judge_claims(study, NOTHING))
    external = next(one for one in judge_claims(study, NOTHING) if one.block.dataset == "nih-14")
    assert str(external.here) == "cannot say: MSN missing: data.nih_14 is not set"


def test_the_papers_own_numbers_stand_beside_each_claim() -> None:
    assert paper_says("gain", Block("linear", "mimic-cxr"), "ViT-S").startswith("MSN 0.731, with EHR 0.739 to 0.751")
    assert "13 of 13 marked" in paper_says("gain", Block("linear", "mimic-cxr"), "ViT-T")
    both = paper_says("comparison", Block("linear", "mimic-cxr"), "ViT-demo")
    assert both.startswith("ViT-S: single 0.748, combined 0.745")
    assert "; ViT-T: " in both
    assert paper_says("no gain", Block("finetune", "mimic-cxr"), "ViT-S") == "no number"


@pytest.fixture(scope="module")
def page(study: Study) -> str:
    record = Record({"torch": "9.9"}, "a machine", {"a GPU": 4}, ("9.9",), ("abc",), {"pretrain": 1.25})
    found = measured(study, GAINS)
    return opening(study, found, judge_claims(study, found), record)


def test_the_opening_is_one_paragraph_of_result_then_what_was_run(page: str) -> None:
    body = publish_parts(page, writer="html", settings_overrides={"report_level": 2, "halt_level": 2})["html_body"]
    result = page.split("What was run")[0]
    for words in ("1,000 test images of 300 patients", "MSN + EHR (mean of 2 sets) 0.7", "Of 3 controls 3 are beaten"):
        assert words in result
    assert "cannot say: too few seeds (1, at least 3 are needed)" in result
    for heading in ("The result", "What was run", "Conformance", "Results", "Controls", "Limits"):
        assert f">{heading}</h" in body
    assert "pretrain 1.25" in body
    assert "<details>" in body


def test_the_opening_leaves_out_where_anything_lies() -> None:
    labels = {"mass": "Lung Lesion"}
    study = a_study(
        data={"mimic_iv": "/secret/place", "mimic_cxr": "/secret/place"},
        external={"my-set": {"images": "/secret/images.csv", "root": "/secret", "labels": labels, "head": "mimic"}},
        images={"stage_to": "/secret/disk"},
    )
    backbone = study.backbones["vit-small"].model_copy(update={"imagenet": ImagenetWeights(weights="/secret/weights")})
    study = study.model_copy(update={"backbones": {**study.backbones, "vit-small": backbone}})
    page = opening(study, NOTHING, judge_claims(study, NOTHING), Record({}, "", {}, (), (), {}))
    assert "secret" not in page
    assert "Lung Lesion" in page


def test_data_that_are_said_to_be_synthetic_are_not_set_beside_the_papers(study: Study) -> None:
    found = measured(study, GAINS)
    flows = {**found.flows, "mimic-cxr": {**found.flows.get("mimic-cxr", {}), "synthetic": True}}
    synthetic = replace(found, flows=flows)
    tables = {filled.id: filled for filled in fill_tables(study.model_copy(update={"note": ""}), synthetic)}
    assert tables["3"].numbers["difference"].isna().all()
    assert tables["1"].numbers["difference"].isna().all()
    assert all(shown.note == "The data are synthetic." for shown in tables["3"].shown)


def test_where_only_the_reference_was_judged_no_set_is_counted(study: Study) -> None:
    alone = measured(study, {"msn": 0.0, "msn+g": 0.01})
    judged = [one for one in judge_claims(study, alone) if one.claim.id == "EHR helps"]
    assert {one.better_sets for one in judged} == {""}


def test_a_study_without_feature_sets_says_that_nothing_was_judged() -> None:
    study = a_study(feature_sets={}, runs={"backbones": ["vit-small"], "methods": ["msn", "dino"]}, figures={})
    assert all(one.here.word == "cannot say" for one in judge_claims(study, NOTHING))


def test_hours_and_devices_are_read_from_what_jobs_leave(tmp_path: Path) -> None:
    (tmp_path / "benchmarks/pretrain/vit").mkdir(parents=True)
    (tmp_path / "benchmarks/pretrain/vit/seed0.tsv").write_text("s\th:m:s\n5400\t1:30:00\n")
    (tmp_path / "benchmarks/study.tsv").write_text("s\th:m:s\n36\t0:00:36\n")
    (tmp_path / "pretrain/vit/seed0").mkdir(parents=True)
    (tmp_path / "pretrain/vit/seed0/resolved.yaml").write_text("device: A100\ntorch: 2.11.0\ncode_digest: abc\n")
    record = read_record(tmp_path / "pretrain", ["vit/seed0", "vit/seed1"], tmp_path / "benchmarks")
    assert record.hours == {"pretrain": 1.5, "study": 0.01}
    assert (dict(record.devices), record.torch, record.code) == ({"A100": 1}, ("2.11.0",), ("abc",))


def test_hours_of_a_training_that_was_stopped_count_all_its_epochs(tmp_path: Path) -> None:
    run, benchmarks = tmp_path / "pretrain/vit/seed0", tmp_path / "benchmarks"
    (benchmarks / "pretrain/vit").mkdir(parents=True)
    run.mkdir(parents=True)
    (benchmarks / "pretrain/vit/seed0.tsv").write_text("s\th:m:s\n1800\t0:30:00\n")  # since the last start
    (run / "resolved.yaml").write_text("images: 7200\n")
    write_table(run / "history.parquet", pa.table({"images_per_second": [1.0, 2.0, 4.0]}))  # 2, 1 and 0.5 hours
    assert read_record(tmp_path / "pretrain", ["vit/seed0"], benchmarks).hours == {"pretrain": 3.5}
    (benchmarks / "pretrain/vit/seed0.tsv").write_text("s\th:m:s\n14400\t4:00:00\n")  # one start: validation too
    assert read_record(tmp_path / "pretrain", ["vit/seed0"], benchmarks).hours == {"pretrain": 4.0}


def test_claims_name_the_studys_own_reference_and_no_other(study: Study) -> None:
    of_dino = a_study(statistics={"baseline": "dino"}, runs={"backbones": ["vit-small"], "methods": ["dino", "msn"]})
    for chosen, name in ((study, "MSN"), (of_dino, "DINO")):
        verdicts = claims_tables(judge_claims(chosen, NOTHING), 0.95, "")[0]
        caption = " ".join(verdicts.caption[len({one.id for one in CLAIMS}) :])
        assert f"minus the reference, {name} (of" in caption
        assert "sets above the reference" in {column.header for column in verdicts.columns}
        assert ("MSN" in caption) == (name == "MSN")


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
