"""A pretraining run from its files to its files."""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import pyarrow as pa
import torch
import yaml

from mmsn.console import logger, only_errors
from mmsn.devices import describe, pick_device
from mmsn.encoder_file import save_encoder
from mmsn.files import write_table, write_text
from mmsn.images.staging import open_store
from mmsn.lineage import Split
from mmsn.memory import keep_freed_memory
from mmsn.provenance import code_digest, content_digest
from mmsn.training.card import model_card
from mmsn.training.companions import Companions, alone_at, train_together
from mmsn.training.distributed import World, joined
from mmsn.training.member import (
    RUN_DIGEST,
    Member,
    Place,
    PretrainFiles,
    PretrainRun,
    run_digest,
    taken_up,
    weights_digest,
)
from mmsn.training.precision import computed_precision
from mmsn.training.settings import section_of
from mmsn.training.steps.base import PretrainingStep
from mmsn.training.steps.create import as_built

HISTORY_SCHEMA = pa.schema(
    [
        ("epoch", pa.int32()),
        ("step", pa.int32()),
        ("loss", pa.float64()),
        # null where a method has no such thing
        ("cross_entropy", pa.float64()),
        ("mean_entropy_loss", pa.float64()),
        ("target_entropy", pa.float64()),
        ("anchor_entropy", pa.float64()),
        ("entropy_bound", pa.float64()),  # log of the number of prototypes or outputs
        ("used_prototypes", pa.float64()),
        ("gradient_norm", pa.float64()),
        ("skipped_steps", pa.float64()),
        ("rankme", pa.float64()),
        ("feature_spread", pa.float64()),
        ("learning_rate", pa.float64()),
        ("images_per_second", pa.float64()),
        ("peak_memory_gb", pa.float64()),
    ]
)


def run_pretraining(
    files: PretrainFiles,
    run: PretrainRun,
    checkpoint_seconds: float,
    threads: int,
    device: str,
    companions: Sequence[tuple[PretrainFiles, PretrainRun]] = (),
) -> None:
    """Pretrain and write encoder, history, model card and what the run was made of.

    Under torchrun every process calls this; the first of them writes. In one process `companions` are trained as well,
    as far as they are not done: they are left in their checkpoints, from which their own jobs write their results.
    """
    torch.set_num_threads(threads)
    # What is not trained is only written: it needs no GPU beside a model that does.
    where = pick_device(device if run.method.is_trained else "cpu", int(os.environ.get("LOCAL_RANK", "0")))
    if where.type == "cpu":
        keep_freed_memory()
    with joined(where) as world, ExitStack() as locks:
        if not world.leads:
            only_errors()
        started = time.monotonic()
        place = Place(where, world, open_store(files.store), checkpoint_seconds)
        others = Companions(companions, place, locks) if companions and world.size == 1 else None
        if companions and world.size > 1:
            logger.warning("warning: several GPUs train one model, so runs.pack shares nothing; set it to 1")
        if others is not None:
            locks.enter_context(alone_at(files))
        member = taken_up(files, run, place)
        history = _trained(member, place, others)
        if world.leads:
            resolved = _resolved(files, run, member, time.monotonic() - started, where, world)
            _write(files, run, member.step, history, resolved)


def _trained(member: Member, place: Place, others: Companions | None) -> list[dict[str, float]]:
    training = member.training
    if training is None:
        return []
    if training.open:
        if place.device.type == "cuda":
            place.store.load(place.device)  # batches are then cut on the GPU, without a copy a step
        if others is not None:
            return train_together(training, others, place)
    return training.run()


def _write(
    files: PretrainFiles,
    run: PretrainRun,
    step: PretrainingStep,
    history: list[dict[str, float]],
    resolved: dict[str, Any],
) -> None:
    backbone = as_built(run.method, run.backbone)
    save_encoder(files.encoder, step.kept_encoder, backbone, run.method.id, Split.of_file(files.images))
    write_table(files.history, pa.Table.from_pylist(history, schema=HISTORY_SCHEMA))
    write_text(files.resolved, yaml.safe_dump(resolved, sort_keys=False))
    write_text(files.card, model_card(resolved, history))
    files.checkpoint.unlink(missing_ok=True)
    logger.info("%s: encoder written", run.title)


def _resolved(
    files: PretrainFiles, run: PretrainRun, member: Member, seconds: float, device: torch.device, world: World
) -> dict[str, Any]:
    data, training = member.data, member.training
    return {
        "method": run.method.id,
        "seed": run.seed,
        "backbone": as_built(run.method, run.backbone).model_dump(mode="json"),
        section_of(run.method): run.settings.model_dump(mode="json"),
        "rows": run.settings.rows,
        **({"imagenet_weights": weights_digest(run)} if run.method.starts_from_imagenet else {}),
        "images": len(data),
        "split_sha256": Split.of_file(files.images).sha256,
        "ehr_columns": 0 if data.ehr is None else data.ehr.shape[1],
        "cohort_digest": content_digest([files.images]),
        "code_digest": code_digest("training.command", run.method.step_module),
        "device": describe(device),
        "computed_in": computed_precision(run.settings.precision, device),
        "processes": world.size,
        "runs_in_a_process": training.standing.together if training else 1,
        "seconds_since_last_start": round(seconds, 1),
        "torch": str(torch.__version__),
        RUN_DIGEST: run_digest(files, run),
    }
