"""A configuration becomes one frozen study, or one line that says what to mend."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from mmsn.errors import UserError
from mmsn.methods import Method, method_from_id, parse_method
from mmsn.presets import PRESETS, ROWS
from mmsn.study import load_study
from mmsn.study_command import merged, resolved_yaml, schema_text
from mmsn.study_data import check_data
from mmsn.titles import published

ROOT = Path(__file__).parents[2]
OVERLAYS = sorted((ROOT / "workflow" / "configs").glob("*.yaml"))


@pytest.fixture
def config():
    return merged([ROOT / "config.yaml"])


def _complaint(config):
    with pytest.raises(UserError) as raised:
        load_study(config)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_the_full_study_is_thirteen_sets_and_controls_on_two_backbones(config):
    study = load_study(config)
    plain = [method for method in study.methods if method.kind == "msn+ehr" and method.control is None]
    assert len(plain) == 13
    assert {run.backbone for run in study.grid} == {"vit-small", "vit-tiny"}
    assert len(study.grid) == 2 * (3 + 13 + 4)  # MSN, DINO, MAE; feature sets; controls
    assert len({run.path for run in study.grid}) == len(study.grid)


@pytest.mark.parametrize(
    ("feature_set", "dimension"),
    {
        "sex": 2,
        "age": 1,
        "view": 4,
        "pos": 2,
        "mort": 2,
        "icu": 2,
        "D": 3,
        "SM": 6,
        "SI": 4,
        "D+SM": 9,
        "D+SI": 7,
        "SM+SI": 10,
        "D+SM+SI": 13,
    }.items(),
)
def test_feature_sets_have_the_papers_dimensions(config, feature_set, dimension):
    assert len(load_study(config).columns(feature_set)) == dimension


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"pretrain": {"learnin_rate": 1}}, r"pretrain\.learnin_rate: unknown key; did you mean learning_rate\?"),
        ({"pretrain": {"epochs": "many"}}, r"pretrain\.epochs: 'many' is not allowed: .*integer"),
        ({"preset": "papers"}, r"preset: 'papers' is not allowed: .*released.*paper.*corrected.*"),
        ({"feature_sets": {"X": ["sexx"]}}, r"feature_sets\.X: 'sexx' is not a known variable; known: sex, age"),
        ({"runs": {"backbones": ["vit-tiny"], "methods": ["msn+ehr(nope)"]}}, r"'nope' is not a known feature set"),
        ({"runs": {"backbones": ["resnet"], "methods": ["msn"]}}, r"'resnet' is not a known backbone"),
        ({"speed": 3}, r"speed: unknown key; .*allowed here: name, note, preset"),
        ({"cohort": {"split": "mine"}}, r"cohort\.split: 'mine' is not allowed: .*'official', 'random' or 'file'"),
        ({"runs": {"backbones": ["vit-tiny"], "methods": ["msn"], "seeds": [0, 0]}}, r"runs\.seeds: .* repeats a seed"),
        ({"statistics": {"baseline": "msnn"}}, r"'msnn' is not a known method of runs\.methods"),
        ({"imputation": {"predictors": ["nope"]}}, r"imputation\.predictors: 'nope' is not a known variable"),
        ({"pretrain": {"mask_ratio": 1}}, r"pretrain\.mask_ratio: 1 is not allowed: .*less than 1"),
        (
            {"pretrain": {"views": {"focal_size": 100}}},
            r"focal_size: 100 is not a multiple of vit-small's patch size 16",
        ),
        ({"linear": {"runs": []}}, r"linear\.runs: .*at least 1 item"),
        ({"preset": "corrected", "pretrain": {"epochs": 10}}, r"warmup_epochs: 15 leaves nothing of 10 epochs"),
    ],
)
def test_a_wrong_key_or_value_is_one_line_with_what_is_allowed(config, change, expected):
    message = _complaint({**config, **change})
    assert re.search(expected, message), message
    assert "more to mend" not in message


def test_a_missing_data_folder_offers_the_demo(config):
    study = load_study({**config, "data": {"mimic_iv": "/no/such/folder", "mimic_cxr": None}})
    with pytest.raises(UserError, match=r"data\.mimic_iv: /no/such/folder does not exist.*make demo"):
        check_data(study)


@pytest.mark.parametrize("key", [key for key in ROWS if key != "pretrain.views"])
def test_every_row_of_every_preset_is_one_key_that_can_be_set_alone(config, key):
    section, name = key.split(".")
    for preset, value in zip(PRESETS, ROWS[key], strict=True):
        resolved = load_study({**config, "preset": preset}).model_dump()[section]
        assert resolved[name] == value
        other = next((other for other in ROWS[key] if other != value), value)
        changed = load_study({**config, "preset": preset, section: {name: other}}).model_dump()[section]
        assert changed == {**resolved, name: other}


def test_the_presets_differ_where_the_specification_says():
    different = {key for key, row in ROWS.items() if len(set(map(str, row))) > 1}
    assert different == {
        "imputation.model",
        "imputation.fit_on",
        "pretrain.rows",
        "pretrain.class_token_aware",
        "pretrain.initialisation",
        "pretrain.separate_projection",
        "pretrain.prototypes",
        "pretrain.trainable_prototypes",
        "pretrain.decay_exclusions",
        "pretrain.schedule",
        "pretrain.warmup_epochs",
        "pretrain.early_stop_patience",
        "dino.ema_period_epochs",
        "dino.head_init_std",
        "dino.same_head_init",
        "dino.kept",
        "mae.class_token_aware",
    }


def test_baselines_take_from_msn_what_they_do_not_say_themselves(config):
    study = load_study({**config, "pretrain": {"epochs": 7, "batch_size": 32}, "mae": {"batch_size": 16}})
    assert study.dino.epochs == study.mae.epochs == study.supervised.epochs == 7
    assert (study.dino.batch_size, study.mae.batch_size) == (32, 16)
    assert (study.dino.learning_rate, study.mae.learning_rate) == (1e-5, 1e-5)
    assert study.dino.views == study.pretrain.views
    assert study.supervised.views == study.linear.views


@pytest.mark.parametrize("method", ["imagenet", "supervised-imagenet"])
def test_imagenet_weights_are_asked_for_before_anything_runs(config, method):
    runs = {"backbones": ["vit-tiny"], "methods": ["msn", method]}
    assert re.search(rf"backbones\.vit-tiny\.imagenet: not set, .*{method}", _complaint({**config, "runs": runs}))


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.stem)
def test_overlays_are_valid_and_match_the_editors_schema(overlay):
    whole = merged([ROOT / "config.yaml", overlay])
    load_study(whole)
    jsonschema.validate(json.loads(json.dumps(whole)), json.loads(schema_text()))


def test_the_schema_in_the_repository_is_the_generated_one():
    written = (ROOT / "workflow" / "schemas" / "config.schema.json").read_text()
    assert written == schema_text() + "\n", "run: mmsn study schema --output workflow/schemas/config.schema.json"


def test_the_resolved_study_resolves_to_itself(config):
    study = load_study(config)
    assert load_study(yaml.safe_load(resolved_yaml(study))) == study


def test_a_study_cannot_be_changed(config):
    study = load_study(config)
    with pytest.raises(ValueError, match="frozen"):
        study.name = "other"


def test_overlays_reach_into_dictionaries_and_replace_lists(tmp_path):
    (tmp_path / "a.yaml").write_text("x: {y: 1, z: [1, 2]}")
    (tmp_path / "b.yaml").write_text("x: {z: [3]}")
    assert merged([tmp_path / "a.yaml", tmp_path / "b.yaml"]) == {"x": {"y": 1, "z": [3]}}


@pytest.mark.parametrize(
    ("text", "identifier"),
    [
        ("msn", "msn"),
        ("msn+g", "msn+g"),
        ("msn+ehr(D+SM+SI)", "msn+ehr.D+SM+SI"),
        ("msn+ehr(sex, shuffled)", "msn+ehr.sex.shuffled"),
    ],
)
def test_a_methods_id_names_it_and_is_safe_in_a_path(text, identifier):
    method = parse_method(text)
    assert method.id == identifier
    assert method_from_id(identifier) == method
    assert re.fullmatch(r"[\w.+-]+", identifier)


def test_only_methods_of_the_paper_stand_beside_published_values():
    assert published(Method("msn")) == "MSN"
    assert published(Method("msn+ehr", "sex")) == "MSN+EHR"
    assert published(Method("msn+ehr", "sex", "shuffled")) is None


def test_loading_leaves_the_callers_configuration_alone(config):
    before = copy.deepcopy(config)
    load_study(config)
    assert config == before
