"""What the pixel store and the views depend on."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from mmsn.settings import Section

Share = Annotated[float, Field(ge=0, le=1)]
Side = Annotated[int, Field(ge=8, le=4096)]
Count = Annotated[int, Field(ge=0, le=64)]
Range = tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]]


class ImageSettings(Section):
    """How a radiograph becomes one uint8 row [side, side] of the pixel store."""

    side: Side = 256
    """Side of a stored row in pixels, which bounds the detail that a view can show. Pretraining resizes a crop of s %
    of the area to a view of fixed size, and a crop with fewer stored pixels than the view is enlarged, which adds none:
    at 256 about 67 % of the random views (224 pixels) and 36 % of the focal ones (96), at 384 6 % and 5 %, at 512 none.
    377,110 images take 25, 56 and 99 GB. The released code crops from files of width 512."""
    aspect: Literal["squared", "kept"] = "squared"
    """`squared`: both sides are scaled to `side`; the whole radiograph stays in view but is distorted, by
    20 % for a 2544 x 3056 film. `kept`: the shorter side is scaled to `side` and the middle of the longer one
    is kept; nothing is distorted, but the ends of the longer side (17 % of such a film) are lost."""
    stage_to: Annotated[str | None, Field(exclude=True)] = None
    """Folder on each node's own disk, such as `$TMPDIR`, to which jobs that train or embed copy the store first; null:
    read where it lies. Says where bytes are, not what they are, so no result depends on it."""
    max_unreadable_share: Share = 0.001
    """Share of unreadable images above which the run stops instead of going on without them."""
    jpeg_draft: bool = True
    """Decode JPEGs at the smallest of 1/1, 1/2, 1/4, 1/8 size that is still twice `side`, then resize:
    several times faster, off by a fraction of a grey level. `false` decodes every pixel."""
    file_suffix: Literal[".jpg", ".png", ".dcm"] | None = None
    """Read files of this ending in the places that `images.parquet` lists: `.dcm` for MIMIC-CXR's DICOM files, which
    lie as the JPEGs of MIMIC-CXR-JPG do. null: the files as listed. Grey levels differ between the two: the makers of
    MIMIC-CXR-JPG equalised the histogram, a DICOM file is shown through its own window."""


class ViewSettings(Section):
    """The views of one image in pretraining (defaults: the paper and the released code)."""

    random_size: Side = 224
    """Side of the target and random views in pixels."""
    random_scale: Range = (0.3, 1.0)
    """Smallest and largest share of the image's area in a target or random view."""
    random_views: Count = 1
    """Random (anchor) views of an image beside its one target view."""
    focal_size: Side = 96
    """Side of the focal views in pixels."""
    focal_scale: Range = (0.05, 0.3)
    """Smallest and largest share of the image's area in a focal view."""
    focal_views: Count = 10
    """Focal (anchor) views of an image."""
    ratio: Range = (3 / 4, 4 / 3)
    """Smallest and largest width / height of a crop before it is resized (torchvision's default)."""
    hflip: Share = 0.5
    """Probability that a view is mirrored left to right."""

    @model_validator(mode="after")
    def _ranges_in_order(self) -> "ViewSettings":
        for name in ("random_scale", "focal_scale", "ratio"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} is ({low:g}, {high:g}): give the smaller number first")
        for name in ("random_scale", "focal_scale"):
            if getattr(self, name)[1] > 1:
                raise ValueError(f"{name} ends at {getattr(self, name)[1]:g}: a crop is at most the whole image, 1")
        return self


class EvalViewSettings(Section):
    """The views of linear evaluation and fine-tuning (SPEC 4; the released `train_transforms`)."""

    resize: Side = 256
    """Side to which the stored row is resized before anything else."""
    crop: Side = 224
    """Side of the central crop that the encoder sees."""
    hflip: Share = 0.5
    """Training only: probability that an image is mirrored left to right."""
    degrees: Annotated[float, Field(ge=0, le=180)] = 45.0
    """Training only: largest rotation to either side."""
    translate: Share = 0.15
    """Training only: largest shift along either axis as a share of the side."""
    scale: Range = (0.85, 1.15)
    """Training only: smallest and largest zoom."""
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    """Training only: how the rotated image is sampled; `nearest` is torchvision's default."""
    normalisation: Literal["imagenet", "released"] = "imagenet"
    """`imagenet`: the mean and standard deviation that pretraining uses. `released`: the other ones that the
    released evaluation has under the name IMAGENET_STAT (`src/data/utils.py`)."""

    @model_validator(mode="after")
    def _crop_fits(self) -> "EvalViewSettings":
        if self.crop > self.resize:
            raise ValueError(f"crop {self.crop} is larger than resize {self.resize}: the crop is cut out of it")
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is {self.scale}: give the smaller number first")
        return self
