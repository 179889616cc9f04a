"""The labels of the three data sets and the map between them."""

import pytest

from mmsn.labels import CHEXPERT_LABELS, LABEL_SETS, LABELS, NIH_LABELS, LabelSet
from mmsn.synthetic.nih import OTHER_NAME, SAME_NAME


def test_each_data_set_has_fourteen_labels_of_its_own() -> None:
    assert {name: len(set(labels.names)) for name, labels in LABEL_SETS.items()} == dict.fromkeys(
        ("mimic-cxr", "chexpert", "nih-14"), 14
    )


def test_mimic_and_chexpert_share_all_labels_in_the_order_of_the_tables() -> None:
    assert CHEXPERT_LABELS.names == LABELS == tuple(sorted(LABELS))
    assert CHEXPERT_LABELS.same_meaning == {name: name for name in LABELS}


def test_nih_shares_seven_labels_by_meaning_and_four_by_judgement() -> None:
    assert NIH_LABELS.same_meaning == {
        "Atelectasis": "Atelectasis",
        "Cardiomegaly": "Cardiomegaly",
        "Effusion": "Pleural Effusion",
        "Pneumonia": "Pneumonia",
        "Pneumothorax": "Pneumothorax",
        "Consolidation": "Consolidation",
        "Edema": "Edema",
    }
    judged = NIH_LABELS.to_chexpert.items() - NIH_LABELS.same_meaning.items()
    assert judged == {
        ("Infiltration", "Lung Opacity"),
        ("Mass", "Lung Lesion"),
        ("Nodule", "Lung Lesion"),
        ("Pleural_Thickening", "Pleural Other"),
    }


@pytest.mark.parametrize("labels", LABEL_SETS.values())
def test_what_is_shared_is_one_of_the_fourteen(labels: LabelSet) -> None:
    assert set(labels.to_chexpert.values()) <= set(LABELS)


def test_the_synthetic_set_draws_nihs_names_as_the_map_has_them() -> None:
    assert {theirs: ours for ours, theirs in OTHER_NAME.items()}.items() <= NIH_LABELS.to_chexpert.items()
    assert all(NIH_LABELS.to_chexpert[name] == name for name in SAME_NAME)
