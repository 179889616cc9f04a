"""Figures of the paper: what is drawn is what the numbers say, in the right units, and names no patient."""

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from matplotlib.colors import to_rgb
from typer.testing import CliRunner

from mmsn.cli import app
from mmsn.errors import UserError
from mmsn.figures.choice import patch_side, pictured_methods, variants_with_ehr
from mmsn.figures.compared import compared_runs
from mmsn.figures.label_differences import differences, draw_differences
from mmsn.figures.learning_curves import curves, draw_curves
from mmsn.figures.masking import Masking, coloured, draw_masking, masked_views
from mmsn.figures.page import rounded
from mmsn.figures.phantom_view import phantom_radiograph
from mmsn.figures.reliability import curves_of, draw_reliability, reliability
from mmsn.figures.settings import FiguresSettings
from mmsn.figures.subgroup_gaps import draw_gaps, drawn_groups
from mmsn.figures.tsne_maps import _COLOURS
from mmsn.images.settings import ViewSettings
from mmsn.methods import Method
from mmsn.reporting.captions import Setting
from mmsn.reporting.figure_files import COLOURS, write_figure
from mmsn.reporting.schemas import Facts
from mmsn.representation.measured import SCHEMA, MeasuredFacts
from mmsn.statistics.bootstrap import patient_resamples
from mmsn.training.settings import BackboneSettings
from tests.unit.test_reporting import FEW, STRENGTHS, describe, fake_study

SETTING = Setting("linear", "mimic-cxr", "ViT-S", note="Synthetic data.")
FACTS = MeasuredFacts(100, 0.95, {})
RELEASED = Masking(0.15, mask_random=True, mask_focal=True, class_token_aware=False)


