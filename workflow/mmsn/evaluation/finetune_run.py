"""A fine-tuning from its files to its files."""

from mmsn.evaluation.finetune import FineTuning
from mmsn.evaluation.job import EvaluationFiles, EvaluationJob, conclude, fingerprint, load, with_chosen_run
from mmsn.evaluation.settings import FinetuneSettings
from mmsn.memory import keep_freed_memory


def run_finetune(files: EvaluationFiles, job: EvaluationJob, settings_json: str) -> None:
    """Fine-tune one encoder in every run; write test predictions and the record of the runs."""
    settings = with_chosen_run(FinetuneSettings.model_validate_json(settings_json), files)
    loaded = load(files, job)
    if loaded.device.type == "cpu":
        keep_freed_memory()
    identity = fingerprint(files, job, settings, "evaluation.finetune_run")
    where = loaded.device, job.title, files.checkpoint, identity
    tuning = FineTuning(loaded.encoder, loaded.store, loaded.splits, settings, job.seed, *where)
    conclude(files, loaded, tuning.run())
