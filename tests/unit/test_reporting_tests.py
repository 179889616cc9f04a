"""What the tables say of tests: seeds, the permutation check, DeLong by label, and which tests hold their level."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

from mmsn.reporting import recommended
from mmsn.reporting.command import app
from mmsn.reporting.recommended import MAIN, SOURCE, TESTS, is_recommended, measured, rates_of
from mmsn.reporting.settings import StatisticsSettings
from mmsn.statistics.delong import delong_test
from mmsn.statistics.permutation import patient_swaps, permutation_p, permuted_differences
from tests.unit.test_reporting import FakeStudy, fake_study

ROOT = Path(__file__).parents[2]
FEW = StatisticsSettings(resamples=60, seed=3)
STRENGTHS = {"msn": 0.8, "msn+ehr.sex": 1.6, "msn+ehr.age": 0.9, "msn+g": 0.8}


def run(*words: object) -> None:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output


def tables(study: FakeStudy, folder: Path) -> tuple[str, str, pd.DataFrame, pd.DataFrame]:
    """Markdown of the results and of the labels, and both csv files."""
    summary, labels = folder / "summary.parquet", folder / "labels.parquet"
    settings = ("--settings", json.dumps({"resamples": 60, "seed": 3}))
    run("statistics", "--runs", study.write(folder), *settings, "--output-summary", summary, "--output-labels", labels)
    place = ("--protocol", "linear", "--dataset", "mimic-cxr", "--data-note", "Made up.")
    for verb, source in (("table", ("--summary", summary)), ("labels", ("--labels", labels))):
        made = {"csv": "csv", "markdown": "md", "html": "html"} | ({"latex": "tex"} if verb == "table" else {})
        paths = [word for name, end in made.items() for word in (f"--output-{name}", folder / f"{verb}.{end}")]
        run(verb, *source, *place, *paths)
    texts = [(folder / f"{verb}.md").read_text() for verb in ("table", "labels")]
    return (*texts, *(pd.read_csv(folder / f"{verb}.csv") for verb in ("table", "labels")))


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, pd.DataFrame, pd.DataFrame]:
    return tables(fake_study(STRENGTHS, seeds=(0, 1, 2)), tmp_path_factory.mktemp("seeds"))


def test_spread_and_paired_t_test_over_three_seeds_reach_the_table(three_seeds) -> None:
    text, _, rows, _ = three_seeds
    assert "| AUROC sd over seeds | AUROC p (seeds) |" in text
    auroc = rows[rows["metric"] == "auroc"]
    single = auroc[auroc["seed"].notna()].pivot_table(index="seed", columns="method", values="value")
    mean = auroc[auroc["seed"].isna()].set_index("method")
    for method in STRENGTHS:
        assert mean.loc[method, "sd_seeds"] == pytest.approx(single[method].std(ddof=1))
        line = next(line for line in text.splitlines() if line.startswith(f"| {mean.loc[method, 'method_name']} |"))
        assert f"| {mean.loc[method, 'sd_seeds']:.3f} |" in line
    expected = stats.ttest_rel(single["msn+ehr.sex"], single["msn"])
    row = mean.loc["msn+ehr.sex"]
    assert row["p_seeds"] == pytest.approx(expected.pvalue)
    assert [row["difference_lo_seeds"], row["difference_hi_seeds"]] == pytest.approx(
        list(expected.confidence_interval(0.95))
    )
    own = mean.loc[["msn+ehr.sex", "msn+ehr.age"]]
    assert own["p_seeds_holm"].tolist() == pytest.approx(multipletests(own["p_seeds"], method="holm")[1])


def test_two_seeds_have_a_spread_but_no_t_test_and_the_caption_says_why(tmp_path: Path) -> None:
    text, _, rows, _ = tables(fake_study({"msn": 0.8, "msn+ehr.sex": 1.6}, seeds=(0, 1)), tmp_path)
    assert "sd over seeds" in text
    assert "p (seeds)" not in text
    assert "A t-test over seeds needs three seeds" in text
    assert rows.loc[rows["seed"].isna(), "sd_seeds"].notna().all()
    assert rows["p_seeds"].isna().all()


def test_the_permutation_check_of_a_mean_swaps_a_patient_in_all_seeds_at_once(three_seeds) -> None:
    _, _, rows, _ = three_seeds
    judged = {run.id: predictions for run, predictions in fake_study(STRENGTHS, seeds=(0, 1, 2)).judged}
    test_set = next(iter(judged.values()))
    swaps = patient_swaps(test_set.patients, 60, seed=3)
    kept = [name != "Fracture" for name in test_set.labels]
    found, observed = [], []
    for seed in range(3):
        models = [judged[f"vit-small/{method}/seed{seed}"].scores[:, kept] for method in ("msn+ehr.sex", "msn")]
        found.append(permuted_differences(test_set.targets[:, kept], *models, swaps).auroc.mean(axis=1))
        values = rows[(rows["seed"] == seed) & (rows["metric"] == "auroc")].set_index("method")["value"]
        observed.append(values["msn+ehr.sex"] - values["msn"])
    mean = rows[rows["seed"].isna() & (rows["metric"] == "auroc")].set_index("method").loc["msn+ehr.sex"]
    assert mean["p_permutation"] == permutation_p(np.mean(found, axis=0), float(np.mean(observed)), swaps.exact)
    single = rows[(rows["seed"] == 1) & (rows["metric"] == "auroc")].set_index("method").loc["msn+ehr.sex"]
    assert single["p_permutation"] == permutation_p(found[1], observed[1], swaps.exact)


def test_the_caption_says_how_often_the_permutation_check_agrees(three_seeds) -> None:
    text, _, rows, _ = three_seeds
    shown = rows[rows["seed"].isna()].dropna(subset="p_permutation")
    same = ((shown["p_permutation"] < 0.05) == (shown["p_paired"] < 0.05)).sum()
    assert f"as the bootstrap in {same} of {len(shown)} comparisons" in text


def test_delong_by_label_reaches_the_table_with_and_without_clusters_and_corrected_over_labels(tmp_path: Path) -> None:
    study = fake_study(STRENGTHS)
    _, text, _, rows = tables(study, tmp_path)
    judged = {one.method: predictions for one, predictions in study.judged}
    own = rows[rows["method"] == "msn+ehr.sex"].set_index("label")
    for place, label in enumerate(judged["msn"].labels):
        models = [judged[method].scores[:, place] for method in ("msn+ehr.sex", "msn")]
        target, patients = judged["msn"].targets[:, place], judged["msn"].patients
        if label == "Fracture":
            assert own.loc[label, ["p_delong", "p_delong_images", "p_holm_labels", "p_permutation"]].isna().all()
            continue
        assert own.loc[label, "p_delong"] == pytest.approx(delong_test(target, *models, patients).p)
        assert own.loc[label, "p_delong_images"] == pytest.approx(delong_test(target, *models).p)
        assert own.loc[label, "positive_patients"] == len(np.unique(patients[target == 1]))
    known = own.dropna(subset="p_delong")
    for corrected, p in (("p_holm_labels", "p_delong"), ("p_permutation_holm", "p_permutation")):
        assert known[corrected].tolist() == pytest.approx(multipletests(known[p], method="holm")[1])
    together = rows[rows["family"] == "ehr"].dropna(subset="p_delong")
    assert together["p_holm"].tolist() == pytest.approx(multipletests(together["p_delong"], method="holm")[1])
    shown = text.partition("p of the AUROC difference to MSN by label")[2]
    for label, row in known.iterrows():
        line = next(line for line in shown.splitlines() if line.startswith(f"| {label}"))
        assert ("§" in line) == (row["positive_patients"] < 20)
        p = "\\<0.001" if row["p_holm_labels"] < 0.001 else f"{row['p_holm_labels']:.3f}"
        assert p in line


def test_the_tables_recommend_the_tests_whose_measured_rate_is_between_3_and_7_percent(three_seeds) -> None:
    text = three_seeds[0]
    good = {
        test for test in MAIN if all(0.03 <= rate <= 0.07 for (name, _), rate in measured().items() if name == test)
    }
    assert good == {"patient", "clustered", "permutation"}
    assert {test for test in MAIN if is_recommended(test)} == good
    recommended_text, _, others = text.partition("Recommended, because close to it: ")[2].partition("; not: ")
    for test in MAIN:
        assert f"{TESTS[test].name} {rates_of(test)}" in (recommended_text if test in good else others)
    assert SOURCE.replace("_", "\\_") in text


def test_every_rate_in_a_caption_is_one_that_the_kept_benchmark_printed() -> None:
    printed = (ROOT / SOURCE).read_text()
    assert set(measured()) <= {(test, metric) for test in TESTS for metric in ("auroc", "auprc")}
    for test, about in TESTS.items():
        line = next(line for line in printed.splitlines() if line.startswith(about.name + "  "))
        rates = re.findall(r"([\d.]+)% ±", line)
        assert rates, test
        kept = [100 * rate for (name, _), rate in measured().items() if name == test]
        assert kept == pytest.approx([float(rate) for rate in rates], abs=0.0501)  # printed with one decimal


def test_a_rate_outside_the_bounds_is_not_recommended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recommended, "measured", lambda: {("patient", "auroc"): 0.05, ("patient", "auprc"): 0.08})
    assert not recommended.is_recommended("patient")
    assert not recommended.is_recommended("clustered")  # nothing was measured
    monkeypatch.setattr(recommended, "measured", lambda: {("patient", "auroc"): 0.05, ("patient", "auprc"): 0.07})
    assert recommended.is_recommended("patient")


def test_runs_of_several_seeds_are_scored_as_each_alone() -> None:
    study = fake_study({"msn": 0.8, "msn+ehr.sex": 1.6}, seeds=(0, 1, 2))
    together = study.summary(FEW)
    alone = replace(study, runs=study.runs[1::3], judged=study.judged[1::3]).summary(FEW)
    rows = together[together["seed"] == 1].reset_index(drop=True)
    pd.testing.assert_frame_equal(rows[alone.columns], alone, check_dtype=False)