def words(figure) -> str:
    """Every text of a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(match=lambda item: hasattr(item, "get_text")))


@pytest.mark.parametrize(("aware", "random", "focal"), [(False, 165, 29), (True, 166, 30)])
def test_masks_keep_as_many_patches_as_pretraining_does(aware: bool, random: int, focal: int) -> None:
    masking = Masking(0.15, mask_random=True, mask_focal=True, class_token_aware=aware)
    found = masked_views(phantom_radiograph(128), ViewSettings(), masking, 16, seed=1)
    assert found.target.kept.all()
    assert [view.kept.sum() for view in found.random] == [random]
    assert {view.kept.sum() for view in found.focal} == {focal}
    assert len(found.focal) == 10
    assert aware or not any(view.kept[-1, -1] for view in (*found.random, *found.focal))


def test_hidden_patches_are_flat_orange_and_seen_ones_grey() -> None:
    image = phantom_radiograph(64)
    view = masked_views(image, ViewSettings(random_size=64, focal_views=0), RELEASED, 8, seed=0).random[0]
    picture = coloured(view)
    seen = np.kron(view.kept, np.ones((8, 8), dtype=bool))
    assert (np.ptp(picture[seen], axis=-1) == 0).all()
    assert (picture[~seen] == picture[~seen][0]).all()
    assert np.ptp(picture[~seen][0]) > 0.5


def test_views_that_the_study_does_not_mask_are_whole() -> None:
    masking = Masking(0.15, mask_random=True, mask_focal=False, class_token_aware=False)
    found = masked_views(phantom_radiograph(64), ViewSettings(random_size=32, focal_size=16), masking, 8, seed=0)
    assert all(view.kept.all() for view in found.focal)
    figure = draw_masking(phantom_radiograph(64), found, masking, "A phantom.", "title", "")
    assert words(figure).count("4 of 4 patches") == 10
    assert "A phantom." in words(figure)


def test_the_phantom_is_the_same_every_time_and_the_verb_draws_it_by_default(tmp_path: Path) -> None:
    assert (phantom_radiograph(48) == phantom_radiograph(48)).all()
    masks = json.dumps({"mask_ratio": 0.15, "mask_random": True, "mask_focal": True, "class_token_aware": False})
    views = json.dumps({"random_size": 32, "focal_size": 16, "focal_views": 2})
    files = ["--output-svg", str(tmp_path / "a.svg"), "--output-png", str(tmp_path / "a.png")]
    arguments = ["--views", views, "--masks", masks, "--patch", "8", "--side", "48", *files]
    result = CliRunner().invoke(app, ["figure", "masking", *arguments])
    assert result.exit_code == 0, result.output
    assert "synthetic phantom" in re.sub(r"<[^>]*>|\s+", " ", (tmp_path / "a.svg").read_text())


@pytest.fixture(scope="module")
def study():
    return fake_study(STRENGTHS)


@pytest.fixture(scope="module")
def labels(study):
    table = study.summarise().labels
    return table.to_pandas().astype({"seed": "Int64"}), Facts.of(table, "labels.parquet")


def test_the_heat_map_has_a_cell_for_every_comparison_and_the_reference_has_none(labels) -> None:
    rows, facts = labels
    shown = differences(rows)
    assert "MSN" not in set(shown["row"])
    figure = draw_differences(rows, facts, SETTING, "MSN")
    mesh = figure.axes[0].collections[0]
    assert mesh.get_array().shape == (shown["row"].nunique(), shown["label"].nunique())
    cell = shown[(shown["method"] == "msn+ehr.sex") & (shown["label"] == "Edema")].iloc[0]
    assert rounded(100 * cell["difference"], 1, "+") in words(figure)
    assert figure.axes[1].get_ylabel() == "AUROC minus MSN's"


def test_boxes_are_on_the_intervals_without_zero_and_stars_on_those_that_hold(labels) -> None:
    rows, facts = labels
    shown = differences(rows)
    figure = draw_differences(rows, facts, SETTING, "MSN")
    boxes = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert len(boxes) == int(((shown["difference_lo"] > 0) | (shown["difference_hi"] < 0)).sum())
    starred = [text for text in figure.axes[0].texts if text.get_text().endswith("∗")]
    assert len(starred) == int((shown["p_holm"] < 0.05).sum())
    assert len(starred) > 0


def test_a_label_of_few_images_is_named_instead_of_drawn(labels) -> None:
    rows, facts = labels
    rare = rows.assign(positive_patients=rows["positive_patients"].mask(rows["label"] == "Edema", 9))
    figure = draw_differences(rare, facts, SETTING, "MSN")
    assert "Edema" not in [tick.get_text() for tick in figure.axes[0].get_xticklabels()]
    assert re.search(r"fewer than 10 positive patients or negative images:[^.]*Edema", words(figure).replace("\n", " "))


def test_nothing_compared_says_so_instead_of_an_empty_picture(labels) -> None:
    rows, facts = labels
    figure = draw_differences(rows[rows["method"] == "msn"], facts, SETTING, "MSN")
    assert not figure.axes
    assert "Nothing is drawn" in words(figure)


def subset_labels() -> pd.DataFrame:
    """Two methods, shares of 1, 10 and 100 %, two draws; the first label cannot be taught with 1 %."""
    rows = []
    methods = (("msn", "reference"), ("msn+ehr.sex", "ehr"))
    sizes, names = ((0.01, 2), (0.1, 2), (1.0, 1)), ("Edema", "Fracture", "Pneumonia")
    for (method, family), (share, draws), label in itertools.product(methods, sizes, names):
        for draw in range(draws):
            auroc = 0.6 + 0.05 * np.log10(100 * share) + 0.01 * draw + 0.02 * (family == "ehr")
            excluded = "no positive" if (label, share) == ("Edema", 0.01) else ""
            rows.append((method, method.upper(), family, 0, share, draw, label, auroc, excluded))
    names = ["method", "method_name", "family", "seed", "share", "draw", "label", "auroc", "excluded"]
    return pd.DataFrame(rows, columns=names)


def test_all_shares_are_judged_on_the_same_labels() -> None:
    rows, out = curves(subset_labels())
    assert out == ["Edema"]
    assert len(rows) == 2 * 5
    assert rows[(rows["method"] == "msn") & (rows["share"] == 1)]["auroc"].item() == pytest.approx(0.7)


def test_learning_curves_are_over_percent_with_a_dot_for_every_subset() -> None:
    figure = draw_curves(subset_labels(), SETTING, "patient", 100)
    (panel,) = figure.axes
    assert [float(tick.get_text()) for tick in panel.get_xticklabels()] == [1, 10, 100]
    assert panel.get_xscale() == "log"
    assert panel.get_xlabel() == "training images (%)"
    line, dots = panel.lines[2:]
    assert np.allclose(line.get_xydata(), [[1, 0.625], [10, 0.675], [100, 0.72]])
    assert len(dots.get_xydata()) == 5
    assert "Edema" in words(figure)


def test_bins_hold_equal_numbers_of_images_and_their_shares_lie_in_the_intervals() -> None:
    rng = np.random.default_rng(0)
    scores, patients = rng.random(1000), np.arange(1000) // 2
    targets = (rng.random(1000) < scores).astype(float)
    one = reliability(targets, scores, patients, patient_resamples(patients, 200, 0), 10, 0.95)
    assert len(one.score) == 10
    assert np.allclose(one.score, np.arange(0.05, 1, 0.1), atol=0.05)
    assert all(lo <= share <= hi for lo, share, hi in zip(one.lo, one.share, one.hi, strict=True))
    inside = [lo <= score <= hi for lo, score, hi in zip(one.lo, one.score, one.hi, strict=True)]
    assert sum(inside) >= 8  # these probabilities are right


def test_bins_of_few_patients_are_counted_and_not_drawn() -> None:
    scores, patients = np.linspace(0, 1, 100), np.repeat([0, 1], 50)
    one = reliability((scores > 0.5).astype(float), scores, patients, patient_resamples(patients, 20, 0), 10, 0.95)
    assert one.score == ()
    assert one.left_out == 10


def test_reliability_has_a_panel_for_every_label_that_can_be_judged(study) -> None:
    (reference, first), (_, second) = study.judged[1], study.judged[2]
    found = curves_of(first, {"MSN": first.scores, "MSN + sex": second.scores}, FEW, 5, 10)
    assert "Fracture" not in found  # it has no positive
    figure = draw_reliability(found, SETTING, first, 0.95, "chosen")
    titled = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in titled] == list(found)
    assert all(axes.get_xlim() == axes.get_ylim() for axes in titled)
    assert {len(line.get_xdata()) for axes in titled for line in axes.lines[1:]} == {5}
    assert reference.method == "msn"


def test_the_variant_is_the_best_by_auroc_or_the_one_that_is_named(study) -> None:
    runs, summary = study.runs, study.summary()
    two, how = compared_runs(runs, summary, "msn", None)
    assert [run.method for run in two] == ["msn", "msn+ehr.sex"]
    assert "flatters" in how
    assert "of its 3 variants" in how
    two, how = compared_runs(runs, summary, "msn", "msn+ehr.mort")
    assert [run.method for run in two] == ["msn", "msn+ehr.mort"]
    assert how == "Beside MSN stands MSN + mort, as configured."
    alone, how = compared_runs(runs, summary[summary["family"] != "ehr"], "msn", None)
    assert [run.method for run in alone] == ["msn"]
    assert how.startswith("MSN stands alone: no variant")
    with pytest.raises(UserError, match="no run of mae"):
        compared_runs(runs, summary, "msn", "mae")


@pytest.fixture(scope="module")
def families():
    """MSN, DINO and MAE with the same feature set, DINO's by far the best."""
    return fake_study({"msn": 0.5, "msn+ehr.sex": 0.7, "dino": 1.0, "dino+ehr.sex": 3.0, "mae+ehr.sex": 2.0})


