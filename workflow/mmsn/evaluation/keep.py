"""What of an evaluation is kept to judge other images: the chosen head, and the encoder where it was trained too."""

from typing import Protocol

from torch import nn

from mmsn.encoder_file import save_finetuned
from mmsn.evaluation.job import EvaluationFiles, Loaded
from mmsn.evaluation.kept_head import HeadFacts, save_head
from mmsn.evaluation.settings import FinetuneSettings, ProtocolSettings
from mmsn.evaluation.trial import RunRecord
from mmsn.lineage import Split
from mmsn.provenance import content_digest


class Chosen(Protocol):
    """The model that an evaluation chose, with the weights of its best epoch."""

    @property
    def head(self) -> nn.Linear:
        """`[D] -> [L]`."""

    @property
    def chosen_record(self) -> RunRecord:
        """How its run went."""


def keep(files: EvaluationFiles, loaded: Loaded, chosen: Chosen, settings: ProtocolSettings) -> None:
    """Write the files that `files.head` and `files.finetuned` name; nothing where they are None.

    A head of fine-tuning belongs to the fine-tuned encoder, so the one is kept with the other.
    """
    if files.head is None:
        return
    encoder, split = files.encoder, Split.of_file(files.images)
    if isinstance(settings, FinetuneSettings) and files.finetuned is not None:
        save_finetuned(files.finetuned, loaded.encoder, files.encoder, split.data_set)
        encoder = files.finetuned
    facts = HeadFacts(
        protocol="finetune" if isinstance(settings, FinetuneSettings) else "linear",
        run=chosen.chosen_record.run.id,
        labels=loaded.splits["test"].labels,
        encoder_digest=content_digest([encoder]),
        views=settings.views,
        precision=settings.precision if isinstance(settings, FinetuneSettings) else "fp32",
        split=split,
        untrained=loaded.untrained,
    )
    save_head(files.head, chosen.head, facts)
