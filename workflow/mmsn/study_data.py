"""Whether the folders and files that a study names are there."""

from pathlib import Path

from mmsn.errors import UserError
from mmsn.study import Study


def check_data(study: Study) -> None:
    """Raise `UserError` unless the folders that the study names exist."""
    _require_path(study.data.mimic_iv, "data.mimic_iv", "the folder of MIMIC-IV")
    _require_path(study.data.mimic_cxr, "data.mimic_cxr", "the folder of MIMIC-CXR-JPG")
    for key, folder in (("data.chexpert", study.data.chexpert), ("data.nih_14", study.data.nih_14)):
        if folder is not None:
            _require_path(folder, key, "the data set's folder, or leave it null")
    for name, settings in study.external.items():
        if settings.images is not None and settings.root is not None:
            _require_path(settings.images, f"external.{name}.images", "the data set's table")
            _require_path(settings.root, f"external.{name}.root", "the folder that the table's paths start from")
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


def _require_path(path: Path | None, key: str, use: str) -> None:
    if path is None:
        raise UserError(f"{key} is not set: give {use} in config.yaml, or try the embedded data with `make demo`")
    if not path.exists():
        raise UserError(f"{key}: {path} does not exist: give {use}, or try the embedded data with `make demo`")
