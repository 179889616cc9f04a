"""What the figures show."""

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from mmsn.labels import LABELS
from mmsn.settings import Section

FourOrNamed: TypeAlias = Literal["auto"] | tuple[str, ...]


class TsneSettings(Section):
    """Which training images the t-SNE maps are made of, and how (openTSNE)."""

    images: Annotated[int, Field(ge=100)] = 68_000
    """Embedded training images with a single label that are drawn at most, whole patients at random; the paper has
    68,000. `representation.train_images` bounds how many there are."""
    perplexity: Annotated[float, Field(gt=1)] = 30.0
    """Effective number of neighbours; openTSNE's default. Lowered to a third of the images where they are few."""
    quality_images: Annotated[int, Field(ge=10)] = 5000
    """Images of a group of labels that silhouette, Davies-Bouldin and Calinski-Harabasz are taken on at most, whole
    patients at random."""


class FiguresSettings(Section):
    """What the figures show, where that is not said by the tables they draw."""

    patient_images: bool = False
    """Whether figures may show radiographs of the cohort: attention maps, and views and masks of a real image. They go
    into the report, so it is your decision: under the data use agreement of MIMIC-CXR a report that holds them may
    not be shared. When false nothing computes attention, and views and masks are those of a synthetic phantom."""
    compared: str | None = None
    """The method that calibration and attention maps set beside the reference, written as in `runs.methods`; null: of
    the reference's variants with EHR the one with the highest linear AUROC."""
    tsne_methods: FourOrNamed = "auto"
    """Whose embeddings are drawn as t-SNE maps. `auto`: four at most of `representation.methods`, the reference, its
    first variant with EHR, then methods without EHR in the order of the study; or a list; [] for none."""
    tsne: TsneSettings = TsneSettings()
    attention_labels: tuple[str, ...] = (
        "Atelectasis",
        "Cardiomegaly",
        "Consolidation",
        "Edema",
        "Pleural Effusion",
    )
    """Labels of the attention maps: a test image is drawn at random for each, and scored for all of them."""

    @model_validator(mode="after")
    def _labels_are_known(self) -> "FiguresSettings":
        unknown = [label for label in self.attention_labels if label not in LABELS]
        if unknown:
            raise ValueError(f"attention_labels: {unknown[0]!r} is no label; known: {', '.join(LABELS)}")
        if len(set(self.attention_labels)) < len(self.attention_labels):
            raise ValueError("attention_labels: a label is named twice")
        return self
