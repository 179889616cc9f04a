"""A fine-tuning from its files to its files."""

from typing import Final

from torch import Tensor

from mmsn.evaluation.finetune import FineTuning
from mmsn.evaluation.job import EvaluationFiles, EvaluationJob, Loaded, conclude, fingerprint, load, with_chosen_run
from mmsn.evaluation.keep import keep
from mmsn.evaluation.records import load_records
from mmsn.evaluation.settings import FinetuneSettings
from mmsn.memory import keep_freed_memory

_ONLY: Final = "ehr"


def run_finetune(files: EvaluationFiles, job: EvaluationJob, settings_json: str) -> None:
    """Fine-tune one encoder in every run; write test predictions and the record of the runs."""
    settings = with_chosen_run(FinetuneSettings.model_validate_json(settings_json), files)
    loaded = load(files, job)
    if loaded.device.type == "cpu":
        keep_freed_memory()
    identity = fingerprint(files, job, settings, "evaluation.finetune_run")
    where = loaded.device, job.title, files.checkpoint, identity
    ehr = _ehr(files, loaded)
    tuning = FineTuning(loaded.encoder, loaded.store, loaded.splits, settings, job.seed, *where, ehr=ehr)
    result = tuning.run()
    keep(files, loaded, result, settings)
    conclude(files, loaded, result)


def _ehr(files: EvaluationFiles, loaded: Loaded) -> dict[str, Tensor]:
    """Split -> encoded EHR of its images; empty where the head reads none."""
    if files.features is None:
        return {}
    found = load_records({_ONLY: files.features}, files.images, loaded.splits)
    return {split: tables[_ONLY] for split, tables in found.items()}
