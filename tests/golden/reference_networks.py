"""What lightly's networks answer, computed in float64 on float32 weights and inputs."""

import torch
from torch import Tensor

from tests.golden import drawn
from tests.golden.oracle import backbone, decoder, dino_head, kept_and_masked, msn_head, utils, with_drawn_weights


def answers() -> dict[str, Tensor]:
    torch.set_grad_enabled(False)
    try:
        return {**_encoder(), **_heads(), **_moving_average(), **_autoencoder()}
    finally:
        torch.set_grad_enabled(True)


def _encoder() -> dict[str, Tensor]:
    """Tokens after the final norm, in the order of their places."""
    encoder, found = with_drawn_weights(backbone(), "encoder").double(), {}
    for name in ("target", "focal"):
        image = _first(name)
        keep, _ = kept_and_masked(0, 1, (image.shape[-1] // drawn.PATCH) ** 2, 0.15)
        found[f"encoder.{name}"] = encoder.encode(image)
        found[f"encoder.{name}.kept"] = encoder.encode(image, keep.sort(dim=1).values)
    return found


def _first(name: str) -> Tensor:
    return torch.from_numpy(drawn.views(0)[name][:1]).double()


def _heads() -> dict[str, Tensor]:
    embedded = torch.from_numpy(drawn.drawn("embedded", shape=(12, drawn.WIDTH))).double()
    head = with_drawn_weights(msn_head(), "head").double()
    training = head(embedded)
    return {
        "msn_head.training": training,
        "msn_head.evaluated": head.eval()(embedded),
        "dino_head": with_drawn_weights(dino_head(), "head").double()(embedded),
    }


def _moving_average() -> dict[str, Tensor]:
    """A head after it has followed another one for ten steps."""
    source, target = (with_drawn_weights(msn_head(), name).double() for name in ("source", "target"))
    for _ in range(10):
        utils.update_momentum(source, target, 0.996)
    return {f"moved.{name}": parameter for name, parameter in target.named_parameters()}


def _autoencoder() -> dict[str, Tensor]:
    """Of one image: its patches, those that are masked, and what the decoder says of them."""
    encoder = with_drawn_weights(backbone(), "encoder").double()
    reader = with_drawn_weights(decoder(encoder.seq_length), "decoder").double()
    mask_token = torch.from_numpy(drawn.weight("mask_token", (1, 1, drawn.DECODER["width"]))).double()
    image = _first("target")
    keep, masked = kept_and_masked(0, 1, encoder.seq_length, 0.6)
    masked = masked.sort(dim=1).values
    whole = utils.repeat_token(mask_token, (1, encoder.seq_length))
    whole = utils.set_at_index(whole, keep, reader.embed(encoder.encode(image, keep)))
    patches = utils.patchify(image, drawn.PATCH)
    predicted = reader.predict(utils.get_at_index(reader.decode(whole), masked))
    return {
        "mae.patches": patches.float(),
        "mae.masked": masked.to(torch.uint8),
        "mae.predicted": predicted,
        "mae.loss": torch.nn.functional.mse_loss(predicted, utils.get_at_index(patches, masked - 1)),
    }
