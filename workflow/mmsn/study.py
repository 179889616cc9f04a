"""Configuration -> one validated, frozen study: presets resolved, the grid of runs, stable names.

Read at every start of the workflow, also on cluster nodes, so nothing heavy is imported here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError, model_validator

from mmsn.cohort.external.settings import ChexpertSettings, NihSettings
from mmsn.cohort.settings import CohortSettings
from mmsn.config_errors import explain
from mmsn.ehr.settings import ImputationSettings, Variable
from mmsn.errors import UserError
from mmsn.evaluation.settings import (
    EhrAtEvaluationSettings,
    EvaluationProtocol,
    FinetuneSettings,
    LinearSettings,
    LowDataSettings,
    ReadingsSettings,
)
from mmsn.external_sets import ExternalSet, Head, check_external, head_of
from mmsn.figures.choice import pictured_methods
from mmsn.figures.settings import FiguresSettings
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
    external: dict[str, ExternalSet] = Field(default_factory=dict)
    """Which encoders are judged on which other data sets, by name: chexpert, nih-14, and any of your own."""
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
    readings: ReadingsSettings = ReadingsSettings()
    ehr_at_evaluation: EhrAtEvaluationSettings = EhrAtEvaluationSettings()
    representation: RepresentationSettings = RepresentationSettings()
    subgroups: SubgroupSettings = SubgroupSettings()
    figures: FiguresSettings = FiguresSettings()
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
            shared = {name: value for name, value in linear.items() if name != "bank"}
            filled["finetune"] = _overridden(shared, values.get("finetune"))
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
        check_external(self.external)
        for name in self.external:
            self.judged_on(name, "linear")
            self.judged_on(name, "finetune")
        self.represented()
        self.pictured()
        self.compared()
        self.read_further()
        for name in self.ehr_sets:
            _require_member(name, self.feature_sets, "ehr_at_evaluation.feature_sets", "feature set")
        for protocol in ("linear", "finetune"):
            self.judged_with_ehr(protocol)
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

    def judged_on(self, data_set: str, protocol: EvaluationProtocol) -> tuple[Method, ...]:
        """Methods that a protocol also judges on another data set."""
        settings = self.external.get(data_set)
        if settings is None:
            return ()
        choice = settings.linear if protocol == "linear" else settings.finetune
        key = f"external.{data_set}.{protocol}"
        return choose_methods(choice, self.evaluated(protocol), self.feature_sets, key)

    def head_of(self, data_set: str) -> Head:
        """Whose head judges another data set: MIMIC-CXR's as it is, or one of its own."""
        return head_of(data_set, self.external.get(data_set, ExternalSet()))

    def low_data_methods(self, protocol: EvaluationProtocol) -> tuple[Method, ...]:
        """Methods that a protocol judges with few training images as well."""
        if protocol not in self.low_data.protocols:
            return ()
        return choose_methods(self.low_data.methods, self.evaluated(protocol), self.feature_sets, "low_data.methods")

    def represented(self) -> tuple[Method, ...]:
        """Methods whose embeddings are measured."""
        chosen = self.representation.methods
        return choose_methods(chosen, self.methods, self.feature_sets, "representation.methods")

    def pictured(self) -> tuple[Method, ...]:
        """Methods whose embeddings are drawn as t-SNE maps, in the order of the figure's columns."""
        chosen = self.figures.tsne_methods
        return pictured_methods(chosen, self.represented(), self.statistics.baseline, self.feature_sets)

    def compared(self) -> Method | None:
        """The method that figures with room for two set beside the reference; None: the best variant with EHR."""
        if self.figures.compared is None:
            return None
        return choose_methods((self.figures.compared,), self.methods, self.feature_sets, "figures.compared")[0]

    def read_further(self) -> tuple[Method, ...]:
        """Methods with heads that read more than the class token."""
        further = self.readings.tokens or self.readings.bank
        chosen = self.readings.methods if further else ()
        return choose_methods(chosen, self.methods, self.feature_sets, "readings.methods")

    @property
    def ehr_sets(self) -> tuple[str, ...]:
        """Feature sets that are given at evaluation too."""
        chosen = self.ehr_at_evaluation.feature_sets
        return tuple(self.feature_sets) if chosen == "all" else chosen

    def judged_with_ehr(self, protocol: EvaluationProtocol) -> dict[Method, tuple[str, ...]]:
        """Methods that a protocol also judges with the record, and the feature sets that each is given."""
        key, among = f"ehr_at_evaluation.{protocol}", self.evaluated(protocol)
        choice = getattr(self.ehr_at_evaluation, protocol) if self.ehr_sets else ()
        if choice == "msn":
            chosen = tuple(m for m in among if m.kind in ("msn", "msn+ehr") and m.control is None)
        else:
            chosen = choose_methods(choice, among, self.feature_sets, key)
        given = {m: self.ehr_sets if m.feature_set is None else (m.feature_set,) for m in chosen}
        without = next((m.id for m, sets in given.items() if not set(sets) <= set(self.ehr_sets)), None)
        named = not isinstance(choice, str)
        _require(not named or without is None, f"{key}: {without} has a set that ehr_at_evaluation.feature_sets lacks")
        return {m: sets for m, sets in given.items() if set(sets) <= set(self.ehr_sets)}

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


def _overridden(preset: dict[str, Any], overrides: Any) -> Any:
    if overrides is None:
        return preset
    return {**preset, **overrides} if isinstance(overrides, dict) else overrides


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_member(name: str, known: Mapping[str, Any], key: str, what: str) -> None:
    _require(name in known, f"{key}: {name!r} is not a known {what}; known: {', '.join(known)}")