def test_the_best_variant_is_one_of_the_references_own_and_not_of_another_family(families) -> None:
    summary = families.summary()
    assert summary.set_index("method")["family"]["dino+ehr.sex"].eq("ehr").all()  # that alone does not tell them apart
    two, how = compared_runs(families.runs, summary, "msn", None)
    assert [run.method for run in two] == ["msn", "msn+ehr.sex"]
    assert "its only variant with EHR" in how
    assert "flatters" not in how
    two, _ = compared_runs(families.runs, summary, "dino", None)
    assert [run.method for run in two] == ["dino", "dino+ehr.sex"]


def test_a_method_without_ehr_that_is_named_is_not_called_a_variant_with_ehr(families) -> None:
    two, how = compared_runs(families.runs, families.summary(), "msn", "dino")
    _, test_set = families.judged[0]
    scores = {run.method_name: test_set.scores for run in two}
    figure = draw_reliability(curves_of(test_set, scores, FEW, 5, 10), SETTING, test_set, 0.95, how)
    text = words(figure).replace("\n", " ")
    assert "Beside MSN stands dino, as configured." in text
    assert "EHR" not in text


def group_rows() -> pd.DataFrame:
    """Sex and view of two methods; a view is of five patients, another is excluded."""
    rows = []
    for method, topic in itertools.product(("msn", "msn+ehr.sex"), ("sex", "view")):
        groups = {"F": 40, "M": 60} if topic == "sex" else {"AP": 50, "PA": 50, "LL": 5, "LATERAL": 3}
        run = describe(method)
        names = {"run": run.id, "backbone_name": "ViT-S", "method": method, "method_name": run.method_name}
        shared = {**names, "family": run.family("msn"), "seed": 0, "topic": topic, "measure": "auroc", "images": 99}
        for place, (group, patients) in enumerate({**groups, "gap": 100}.items()):
            value = 0.7 + 0.02 * place if group != "LATERAL" else None
            bounds = {"value": value, "lo": value and value - 0.1, "hi": value and value + 0.1}
            rows.append({**shared, "group": group, "patients": patients, **bounds, "excluded": "" if value else "few"})
    return pa.Table.from_pylist(rows, SCHEMA).to_pandas()


def test_groups_of_few_patients_are_not_drawn_and_others_have_a_dot_each() -> None:
    shown = drawn_groups(group_rows())
    assert set(shown["group"]) == {"F", "M", "AP", "PA", "gap"}
    figure = draw_gaps(group_rows(), FACTS, SETTING)
    above, below = figure.axes[:2], figure.axes[2:]
    assert [len(axes.lines) for axes in above] == [2, 2]  # one line of dots for each group
    assert all(len(line.get_xdata()) == 2 for axes in above for line in axes.lines)
    assert [axes.get_xlabel() for axes in below] == ["gap in AUROC"] * 2


