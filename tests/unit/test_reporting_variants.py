"""One encoder judged in several ways: paired differences within it, Holm by kind of reference, means over seeds."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.evaluation.data import LabelledImages
from mmsn.evaluation.tables import predictions_table
from mmsn.files import read_table, write_table
from mmsn.labels import LABELS
from mmsn.lineage import UNTRAINED_LABELS

IMAGES = 90
METHOD = {"backbone": "vit", "backbone_name": "ViT", "method": "msn", "method_name": "MSN"}
FLOOR = {"backbone": "vit", "backbone_name": "ViT", "method": "ehr-only", "method_name": "EHR alone"}


def _images():
    random = np.random.default_rng(0)
    ids = np.array([f"d{i:03d}" for i in range(IMAGES)], dtype=object)
    targets = random.integers(0, 2, (IMAGES, len(LABELS))).astype(np.float32)
    return LabelledImages(ids, np.arange(IMAGES) // 3, targets, np.arange(IMAGES))


def _scores(strength, seed):
    noise = np.random.default_rng(seed).random((IMAGES, len(LABELS)))
    return (noise + strength * _images().targets).astype(np.float32)


@pytest.fixture
def made(tmp_path):
    """Two seeds of everything but the floor."""
    return _made(tmp_path, seeds=(0, 1))


def _made(tmp_path, seeds):
    """Seeds of an image-only evaluation and of two readings in one file, and a floor without seeds."""
    images, runs = _images(), []
    for seed in seeds:
        alone = tmp_path / f"alone{seed}.parquet"
        write_table(alone, predictions_table(images, _scores(0.2, 10 + seed)))
        runs.append({**METHOD, "seed": seed, "id": f"a{seed}", "predictions": str(alone), "key": "msn/image"})
        several = tmp_path / f"several{seed}.parquet"
        tables = []
        for name, strength in (("sex", 0.6), ("age", 0.2)):
            table = predictions_table(images, _scores(strength, 20 + 10 * (name == "age") + seed))
            tables.append(table.add_column(0, "reading", pa.repeat(name, len(table))))
            against = {"the image alone": "msn/image", "the EHR alone": "ehr-only/x"}
            names = {"id": f"{name}{seed}", "key": f"msn/{name}", "reading": name, "against": against}
            runs.append({**METHOD, "seed": seed, "predictions": str(several), **names})
        write_table(several, pa.concat_tables(tables))
    floor = tmp_path / "floor.parquet"
    write_table(floor, predictions_table(images, _scores(0.05, 99)))
    runs.append({**FLOOR, "seed": 0, "id": "floor", "predictions": str(floor), "key": "ehr-only/x"})
    return tmp_path, [{"variant": run["key"], **run} for run in runs]


def _report(folder, runs):
    outputs = [f"--output-{kind}" for kind in ("csv", "markdown", "latex", "html")]
    paths = [str(folder / f"table.{kind}") for kind in ("csv", "md", "tex", "html")]
    pairs = [word for pair in zip(outputs, paths, strict=True) for word in pair]
    measured = str(folder / "measured.parquet")
    given = ["--runs", json.dumps(runs), "--settings", '{"resamples": 200}', "--output", measured]
    done = CliRunner().invoke(app, ["report", "variant-statistics", *given])
    if done.exit_code:
        return done
    arguments = ["report", "variants", "--measured", measured, "--about", "ehr_linear", "--dataset", "mimic-cxr"]
    return CliRunner().invoke(app, [*arguments, *pairs])


def _table(made):
    result = _report(*made)
    assert result.exit_code == 0, result.output
    return pd.read_csv(made[0] / "table.csv").query("metric == 'auroc'")


def _macro(scores):
    return np.mean([roc_auc_score(_images().targets[:, i], scores[:, i]) for i in range(len(LABELS))])


def test_values_are_means_over_seeds_of_a_readings_own_rows(made):
    table = _table(made).drop_duplicates("key").set_index("key")
    assert table.loc["msn/sex", "value"] == pytest.approx(np.mean([_macro(_scores(0.6, 20 + s)) for s in (0, 1)]))
    assert table.loc["msn/image", "value"] == pytest.approx(np.mean([_macro(_scores(0.2, 10 + s)) for s in (0, 1)]))
    assert table.loc["msn/sex", "seeds"] == 2
    assert table.loc["ehr-only/x", "seeds"] == 1


def test_each_variant_is_compared_with_the_image_alone_and_with_the_record_alone(made):
    table = _table(made).set_index(["key", "against"])
    values = table["value"].groupby(level=0).first()
    row = table.loc[("msn/sex", "the EHR alone")]
    assert row["difference"] == pytest.approx(values["msn/sex"] - values["ehr-only/x"])
    assert row["difference_lo"] < row["difference"] < row["difference_hi"]
    assert table.loc[("msn/sex", "the image alone"), "difference_lo"] > 0  # a record that tells much
    assert table.loc[("msn/age", "the image alone"), "difference_lo"] < 0.05


def test_holm_runs_over_the_comparisons_with_one_kind_of_reference(made):
    compared = _table(made).dropna(subset=["p_paired"])
    for _, own in compared.groupby("against"):
        assert (own["comparisons"] == 2).all()
        np.testing.assert_allclose(own["p_holm"], multipletests(own["p_paired"], method="holm")[1])


def test_pages_name_what_is_compared(made):
    _table(made)
    for kind in ("md", "tex", "html"):
        text = (made[0] / f"table.{kind}").read_text()
        assert "vs the EHR alone" in text
        assert "logistic" in text


def test_a_reference_that_is_not_there_is_one_clear_line(made):
    folder, runs = made
    result = _report(folder, [run for run in runs if run["key"] != "ehr-only/x"])
    assert result.exit_code == 2
    assert "compared with ehr-only/x, which is not among the runs" in result.output


def test_spread_over_seeds_and_t_tests_paired_or_against_one_value_reach_csv_and_pages(tmp_path):
    made = _made(tmp_path, seeds=(0, 1, 2))
    table = _table(made).set_index(["key", "against"])
    ours = [_macro(_scores(0.6, 20 + seed)) for seed in (0, 1, 2)]
    image = [_macro(_scores(0.2, 10 + seed)) for seed in (0, 1, 2)]
    floor = _macro(_scores(0.05, 99))
    assert table.loc[("msn/sex", "the image alone"), "sd_seeds"] == pytest.approx(np.std(ours, ddof=1))
    for against, test, expected in (
        ("the image alone", "paired", stats.ttest_rel(ours, image)),
        ("the EHR alone", "one-sample", stats.ttest_1samp(ours, floor)),
    ):
        row = table.loc[("msn/sex", against)]
        assert row["seeds_test"] == test
        assert row["p_seeds"] == pytest.approx(expected.pvalue)
        ends = expected.confidence_interval(0.95)
        shift = floor if test == "one-sample" else 0
        assert [row["difference_lo_seeds"], row["difference_hi_seeds"]] == pytest.approx(
            [ends.low - shift, ends.high - shift]
        )
        own = table.xs(against, level="against")
        assert own["p_seeds_holm"].tolist() == pytest.approx(multipletests(own["p_seeds"], method="holm")[1])
    text = (tmp_path / "table.md").read_text()
    assert "| sd over seeds |" in text
    assert "vs the EHR alone p (seeds)" in text
    assert "the intervals speak of other test images or patients, not of training again" in text
    assert "Training the EHR alone again gives the same, so there p (seeds) is a one-sample t-test" in text


def test_two_seeds_have_a_spread_and_no_t_test_and_the_caption_warns(made):
    assert _table(made)["p_seeds"].isna().all()
    text = (made[0] / "table.md").read_text()
    assert "| sd over seeds |" in text
    assert "p (seeds) |" not in text
    assert "not of training again" in text
    assert "A t-test over seeds needs three seeds" in text


def test_one_encoder_judged_with_unequal_seeds_has_no_t_test_over_them(tmp_path):
    folder, runs = _made(tmp_path, seeds=(0, 1, 2))
    fewer = [run for run in runs if run["id"] not in {"a1", "a2"}]
    table = _table((folder, fewer)).set_index(["key", "against"])
    assert np.isnan(table.loc[("msn/sex", "the image alone"), "p_seeds"])
    assert table.loc[("msn/sex", "the EHR alone"), "p_seeds"] < 1


def _rewritten(run, change):
    write_table(run["predictions"], change(read_table(run["predictions"])))


def _refusal(made):
    result = _report(*made)
    assert result.exit_code == 2
    assert "Traceback" not in result.output
    return result.output


def test_a_test_set_of_one_patient_is_one_clear_line(made):
    for run in {run["predictions"]: run for run in made[1]}.values():
        _rewritten(run, lambda table: pa.table(table.to_pandas().assign(subject_id=1)))
    assert "run a0: 1 patient in the test set; intervals need at least two: enlarge it" in _refusal(made)


def test_no_label_with_both_classes_is_one_clear_line(made):
    for run in {run["predictions"]: run for run in made[1]}.values():
        _rewritten(run, lambda table: pa.table(table.to_pandas().assign(target=0.0)))
    assert "run a0: no label has both positive and negative images among the 90" in _refusal(made)


def test_ways_taught_other_labels_are_one_clear_line(made):
    metadata = {UNTRAINED_LABELS: json.dumps({"Edema": "no positive image"})}
    _rewritten(made[1][-1], lambda table: table.replace_schema_metadata(metadata))
    assert "runs a0 and floor were not trained on the same labels" in _refusal(made)


def test_ways_that_are_compared_with_nothing_have_values_alone(made):
    folder, runs = made
    table = _table((folder, [run for run in runs if "against" not in run]))
    assert table["value"].notna().all()
    assert table[["difference", "p_holm", "p_seeds"]].isna().all(axis=None)
