"""Sections of the configuration that no stage has: where the data lie, which models there are."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from mmsn.settings import Section


class DataPaths(Section):
    """Where the data lie; relative paths start at the working directory. Nothing is ever downloaded."""

    mimic_iv: Path | None = None
    """MIMIC-IV: the folder that holds `hosp/` (2.x, 3.x) or `core/` (1.0), and `icu/`."""
    mimic_cxr: Path | None = None
    """MIMIC-CXR-JPG: the folder that holds `mimic-cxr-2.x.0-metadata.csv.gz` and `files/`."""
    medfuse_validate: Path | None = None
    """MedFuse's list of validation patients (only for `cohort.split: medfuse`)."""
    medfuse_test: Path | None = None
    """MedFuse's list of test patients (only for `cohort.split: medfuse`)."""
    split_file: Path | None = None
    """A split of your own (only for `cohort.split: file`): a CSV or Parquet table with the columns `subject_id,split`
    or `dicom_id,split`; the splits are train, validate and test."""
    chexpert: Path | None = None
    """CheXpert, where its counts are wanted: the folder that holds `train.csv`, `valid.csv` and the test labels."""
    nih_14: Path | None = None
    """NIH ChestX-ray14, where its counts are wanted: the folder that holds `Data_Entry_2017*.csv` and the lists."""


class RunGrid(Section):
    """Which models are pretrained and judged: backbones x methods x seeds."""

    backbones: tuple[str, ...]
    """Names from `backbones`."""
    methods: tuple[str, ...]
    """`msn`, `msn+ehr(<set>)`, `msn+ehr(*)` for every set, the controls `msn+g`, `msn+ehr(<set>, shuffled)`,
    `msn+ehr(<set>, constant)`; the same with `dino` and `mae`; `supervised`, `supervised-imagenet`, and what is judged
    without training: `random-init`, `imagenet`."""
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Seeds of pretraining and evaluation."""
    pack: Annotated[int, Field(ge=1, exclude=True)] = 1
    """Pretraining runs that one process trains side by side on the same views, at most: those of a backbone, seed and
    kind of method. No result depends on it, and changing it re-runs nothing."""
