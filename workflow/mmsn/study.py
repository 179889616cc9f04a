"""Configuration -> one validated, frozen study: presets resolved, the grid of runs, stable names.

Read at every start of the workflow, also on cluster nodes, so nothing heavy is imported here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError, model_validator

from mmsn.cohort.external.settings import ChexpertSettings, NihSettings
from mmsn.cohort.settings import CohortSettings
from mmsn.config_errors import explain
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.errors import UserError
from mmsn.evaluation.settings import EvaluationProtocol, FinetuneSettings, LinearSettings, LowDataSettings
from mmsn.images.settings import ImageSettings
from mmsn.method_choice import choose_methods, written_out
from mmsn.methods import ALL_SETS, Method, parse_method
from mmsn.presets import PRESETS, Preset, preset_values
from mmsn.reporting.settings import StatisticsSettings
from mmsn.representation.settings import RepresentationSettings, SubgroupSettings
from mmsn.settings import Section
from mmsn.study_sections import DataPaths, RunGrid
from mmsn.training.settings import (
    SECTIONS,
    BackboneSettings,
    DinoSettings,
    MaeSettings,
    PretrainSettings,
    SupervisedSettings,
    TrainingSettings,
    section_of,
    shared_keys,
)

MIMIC_SHARDS: Final = tuple(f"p{prefix}" for prefix in range(10, 20))
"""MIMIC-CXR's ten top folders: the first two digits of subject_id."""
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9+_-]*")


@dataclass(frozen=True)
class Run:
    """One model of the study."""

    backbone: str
    method: Method
    seed: int

    @property
    def path(self) -> str:
        """Its folder below a stage's results; also its stable name."""
        return f"{self.backbone}/{self.method.id}/seed{self.seed}"


class Study(Section):
    """A whole study. Scientific values only: threads, memory, partitions belong to profiles."""

    name: str
    """Name shown in tables, figures and the report."""
    note: str = ""
    """A sentence about the data that stands under every table, e.g. that they are synthetic."""
    preset: Preset = "paper"
    """Where `pretrain`, `dino`, `mae`, `supervised` and `imputation` take the keys from that they do not set."""
    results: Path = Path("results")
    """Folder of everything a run makes."""
    data: DataPaths
    cohort: CohortSettings
    chexpert: ChexpertSettings = ChexpertSettings()
    nih_14: NihSettings = NihSettings()
    variables: dict[str, Variable]
    """EHR variables by name."""
    imputation: ImputationSettings
    feature_sets: dict[str, tuple[str, ...]]
    """Feature sets: variables in column order."""
    images: ImageSettings
    backbones: dict[str, BackboneSettings]
    runs: RunGrid
    pretrain: PretrainSettings
    dino: DinoSettings
    mae: MaeSettings
    supervised: SupervisedSettings
    linear: LinearSettings
    finetune: FinetuneSettings
    low_data: LowDataSettings = LowDataSettings()
    representation: RepresentationSettings = RepresentationSettings()
    subgroups: SubgroupSettings = SubgroupSettings()
    statistics: StatisticsSettings

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        asked = values.get("preset", "paper")
        preset: Preset = asked if asked in PRESETS else "paper"  # so that a wrong name is the only complaint
        filled = {
            name: _overridden(preset_values(preset, name), values.get(name)) for name in ("imputation", "pretrain")
        }
        shared = shared_keys(filled["pretrain"]) if isinstance(filled["pretrain"], dict) else {}
        linear = values["linear"] if isinstance(values.get("linear"), dict) else {}
        own_views = {"supervised": {"views": linear.get("views") or {}}}
        for name in list(SECTIONS)[1:]:
            start = {**shared, **own_views.get(name, {}), **preset_values(preset, name)}
            filled[name] = _overridden(start, values.get(name))
        if linear:
            filled["finetune"] = _overridden(linear, values.get("finetune"))
        return {**values, **filled}

    @model_validator(mode="after")
    def _names_are_known(self) -> "Study":
        for name in (*self.feature_sets, *self.backbones, *self.variables):
            _require(bool(_SAFE_NAME.fullmatch(name)), f"{name!r}: names are letters, digits, +, _ and -")
        for name in self.variables:
            _require(name == name.lower(), f"variables.{name}: a variable's name is a column: lower case only")
        for name, variables in self.feature_sets.items():
            _require(bool(variables), f"feature_sets.{name}: no variable; name at least one")
            _require(len(set(variables)) == len(variables), f"feature_sets.{name}: a variable is named twice")
            for variable in variables:
                _require_member(variable, self.variables, f"feature_sets.{name}", "variable")
            columns = self.columns(name)
            twice = next((column for column in columns if columns.count(column) > 1), None)
            _require(twice is None, f"feature_sets.{name}: two of its variables have a column {twice}; rename one")
        for backbone in self.runs.backbones:
            _require_member(backbone, self.backbones, "runs.backbones", "backbone")
        for text in self.runs.methods:
            chosen = parse_method(text).feature_set
            if chosen not in (None, ALL_SETS):
                _require_member(str(chosen), self.feature_sets, f"runs.methods {text}", "feature set")
        return self

    @model_validator(mode="after")
    def _runs_make_sense(self) -> "Study":
        _require(
            len(set(self.runs.seeds)) == len(self.runs.seeds), f"runs.seeds: {list(self.runs.seeds)} repeats a seed"
        )
        known = {method.id: None for method in self.methods}
        _require_member(self.statistics.baseline, known, "statistics.baseline", "method of runs.methods")
        for predictor in self.imputation.predictors:
            _require_member(predictor, self.variables, "imputation.predictors", "variable")
        self.evaluated("finetune")  # they complain about a method that is not there
        for protocol in self.low_data.protocols:
            self.low_data_methods(protocol)
        self.represented()
        for section in SECTIONS:
            settings: TrainingSettings = getattr(self, section)
            warmup, epochs = settings.warmup_epochs, settings.epochs
            _require(warmup < epochs, f"{section}.warmup_epochs: {warmup:g} leaves nothing of {epochs} epochs")
        for name in self.runs.backbones:
            self._check_views(name)
            for method in self.methods:
                needed = method.starts_from_imagenet and self.backbones[name].imagenet is None
                _require(
                    not needed,
                    f"backbones.{name}.imagenet: not set, and runs.methods has {method.id}; give "
                    "{weights: <safetensors file>}, or {weights: timm} to let timm download them",
                )
        return self

    def _check_views(self, backbone: str) -> None:
        """Views are whole patches, as far as the backbone's options or name tell the patch size."""
        options, architecture = self.backbones[backbone].options, self.backbones[backbone].architecture
        named = re.search(r"_patch(\d+)", architecture)
        patch = int(options.get("patch_size", named[1] if named else 1))
        sides = {"linear.views.crop": self.linear.views.crop, "supervised.views.crop": self.supervised.views.crop}
        sides["finetune.views.crop"] = self.finetune.views.crop
        for section, views in (("pretrain", self.pretrain.views), ("dino", self.dino.views), ("mae", self.mae.views)):
            sides[f"{section}.views.random_size"] = views.random_size
            sides[f"{section}.views.focal_size"] = views.focal_size
        for key, side in sides.items():
            _require(side % patch == 0, f"{key}: {side} is not a multiple of {backbone}'s patch size {patch}")

    @property
    def methods(self) -> tuple[Method, ...]:
        """Methods in the order of the configuration, `*` written out, without repetition."""
        return written_out(self.runs.methods, self.feature_sets)

    def evaluated(self, protocol: EvaluationProtocol) -> tuple[Method, ...]:
        """Methods that a protocol judges with all training images: every one, or those that are fine-tuned."""
        if protocol == "linear":
            return self.methods
        return choose_methods(self.finetune.methods, self.methods, self.feature_sets, "finetune.methods")

    def low_data_methods(self, protocol: EvaluationProtocol) -> tuple[Method, ...]:
        """Methods that a protocol judges with few training images as well."""
        if protocol not in self.low_data.protocols:
            return ()
        return choose_methods(self.low_data.methods, self.evaluated(protocol), self.feature_sets, "low_data.methods")

    def represented(self) -> tuple[Method, ...]:
        """Methods whose embeddings are measured."""
        chosen = self.representation.methods
        return choose_methods(chosen, self.methods, self.feature_sets, "representation.methods")

    @property
    def grid(self) -> tuple[Run, ...]:
        """Every run of the study."""
        return self.runs_with(self.methods)

    def runs_with(self, methods: Iterable[Method]) -> tuple[Run, ...]:
        """The study's runs with some of its methods."""
        every = product(self.runs.backbones, methods, self.runs.seeds)
        return tuple(Run(backbone, method, seed) for backbone, method, seed in every)

    def training(self, method: Method) -> TrainingSettings:
        """The settings that a method's training takes."""
        settings: TrainingSettings = getattr(self, section_of(method))
        return settings

    def columns(self, feature_set: str) -> tuple[str, ...]:
        """Encoded columns of a feature set, in order."""
        return tuple(
            column
            for variable in self.feature_sets[feature_set]
            for column in self.variables[variable].column_names(variable)
        )


