"""What a study says of the paper's claims: effects on the same resamples, and verdicts that need controls and seeds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmsn.paper.claims import CLAIMS, judge_claims, other_data
from mmsn.paper.claims_table import claims_tables
from mmsn.paper.contrasts import Model, effect, models_of_subsets, same_seeds
from mmsn.paper.definitions import Block
from mmsn.paper.paper_says import paper_says
from mmsn.paper.sources import Measured
from mmsn.paper.verdicts import MARGIN, WORDS, Evidence, judge, of_the_paper
from mmsn.statistics.tests import holm
from mmsn.study import Study
from tests.unit.paper_parts import GAINS, NOTHING, RESAMPLES, a_study, evidence, measured


@pytest.fixture(scope="module")
def study() -> Study:
    return a_study()


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


def test_where_only_the_reference_was_judged_no_set_is_counted(study: Study) -> None:
    alone = measured(study, {"msn": 0.0, "msn+g": 0.01})
    judged = [one for one in judge_claims(study, alone) if one.claim.id == "EHR helps"]
    assert {one.better_sets for one in judged} == {""}


def test_a_study_without_feature_sets_says_that_nothing_was_judged() -> None:
    study = a_study(feature_sets={}, runs={"backbones": ["vit-small"], "methods": ["msn", "dino"]}, figures={})
    assert all(one.here.word == "cannot say" for one in judge_claims(study, NOTHING))


def test_claims_name_the_studys_own_reference_and_no_other(study: Study) -> None:
    of_dino = a_study(statistics={"baseline": "dino"}, runs={"backbones": ["vit-small"], "methods": ["dino", "msn"]})
    for chosen, name in ((study, "MSN"), (of_dino, "DINO")):
        verdicts = claims_tables(judge_claims(chosen, NOTHING), 0.95, "")[0]
        caption = " ".join(verdicts.caption[len({one.id for one in CLAIMS}) :])
        assert f"minus the reference, {name} (of" in caption
        assert "sets above the reference" in {column.header for column in verdicts.columns}
        assert ("MSN" in caption) == (name == "MSN")
