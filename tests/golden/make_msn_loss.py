"""Make msn_loss.json: inputs and outputs of lightly 1.4.21's MSN loss, run once in a virtual environment of its own.

    python -m venv lightly && lightly/bin/pip install lightly==1.4.21 "numpy<2" && lightly/bin/python make_msn_loss.py

The tests read the file and need no lightly.
"""

import json
from pathlib import Path

import numpy as np

setattr(np, "float_", np.float64)  # noqa: B010  (lightly 1.4.21 imports a name that NumPy 2 dropped)

import torch  # noqa: E402
from lightly.loss import msn_loss  # noqa: E402
from lightly.models.utils import random_token_mask, update_momentum  # noqa: E402

CASES = [
    {"images": 4, "views": 3, "width": 8, "prototypes": 6, "sharpening": 0.25, "iterations": 3, "weight": 1.0},
    {"images": 2, "views": 11, "width": 16, "prototypes": 32, "sharpening": 0.25, "iterations": 3, "weight": 1.0},
    {"images": 8, "views": 1, "width": 4, "prototypes": 5, "sharpening": 0.5, "iterations": 0, "weight": 0.0},
    {"images": 3, "views": 2, "width": 4, "prototypes": 7, "sharpening": 1.0, "iterations": 1, "weight": 2.5},
]


def main() -> None:
    torch.manual_seed(0)
    cases = [_case(**case) for case in CASES]
    masks = {str(n): random_token_mask((1, n), mask_ratio=0.15)[0].shape[1] for n in (196, 36)}
    text = json.dumps({"lightly": "1.4.21", "cases": cases, "kept_tokens": masks, "momentum": _momentum()})
    Path(__file__).with_name("msn_loss.json").write_text(text + "\n")


def _case(images, views, width, prototypes, sharpening, iterations, weight):
    anchors = torch.randn(images * views, width, dtype=torch.float64)
    targets = torch.randn(images, width, dtype=torch.float64)
    centres = torch.randn(prototypes, width, dtype=torch.float64)
    criterion = msn_loss.MSNLoss(temperature=0.1, sinkhorn_iterations=iterations, me_max_weight=weight)
    loss = criterion(anchors, targets, centres, target_sharpen_temperature=sharpening)
    probabilities = torch.rand(images, prototypes, dtype=torch.float64).softmax(dim=1)
    sharpened = msn_loss.sharpen(probabilities.clone(), sharpening)
    balanced = msn_loss.sinkhorn(probabilities.clone(), iterations=iterations)
    return {
        "views": views,
        "sharpening": sharpening,
        "iterations": iterations,
        "weight": weight,
        "anchors": anchors.tolist(),
        "targets": targets.tolist(),
        "prototypes": centres.tolist(),
        "loss": loss.item(),
        "probabilities": probabilities.tolist(),
        "sharpened": sharpened.tolist(),
        "sinkhorn": balanced.tolist(),
    }


def _momentum():
    source, moving = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    before = moving.weight.tolist()
    update_momentum(source, moving, 0.996)
    return {"source": source.weight.tolist(), "before": before, "after": moving.weight.tolist()}


if __name__ == "__main__":
    main()
