"""Heads that are kept, and another data set judged with one as it is."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import timm
import torch

from mmsn.encoder_file import load_encoder
from mmsn.errors import UserError
from mmsn.evaluation.finetune_run import run_finetune
from mmsn.evaluation.job import EvaluationFiles, EvaluationJob
from mmsn.evaluation.kept_head import load_head
from mmsn.evaluation.run import run_linear
from mmsn.evaluation.score import ScoringFiles, score
from mmsn.evaluation.tables import PREDICTIONS_SCHEMA
from mmsn.files import read_table, write_table
from mmsn.label_names import label_names
from mmsn.labels import LABELS, NIH_LABELS
from mmsn.lineage import HEAD_OF, Split
from mmsn.models.vit import class_embedding
from mmsn.reporting.predictions import from_table
from tests.unit.evaluation_parts import OPTIONS, evaluation_files, finetune_settings, make_cohort

JOB = EvaluationJob(3, "tiny msn", 1, "cpu")
LINEAR = finetune_settings().model_dump_json(exclude={"methods", "layer_decay", "precision"})
PROTOCOLS = {"linear": (run_linear, LINEAR), "finetune": (run_finetune, finetune_settings().model_dump_json())}


def with_split_of(folder: Path, data_set: str) -> Path:
    """The table as that of another data set."""
    table = read_table(folder / "images.parquet")
    write_table(folder / "images.parquet", table, Split(data_set, f"hash of {data_set}").metadata)
    return folder


def kept(folder: Path, protocol: str) -> EvaluationFiles:
    """An evaluation that keeps what it chose."""
    files = replace(
        evaluation_files(folder, protocol), head=folder / "head.safetensors", finetuned=folder / "tuned.safetensors"
    )
    run_protocol, settings = PROTOCOLS[protocol]
    run_protocol(files, JOB, settings)
    return files


def scoring(files: EvaluationFiles, protocol: str, data: Path) -> ScoringFiles:
    encoder = files.finetuned if protocol == "finetune" else files.encoder
    return ScoringFiles(encoder, files.head, data / "images.parquet", data, data / "scores.parquet")


def other_data_set(folder: Path, test_images: int, labels: tuple[str, ...] = LABELS) -> Path:
    """Images that are tested on alone, of other patients and with a store of their own."""
    random = np.random.default_rng(1)
    folder.mkdir()
    np.save(folder / "part1of1.npy", random.integers(0, 255, (test_images, 20, 20), dtype=np.uint8))
    rows = list(range(test_images))
    ids = {"dicom_id": [f"other{row:03d}" for row in rows], "subject_id": [10_000 + row for row in rows]}
    write_table(folder / "index.parquet", pa.table({**ids, "shard": ["part1of1"] * test_images, "row": rows}))
    targets = {name: random.integers(0, 2, test_images).astype(np.float32) for name in labels}
    known = {"split": ["test"] * test_images, "labelled": [True] * test_images}
    write_table(folder / "images.parquet", pa.table({**ids, **known, **targets}))
    return with_split_of(folder, "chexpert" if labels == LABELS else "nih-14")


@pytest.fixture
def folder(tmp_path):
    return with_split_of(make_cohort(tmp_path), "mimic-cxr")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_head_saved_and_loaded_again_gives_the_same_scores_to_the_bit(folder, protocol):
    files = kept(folder, protocol)
    again = scoring(files, protocol, folder)
    score(again, "tiny msn", 1, "cpu")
    assert read_table(again.predictions).equals(read_table(files.predictions))


@pytest.mark.parametrize("images", [1, 255, 256, 259])
def test_every_image_of_the_test_set_is_scored_whatever_the_batch(folder, images):
    files = kept(folder, "linear")
    chosen = scoring(files, "linear", other_data_set(folder / "other", images))
    score(chosen, "tiny msn", 1, "cpu")
    predictions = read_table(chosen.predictions)
    assert predictions.schema.equals(PREDICTIONS_SCHEMA)
    assert len(predictions) == 14 * images
    assert len(predictions["dicom_id"].unique()) == images
    metadata = predictions.schema.metadata
    assert metadata[HEAD_OF.encode()] == b"mimic-cxr"
    assert Split.of_table(predictions).data_set == "chexpert"


def test_a_label_that_training_could_not_teach_stays_out_of_the_other_data_sets_mean_too(folder):
    table = read_table(folder / "images.parquet")
    never = pa.array([0.0] * len(table), pa.float32())
    write_table(folder / "images.parquet", table.set_column(table.column_names.index("Fracture"), "Fracture", never))
    files = kept(folder, "linear")
    chosen = scoring(files, "linear", other_data_set(folder / "other", 40))
    score(chosen, "tiny msn", 1, "cpu")
    judged = from_table(read_table(chosen.predictions), "predictions")
    assert judged.untrained == {"Fracture": "no positive image"}
    assert judged.head_of == "mimic-cxr"


def test_a_data_sets_own_head_has_its_labels(folder):
    (folder / "nih").mkdir()
    data = make_cohort(folder / "nih")
    table = read_table(data / "images.parquet").rename_columns(
        ["dicom_id", "subject_id", "split", "labelled", *NIH_LABELS.names]
    )
    write_table(data / "images.parquet", table, Split("nih-14", "hash of nih-14").metadata)
    for protocol in PROTOCOLS:
        files = kept(data, protocol)
        _, facts = load_head(files.head)
        assert facts.labels == NIH_LABELS.names
        assert tuple(read_table(files.predictions)["label"].unique().to_pylist()) == NIH_LABELS.names
        assert (facts.protocol, facts.split.data_set) == (protocol, "nih-14")


def test_a_head_of_other_labels_is_one_clear_line(folder):
    files = kept(folder, "linear")
    nih = other_data_set(folder / "nih", 5, NIH_LABELS.names)
    with pytest.raises(
        UserError, match=r"label 3 is 'Consolidation' there, 'Effusion' here; train a head of its own"
    ) as error:
        score(scoring(files, "linear", nih), "tiny msn", 1, "cpu")
    assert "\n" not in str(error.value)


def test_a_table_without_a_label_of_its_data_set_is_one_clear_line(folder):
    with_split_of(folder, "nih-14")
    with pytest.raises(UserError, match=r"images\.parquet has no column 'Effusion', one of the labels of nih-14"):
        label_names(folder / "images.parquet")


def test_a_head_of_another_encoder_is_one_clear_line(folder):
    files = kept(folder, "finetune")
    for encoder in (files.encoder, files.head):
        with pytest.raises(UserError, match="give the encoder that it belongs to") as error:
            score(replace(scoring(files, "finetune", folder), encoder=encoder), "tiny msn", 1, "cpu")
        assert "\n" not in str(error.value)


def test_what_is_no_head_is_one_clear_line(folder):
    files = kept(folder, "linear")
    for wrong in (files.encoder, files.images):
        with pytest.raises(UserError, match="not a head of this project"):
            load_head(wrong)


def test_a_fine_tuned_model_leaves_the_house_as_an_encoder_of_timm_and_a_linear_head(folder):
    files = kept(folder, "finetune")
    encoder = timm.create_model(
        "vit_tiny_patch16_224", num_classes=0, checkpoint_path=str(files.finetuned), **OPTIONS
    ).eval()
    views = torch.rand(2, 3, 16, 16)
    with torch.no_grad():
        tuned, before = (class_embedding(load_encoder(path).eval(), views) for path in (files.finetuned, files.encoder))
        torch.testing.assert_close(encoder(views), tuned)
        assert (encoder(views) - before).abs().max() > 1e-3
    head, facts = load_head(files.head)
    assert (head.in_features, head.out_features) == (encoder.num_features, len(facts.labels))