def test_a_variable_without_a_gap_has_no_panel_and_none_at_all_says_so() -> None:
    rows = group_rows()
    without = rows[(rows["topic"] != "view") | (rows["group"] != "gap")]
    assert len(draw_gaps(without, FACTS, SETTING).axes) == 2
    assert "Nothing is drawn" in words(draw_gaps(rows[rows["group"] != "gap"], FACTS, SETTING))


# Viénot, Brettel & Mollon 1999: linear RGB as dichromats see it.
DICHROMATS = {
    "protan": [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]],
    "deutan": [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]],
}


def lab(linear: np.ndarray) -> np.ndarray:
    """CIE L*a*b* (D65) of linear RGB."""
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = matrix @ np.clip(linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


@pytest.mark.parametrize("sight", ["all", *DICHROMATS])
def test_the_colours_of_a_map_can_be_told_apart_by_colour_blind_readers(sight: str) -> None:
    seen = []
    for name in _COLOURS:
        rgb = np.array(to_rgb(COLOURS[name]))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(lab(np.array(DICHROMATS[sight]) @ linear if sight in DICHROMATS else linear))
    distances = [np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)]
    assert min(distances) > 10  # about four just noticeable differences


def test_no_svg_names_a_patient_and_the_same_numbers_give_the_same_bytes(tmp_path: Path, study, labels) -> None:
    (_, first), (_, second) = study.judged[1], study.judged[2]
    found = curves_of(first, {"MSN": first.scores, "MSN + sex": second.scores}, FEW, 5, 10)
    draw = {
        "heat": lambda: draw_differences(*labels, SETTING, "MSN"),
        "reliability": lambda: draw_reliability(found, SETTING, first, 0.95, "chosen"),
        "gaps": lambda: draw_gaps(group_rows(), FACTS, SETTING),
    }
    ids = {*first.images, *map(str, first.patients)}
    for name, figure in draw.items():
        write_figure(figure, tmp_path / f"{name}.svg", tmp_path / f"{name}.png")
        svg = (tmp_path / f"{name}.svg").read_text()
        assert "</text>" in svg
        assert not [one for one in ids if one in svg]
    write_figure(draw["gaps"], tmp_path / "again.svg", tmp_path / "again.png")
    for kind in ("svg", "png"):
        assert (tmp_path / f"again.{kind}").read_bytes() == (tmp_path / f"gaps.{kind}").read_bytes()


def test_auto_draws_the_reference_its_first_variant_and_then_methods_without_ehr() -> None:
    methods = [Method("dino"), Method("msn"), *(Method("msn+ehr", name) for name in ("sex", "age"))]
    methods += [Method("mae"), Method("msn+g"), Method("msn+ehr", "sex", "shuffled")]
    chosen = pictured_methods("auto", tuple(methods), "msn", ["sex", "age"])
    assert [method.id for method in chosen] == ["msn", "msn+ehr.sex", "dino", "mae"]
    assert pictured_methods((), tuple(methods), "msn", ["sex", "age"]) == ()
    assert [method.id for method in variants_with_ehr(methods, "msn")] == ["msn+ehr.sex", "msn+ehr.age"]
    assert variants_with_ehr(methods, "dino") == ()
    with pytest.raises(ValueError, match=r"figures\.tsne_methods: 'imagenet'"):
        pictured_methods(("imagenet",), tuple(methods), "msn", ["sex", "age"])


def test_the_patch_is_told_by_options_then_by_the_name() -> None:
    assert patch_side(BackboneSettings(title="a", architecture="vit_small_patch16_224")) == 16
    assert patch_side(BackboneSettings(title="a", architecture="vit_small_patch16_224", options={"patch_size": 8})) == 8
    assert patch_side(BackboneSettings(title="a", architecture="of_our_own")) is None


def test_patients_images_are_drawn_only_when_the_study_says_so_and_labels_must_be_known() -> None:
    assert FiguresSettings().patient_images is False
    with pytest.raises(ValueError, match="Hernia"):
        FiguresSettings(attention_labels=("Hernia",))
    with pytest.raises(ValueError, match="named twice"):
        FiguresSettings(attention_labels=("Edema", "Edema"))


@pytest.mark.parametrize(
    ("value", "text"), [(-0.04, "0.0"), (-0.06, "\N{MINUS SIGN}0.1"), (0.06, "+0.1"), (0.0, "0.0")]
)
def test_a_zero_that_came_from_rounding_has_no_sign(value: float, text: str) -> None:
    assert rounded(value, 1, "+") == text
