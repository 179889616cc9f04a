"""Small parts that tests of training share: a store of noise, a two-layer ViT, settings of any method."""

import numpy as np
import pyarrow as pa

from mmsn.files import write_table
from mmsn.images.store import PixelStore
from mmsn.methods import Method
from mmsn.presets import preset_values
from mmsn.training.settings import SECTIONS, BackboneSettings, section_of, shared_keys

BACKBONE = BackboneSettings(
    title="tiny",
    architecture="vit_tiny_patch16_224",
    options={"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 1, "num_heads": 2},
)
SMALL = {"views": {"random_size": 16, "focal_size": 8, "focal_views": 2}, "batch_size": 8, "epochs": 3}
OWN = {
    "pretrain": {"prototypes": 8},
    "dino": {"head_hidden": 16, "head_bottleneck": 8, "head_outputs": 12},
    "mae": {"decoder_depth": 1, "decoder_width": 16, "decoder_heads": 2},
    "supervised": {"views": {"resize": 20, "crop": 16}},
}


def settings_of(method: Method, preset="paper", **changes):
    """The settings of a method at a size that trains in a second."""
    section = section_of(method)
    shared = shared_keys({**preset_values(preset, "pretrain"), **SMALL})
    values = {**shared, **preset_values(preset, section), **SMALL, **OWN[section], "learning_rate": 1e-3, **changes}
    return SECTIONS[section](**values)


def make_store(folder, images=40):
    """A store of noise, 20 x 20 pixels."""
    random = np.random.default_rng(0)
    np.save(folder / "p10.npy", random.integers(0, 256, (images, 20, 20), dtype=np.uint8))
    ids = [f"d{i:02d}" for i in range(images)]
    rows = list(range(images))
    write_table(
        folder / "index.parquet",
        pa.table({"dicom_id": ids, "subject_id": rows, "shard": ["p10"] * images, "row": rows}),
    )
    return PixelStore(folder)
