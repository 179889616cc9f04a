"""The three presets of SPEC 3: one row a key, one column a preset.

`released`: what the authors' code does. `paper` (the default): the paper's text, the released code where the text is
silent, the obvious bugs not repeated. `corrected`: what we would run.
"""

from typing import Any, Final, Literal

Preset = Literal["released", "paper", "corrected"]
PRESETS: Final[tuple[Preset, ...]] = ("released", "paper", "corrected")

ROWS: Final[dict[str, tuple[Any, Any, Any]]] = {
    # key: (released, paper, corrected)
    # `paper`: its text names a random forest and no more, so the released one it is, a flaw but not a slip
    "imputation.model": ("regressor", "regressor", "classifier"),
    "imputation.fit_on": ("all", "all", "train"),
    "pretrain.rows": ("all", "train", "train"),
    "pretrain.initialisation": ("torchvision", "torchvision", "timm"),
    "pretrain.views": ({}, {}, {}),  # ViewSettings' own defaults: equal in all three
    "pretrain.mask_ratio": (0.15, 0.15, 0.15),
    "pretrain.mask_random": (True, True, True),
    "pretrain.mask_focal": (True, True, True),
    "pretrain.class_token_aware": (False, True, True),  # an off-by-one, so not repeated under `paper`
    "pretrain.positives": ("same-image", "same-image", "same-image"),
    "pretrain.embedding": ("class", "class", "class"),
    "pretrain.projection_width": (4, 4, 4),
    "pretrain.ehr_width": (128, 128, 128),
    "pretrain.separate_projection": (True, True, False),
    "pretrain.prototypes": (1024, 1024, 64),  # corrected: no more prototypes than targets in a batch
    "pretrain.trainable_prototypes": (False, True, True),
    "pretrain.temperature": (0.1, 0.1, 0.1),
    "pretrain.target_sharpening": (0.25, 0.25, 0.25),
    "pretrain.sinkhorn_iterations": (3, 3, 3),
    "pretrain.target_queue": (0, 0, 0),
    "pretrain.prior": ("uniform", "uniform", "uniform"),
    "pretrain.power_law_exponent": (0.25, 0.25, 0.25),  # PMSN's
    "pretrain.mean_entropy_weight": (1.0, 1.0, 1.0),
    "pretrain.ema_momentum": (0.996, 0.996, 0.996),
    "pretrain.ema_momentum_end": (0.996, 0.996, 0.996),
    "pretrain.ema_period_epochs": (0, 0, 0),
    "pretrain.batch_size": (64, 64, 64),
    "pretrain.accumulate": (1, 1, 1),
    "pretrain.epochs": (100, 100, 100),
    "pretrain.learning_rate": (1e-4, 1e-4, 1e-4),
    "pretrain.weight_decay": (1e-3, 1e-3, 1e-3),
    "pretrain.decay_exclusions": (False, False, True),
    "pretrain.schedule": ("cosine-per-epoch", "cosine-per-epoch", "cosine-per-step"),
    "pretrain.warmup_epochs": (0, 0, 15),
    "pretrain.clip_gradient": (0, 0, 0),
    "pretrain.early_stop_patience": (0, 5, 5),
    "pretrain.early_stop_min_delta": (1e-5, 1e-5, 1e-5),
    "pretrain.precision": ("fp16", "fp16", "fp16"),
    "pretrain.compile": (False, False, False),
    # What a section below does not name it takes from `pretrain`: rows, epochs, batch size, schedule, ...
    # The released baselines share MSN's views: the first two are DINO's global ones, the first is MAE's.
    "dino.learning_rate": (1e-5, 1e-5, 1e-5),
    "dino.weight_decay": (1e-4, 1e-4, 1e-4),
    "dino.ema_momentum": (0.996, 0.996, 0.996),
    "dino.ema_momentum_end": (1.0, 1.0, 1.0),
    "dino.ema_period_epochs": (10, 0, 0),  # a 10-epoch schedule over 100 epochs swings: a slip, not repeated
    "dino.head_hidden": (512, 512, 512),
    "dino.head_bottleneck": (256, 256, 256),
    "dino.head_outputs": (1024, 1024, 1024),
    "dino.head_init_std": (0.2, 0.2, 0.02),  # corrected: facebookresearch/dino's
    "dino.same_head_init": (False, True, True),
    "dino.student_temperature": (0.1, 0.1, 0.1),
    "dino.teacher_temperature": (0.04, 0.04, 0.04),
    "dino.teacher_temperature_start": (0.04, 0.04, 0.04),
    "dino.teacher_warmup_epochs": (5, 5, 5),
    "dino.centering": ("mean", "mean", "mean"),  # the paper's DINO is of 2021; sinkhorn is DINOv2's
    "dino.centre_momentum": (0.9, 0.9, 0.9),
    "dino.sinkhorn_iterations": (3, 3, 3),
    "dino.frozen_last_layer_epochs": (1, 1, 1),
    "dino.kept": ("student", "teacher", "teacher"),
    "mae.learning_rate": (1e-5, 1e-5, 1e-5),
    "mae.weight_decay": (1e-4, 1e-4, 1e-4),
    "mae.mask_ratio": (0.6, 0.6, 0.6),
    "mae.class_token_aware": (False, True, True),
    "mae.decoder_depth": (8, 8, 8),
    "mae.decoder_width": (512, 512, 512),
    "mae.decoder_heads": (16, 16, 16),
    "mae.normalise_targets": (False, False, False),
    "supervised.rows": ("train", "train", "train"),
    "supervised.learning_rate": (1e-4, 1e-4, 1e-4),
    "supervised.weight_decay": (0.0, 0.0, 0.0),  # the evaluation's Adam has none
}


def preset_values(preset: Preset, section: str) -> dict[str, Any]:
    """The keys of `section` (`pretrain`, `dino`, `imputation`, ...) as `preset` sets them."""
    column = PRESETS.index(preset)
    prefix = f"{section}."
    return {key.removeprefix(prefix): row[column] for key, row in ROWS.items() if key.startswith(prefix)}
