"""The model card that leaves the house with an encoder: Markdown with the fields that model hubs read."""

from typing import Any

import yaml

_LICENCE = (
    "Weights fall under the terms of the images they were trained on. With credentialed data such as MIMIC-CXR that is "
    "the data use agreement: share them only as it allows."
)


def model_card(resolved: dict[str, Any], history: list[dict[str, float]]) -> str:
    """What an encoder is, what it saw, and how to load it.

    Args:
        resolved: everything the run was made of, as resolved.yaml holds it.
        history: one row an epoch; empty for an encoder that was not trained here.
    """
    backbone = resolved["backbone"]
    front = {"library_name": "timm", "tags": ["chest-x-ray", "self-supervised", resolved["method"]]}
    arguments = "".join(f"    {name}={value!r},\n" for name, value in backbone["options"].items())
    lines = [
        f"---\n{yaml.safe_dump(front, sort_keys=False)}---",
        f"# {backbone['title']}, {resolved['method']}, seed {resolved['seed']}",
        "An image encoder of mmsn, the multi-modal masked Siamese network (Shurrab et al., Sci Rep 14:22516, 2024). "
        "It takes radiographs only; where a health record was used in pretraining it is not needed any more. For "
        "research, not for the care of patients.",
        "## Load\n\n```python\nimport timm\n\nencoder = timm.create_model(\n"
        f'    "{backbone["architecture"]}",\n{arguments}    num_classes=0,\n'
        '    checkpoint_path="encoder.safetensors",\n)\n```',
        "Input: grey levels 0 to 1 in three equal channels, normalised with ImageNet's mean (.485, .456, .406) and "
        "standard deviation (.229, .224, .225). Embedding: the class token after the final norm.",
        f"## Training\n\n{_training(resolved, history)}",
        f"## Licence\n\n{_LICENCE}",
        f"## Resolved settings\n\n```yaml\n{yaml.safe_dump(resolved, sort_keys=False)}```",
    ]
    return "\n\n".join(lines) + "\n"


def _training(resolved: dict[str, Any], history: list[dict[str, float]]) -> str:
    split = resolved.get("split_sha256")
    data = f"{resolved['images']:,} images" + (f", split {split}" if split else "")
    if not history:
        return f"Not trained on the study's images ({data}): judged as it was drawn or published."
    last = history[-1]
    return (
        f"{data}; {last['epoch']} epochs, {last['step']:,} steps on {resolved['device']} in {resolved['computed_in']}; "
        f"last loss {last['loss']:.4f}, RankMe {last['rankme']:.1f}."
    )