def load_study(config: Mapping[str, Any]) -> Study:
    """Validate a configuration as Snakemake merged it.

    Raises:
        UserError: one line with the key, the value and what is allowed.
    """
    try:
        return Study.model_validate(dict(config))
    except ValidationError as error:
        raise UserError(explain(error, Study)) from None


def check_data(study: Study) -> None:
    """Raise `UserError` unless the folders that the study names exist."""
    _require_path(study.data.mimic_iv, "data.mimic_iv", "the folder of MIMIC-IV")
    _require_path(study.data.mimic_cxr, "data.mimic_cxr", "the folder of MIMIC-CXR-JPG")
    for key, folder in (("data.chexpert", study.data.chexpert), ("data.nih_14", study.data.nih_14)):
        if folder is not None:
            _require_path(folder, key, "the data set's folder, or leave it null")
    if any(method.starts_from_imagenet for method in study.methods):
        for name in study.runs.backbones:
            source = study.backbones[name].imagenet
            if source is not None and source.weights != "timm":
                _require_path(Path(source.weights), f"backbones.{name}.imagenet.weights", "a safetensors file")
    if study.cohort.split == "medfuse":
        use = "MedFuse's patient list; without the lists choose cohort.split: official"
        _require_path(study.data.medfuse_validate, "data.medfuse_validate", use)
        _require_path(study.data.medfuse_test, "data.medfuse_test", use)
    if study.cohort.split == "file":
        _require_path(study.data.split_file, "data.split_file", "your table of patients or images and their splits")


def _overridden(preset: dict[str, Any], overrides: Any) -> Any:
    if overrides is None:
        return preset
    return {**preset, **overrides} if isinstance(overrides, dict) else overrides


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_member(name: str, known: Mapping[str, Any], key: str, what: str) -> None:
    _require(name in known, f"{key}: {name!r} is not a known {what}; known: {', '.join(known)}")


def _require_path(path: Path | None, key: str, use: str) -> None:
    if path is None:
        raise UserError(f"{key} is not set: give {use} in config.yaml, or try the embedded data with `make demo`")
    if not path.exists():
        raise UserError(f"{key}: {path} does not exist: give {use}, or try the embedded data with `make demo`")
