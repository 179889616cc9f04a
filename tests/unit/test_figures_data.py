"""What figures compute before they are drawn: t-SNE maps by their seed, attention as timm itself has it."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.metrics import calinski_harabasz_score, davies_bouldin_score, silhouette_score
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.errors import UserError
from mmsn.figures.attention import AttentionMaps, choose_images, class_attention_rows, read_maps, write_maps
from mmsn.figures.attention_maps import draw_attention, draw_heads
from mmsn.figures.settings import TsneSettings
from mmsn.figures.tsne_maps import TsneMap, draw_maps
from mmsn.figures.tsne_points import POINTS, QUALITY, TsneFacts, label_groups, run_tsne, single_labels
from mmsn.files import write_table
from mmsn.labels import LABELS
from mmsn.models.vit import create_encoder
from mmsn.reporting.predictions import Predictions
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.embeddings import Embedded, to_table
from tests.unit.evaluation_parts import OPTIONS, make_cohort, small_encoder
from tests.unit.test_figures import words

IMAGES = 240
STATISTICS = StatisticsSettings(resamples=20, seed=5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """240 training images of 120 patients in the layout of a study; most have one of three labels, their cluster."""
    folder = tmp_path_factory.mktemp("tsne")
    rng = np.random.default_rng(0)
    kind = rng.choice(4, IMAGES, p=[0.5, 0.25, 0.15, 0.1])
    labels = np.zeros((IMAGES, len(LABELS)))
    labels[np.arange(IMAGES), kind] = 1
    labels[kind == 3] = 0  # no label at all
    labels[:6, 5:7] = 1  # several
    patients = np.arange(IMAGES) // 2 + 10_000_000
    ids = np.array([f"image-{place:04d}" for place in range(IMAGES)], dtype=object)
    features = (rng.normal(size=(IMAGES, 8)) + 6 * np.eye(4)[kind].repeat(2, axis=1)).astype(np.float32)
    embedded = Embedded(ids, patients, np.full(IMAGES, "train", dtype=object), features)
    write_table(folder / "embeddings.parquet", to_table(embedded))
    cohort = pd.DataFrame(labels, columns=list(LABELS)).assign(
        dicom_id=ids, subject_id=patients, split="train", labelled=True
    )
    cohort.to_parquet(folder / "images.parquet")
    return folder


def mapped(files, name, seed=5, threads=1):
    outputs = [files / f"{name}-{kind}.parquet" for kind in ("points", "quality")]
    statistics = STATISTICS.model_copy(update={"seed": seed})
    run_tsne(files / "embeddings.parquet", files / "images.parquet", *outputs, TsneSettings(), statistics, threads)
    return [pq.read_table(path) for path in outputs]


@pytest.fixture(scope="module")
def maps(files):
    return mapped(files, "first")


def test_the_same_seed_gives_the_same_map_and_another_seed_another_one(files, maps):
    again, _ = mapped(files, "again")
    other, _ = mapped(files, "other", seed=6)
    assert again.equals(maps[0])
    assert not np.allclose(other["x"].to_numpy(), maps[0]["x"].to_numpy())


def test_points_are_the_images_with_one_label_each_once_and_neighbours_stay_together(files, maps):
    points = maps[0].to_pandas()
    cohort = pd.read_parquet(files / "images.parquet").set_index("dicom_id")
    expected = cohort[cohort[list(LABELS)].sum(axis=1) == 1]
    assert maps[0].schema.remove_metadata() == POINTS
    assert set(points["dicom_id"]) == set(expected.index)
    assert points["dicom_id"].is_unique
    assert (points["label"] == expected.loc[points["dicom_id"], list(LABELS)].idxmax(axis=1).to_numpy()).all()
    assert silhouette_score(points[["x", "y"]], points["label"]) > 0.4


def test_quality_is_scikit_learns_of_the_embeddings_and_not_of_the_map(files):
    embedded = pq.read_table(files / "embeddings.parquet").to_pandas()
    labels = np.array([0, 1] * 60)
    patients, groups = np.arange(120), {0: 0, 1: 0, 2: 2}
    features = np.stack(embedded["embedding"])[:120]
    from mmsn.figures.tsne_points import group_quality

    rows = group_quality(features, labels, patients, groups, TsneSettings(), STATISTICS, 1).to_pandas()
    first = rows[rows["group"] == 0].set_index("measure")["value"]
    assert first["silhouette"] == pytest.approx(silhouette_score(features, labels), rel=1e-4)
    assert first["davies_bouldin"] == pytest.approx(davies_bouldin_score(features, labels), rel=1e-4)
    assert first["calinski_harabasz"] == pytest.approx(calinski_harabasz_score(features, labels), rel=1e-4)
    assert (rows[rows["group"] > 0]["excluded"] != "").all()
    assert rows["group"].nunique() == 3


def test_groups_are_thirds_of_the_labels_by_prevalence_and_labels_of_few_patients_are_in_none():
    sizes = [200, 20, 180, 160, 140, 120, 100, 90, 80, 70, 60, 50, 40, 30]
    labels = np.repeat(np.arange(14), sizes)
    groups = label_groups(labels, np.arange(len(labels)))
    assert [sorted(label for label, own in groups.items() if own == group) for group in range(3)] == [
        [0, 2, 3, 4, 5],
        [6, 7, 8, 9, 10],
        [1, 11, 12, 13],
    ]
    of_one = np.where(labels == 0, 0, np.arange(len(labels)))
    assert 0 not in label_groups(labels, of_one)


def test_an_image_with_an_ignored_label_has_no_single_one_and_whole_patients_are_kept():
    targets = np.zeros((400, len(LABELS)))
    targets[:, 3] = 1
    targets[0, 4] = np.nan
    patients = np.arange(400) // 4
    rows, labels = single_labels(targets, patients, 400, 0)
    assert 0 not in rows
    assert set(labels) == {3}
    fewer, _ = single_labels(targets, patients, 101, 0)
    counts = pd.Series(patients[fewer]).value_counts()
    assert set(counts[counts.index != 0]) == {4}
    assert 90 < len(fewer) <= 101


def test_the_figure_draws_every_point_once_a_panel_and_its_caption_has_the_measures(files, maps):
    facts = TsneFacts.of(maps[0], "points")
    quality = maps[1].to_pandas()
    assert maps[1].schema.remove_metadata() == QUALITY
    one = [TsneMap(name, maps[0].to_pandas(), quality, facts) for name in ("MSN", "MSN + sex")]
    figure = draw_maps(one, "title", "note")
    drawn = maps[0].to_pandas()["group"].nunique()
    assert len(figure.axes) == 2 * drawn
    for axes in figure.axes:
        pale, coloured = axes.collections
        assert len(pale.get_offsets()) + len(coloured.get_offsets()) == maps[0].num_rows
        assert coloured.get_rasterized()
    text = words(figure)
    assert f"{maps[0].num_rows} training images" in text.replace("\n", " ")
    assert "fewer than two labels" in text
    assert not [name for name in maps[0]["dicom_id"].to_pylist() if name in text]


def test_too_few_images_make_a_figure_that_says_so(tmp_path, files):
    few = Embedded(*[values[:6] for values in _embedded(files)])
    write_table(tmp_path / "embeddings.parquet", to_table(few))
    outputs = tmp_path / "points.parquet", tmp_path / "quality.parquet"
    run_tsne(tmp_path / "embeddings.parquet", files / "images.parquet", *outputs, TsneSettings(), STATISTICS)
    points, quality = (pq.read_table(path) for path in outputs)
    assert points.num_rows == 0
    figure = draw_maps([TsneMap("MSN", points.to_pandas(), quality.to_pandas(), TsneFacts.of(points, "p"))], "t", "")
    assert "Nothing is drawn" in words(figure)


def _embedded(files):
    from mmsn.representation.embeddings import from_table

    read = from_table(pq.read_table(files / "embeddings.parquet"), "embeddings")
    return read.images, read.patients, read.splits, read.features


def timms_own_attention(encoder, images):
    """Softmaxed attention of the last block as timm computes it, [B, H, T, T], by a hook on its dropout."""
    seen = []
    attention = encoder.blocks[-1].attn
    attention.fused_attn = False
    handle = attention.attn_drop.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    with torch.inference_mode():
        encoder.forward_features(images)
    handle.remove()
    return seen[0]


@pytest.mark.parametrize("options", [{}, {"qk_norm": True}, {"num_heads": 4, "depth": 2}])
def test_attention_rows_sum_to_one_and_are_timms_own(options):
    encoder = small_encoder(**options).eval()
    images = torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    rows = class_attention_rows(encoder, images)
    assert rows.shape == (3, options.get("num_heads", OPTIONS["num_heads"]), 1 + 4)
    assert torch.allclose(rows.sum(-1), torch.ones(rows.shape[:2]), atol=1e-6)
    assert torch.allclose(rows, timms_own_attention(encoder, images)[:, :, 0], atol=1e-6)


def test_attention_is_timms_own_at_another_size_than_the_encoder_was_trained_on():
    torch.manual_seed(0)
    encoder = create_encoder("vit_tiny_patch16_224", {**OPTIONS, "dynamic_img_size": True}).eval()
    rows = class_attention_rows(encoder, torch.randn(2, 3, 32, 32))
    assert rows.shape[-1] == 17
    assert torch.allclose(rows.sum(-1), torch.ones(2, 2), atol=1e-6)


def test_images_are_drawn_from_those_with_the_label_and_frontal_where_possible():
    targets = np.zeros((30, len(LABELS)))
    targets[5:15, 0] = 1
    targets[20:22, 1] = 1
    test_set = Predictions(np.arange(30).astype(object), np.arange(30), LABELS, targets, targets)
    rows = pd.DataFrame({"view": np.where((np.arange(30) == 9) | (np.arange(30) == 25), "PA", "LATERAL")})
    places, labels = choose_images(test_set, rows, [LABELS[0], LABELS[1], LABELS[2]], seed=0)
    assert labels == [LABELS[0], LABELS[1]]  # nobody has the third
    assert places[0] == 9
    assert places[1] in (20, 21)
    drawn = {choose_images(test_set, rows.drop(columns="view"), [LABELS[0]], seed)[0][0] for seed in range(20)}
    assert len(drawn) > 3


@pytest.fixture(scope="module")
def attention(tmp_path_factory):
    """`mmsn figure-data attention` on sixty images with two encoders."""
    folder = make_cohort(tmp_path_factory.mktemp("attention"))
    from mmsn.encoder_file import save_encoder
    from mmsn.training.settings import BackboneSettings

    cohort = pd.read_parquet(folder / "images.parquet")
    test = cohort[cohort["split"] == "test"]
    backbone = BackboneSettings(title="tiny", architecture="vit_tiny_patch16_224", options=OPTIONS)
    runs, rng = [], np.random.default_rng(0)
    for place, method in enumerate(("msn", "msn+ehr.sex")):
        torch.manual_seed(place)
        encoder = create_encoder("vit_tiny_patch16_224", OPTIONS)
        save_encoder(folder / f"{method}.safetensors", encoder, backbone, method)
        predictions = test.melt(["dicom_id", "subject_id"], list(LABELS), "label", "target")
        predictions.assign(score=rng.random(len(predictions))).to_parquet(folder / f"{method}.parquet")
        names = {"id": method, "backbone": "v", "backbone_name": "V", "method": method, "method_name": method.upper()}
        paths = {"predictions": f"{folder}/{method}.parquet", "encoder": f"{folder}/{method}.safetensors"}
        runs.append({**names, "feature_set": "sex" if place else None, "seed": 0, **paths})
    summary = {"method": ["msn", "msn+ehr.sex"], "family": ["reference", "ehr"], "metric": "auroc", "value": [0.6, 0.7]}
    pd.DataFrame(summary).to_parquet(folder / "summary.parquet")
    arguments = {"runs": json.dumps(runs), "summary": folder / "summary.parquet", "images": folder / "images.parquet"}
    arguments |= {"store": folder, "labels": "Atelectasis,Edema", "views": '{"resize": 20, "crop": 16}'}
    arguments["output"] = folder / "maps.safetensors"
    words = [str(word) for name, value in arguments.items() for word in (f"--{name}", value)]
    result = CliRunner().invoke(app, ["figure-data", "attention", *words])
    assert result.exit_code == 0, result.output
    return folder, cohort, result.output


def test_stored_attention_is_of_images_with_the_labels_and_has_both_models_scores(attention):
    folder, cohort, said = attention
    maps = read_maps(folder / "maps.safetensors")
    assert maps.methods == ("MSN", "MSN+EHR.SEX")
    assert maps.chosen_for == ("Atelectasis", "Edema")
    assert maps.attention.shape == (2, 2, 2, 5)
    assert np.allclose(maps.attention.sum(-1), 1, atol=1e-6)
    assert (np.diagonal(maps.targets) == 1).all()
    assert maps.scores.shape == (2, 2, 2)
    assert not np.allclose(maps.attention[0], maps.attention[1])
    assert maps.images.shape == (2, 16, 16)
    assert not [name for name in cohort["dicom_id"] if name in said]


def test_attention_is_drawn_for_every_image_method_and_head(attention):
    maps = read_maps(attention[0] / "maps.safetensors")
    averaged, heads = draw_attention(maps, "title", ""), draw_heads(maps, "title", "")
    pictures = [len(axes.images) for axes in averaged.axes[:8]]
    assert pictures == [1, 2, 2, 0] * 2  # radiograph, two overlays, scores
    overlay = averaged.axes[1].images[1].get_array()
    assert np.allclose(overlay, maps.attention[0, 0, :, 1:].mean(axis=0).reshape(2, 2) * 5, atol=1e-6)
    scores = list(averaged.axes[3].lines)
    assert [line.get_xdata().tolist() for line in scores] == [pytest.approx(own) for own in maps.scores[:, 0].tolist()]
    assert sum(len(axes.images) == 2 for axes in heads.axes) == 2 * 2 * 2
    assert "head 2" in words(heads)
    assert "multiple of uniform attention" in words(averaged)
    for figure in (averaged, heads):
        assert "Beside MSN stands MSN+EHR.SEX, its only variant with EHR." in words(figure).replace("\n", " ")


def test_no_image_with_a_label_makes_a_figure_that_says_so(tmp_path):
    empty = np.zeros((0, 16, 16), np.uint8)
    none = AttentionMaps(
        ("MSN",), (), ("Edema",), empty, np.zeros((1, 0, 2, 5), np.float32), np.zeros((1, 0, 1), np.float32),
        np.zeros((0, 1), np.float32), "",
    )  # fmt: skip
    write_maps(tmp_path / "maps.safetensors", none)
    figure = draw_attention(read_maps(tmp_path / "maps.safetensors"), "title", "")
    assert "no test image has any of the labels" in words(figure)


def test_files_that_are_none_of_ours_are_refused(tmp_path, files):
    with pytest.raises(UserError, match="does not exist"):
        read_maps(tmp_path / "maps.safetensors")
    with pytest.raises(UserError, match="no t-SNE map of ours"):
        TsneFacts.of(pq.read_table(files / "embeddings.parquet"), "embeddings")
    with pytest.raises(UserError, match="does not exist"):
        run_tsne(*[tmp_path / "missing.parquet"] * 4, TsneSettings(), STATISTICS)
