"""A linear evaluation from its files to its files."""

from mmsn.evaluation.job import EvaluationFiles, EvaluationJob, conclude, fingerprint, load, with_chosen_run
from mmsn.evaluation.keep import keep
from mmsn.evaluation.linear import LinearEvaluation
from mmsn.evaluation.settings import LinearSettings


def run_linear(files: EvaluationFiles, job: EvaluationJob, settings_json: str) -> None:
    """Train the probes of one encoder; write test predictions and the record of every run."""
    settings = with_chosen_run(LinearSettings.model_validate_json(settings_json), files)
    loaded = load(files, job)
    identity = fingerprint(files, job, settings, "evaluation.run")
    where = loaded.device, job.title, files.checkpoint, identity
    evaluation = LinearEvaluation(loaded.encoder, loaded.store, loaded.splits, settings, job.seed, *where)
    result = evaluation.run()
    keep(files, loaded, result, settings)
    conclude(files, loaded, result)
