"""A vision transformer's blocks, which compute no more than what is asked for."""

from typing import TypeGuard

import torch
from timm.layers.attention import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.nn import functional as F


class Blocks(nn.Sequential):
    """timm's blocks under the same names; asked for the class token alone, the last one computes it alone.

    Of the last block's patches only keys and values are then needed, and these only inside sums, which matrix products
    are pulled out of: q . (W x) = (W^T q) . x, and the sum of a (W x) = W (sum of a x). So the last block costs
    next to nothing, a twelfth of the encoder of twelve. The result is the same but for rounding.
    """

    def forward(self, tokens: Tensor, class_only: bool = False) -> Tensor:
        """`[B, N, D]` -> `[B, N, D]`, or `[B, D]`, the class token, which is the first."""
        *before, last = self
        for block in before:
            tokens = block(tokens)
        if class_only and is_plain(last):
            return class_token_through(last, tokens)
        after: Tensor = last(tokens)
        return after[:, 0] if class_only else after


def is_plain(block: nn.Module) -> TypeGuard[Block]:
    """Whether a block is pre-norm attention and a perceptron as in the paper's encoders, with nothing else inside."""
    if type(block) is not Block or type(block.attn) is not Attention:
        return False
    attention = block.attn
    unused = (attention.q_norm, attention.k_norm, attention.norm)
    plain = all(isinstance(module, nn.Identity) for module in unused) and getattr(attention, "gate", None) is None
    return plain and attention.attn_drop.p == 0


def class_token_through(block: Block, tokens: Tensor) -> Tensor:
    """The class token after a plain block, `[B, N, D]` -> `[B, D]`."""
    assert isinstance(block.attn, Attention)  # is_plain made sure
    attended = block.attn.proj_drop(class_attention(block.attn, block.norm1(tokens)))
    token = tokens[:, 0] + block.drop_path1(block.ls1(attended))
    return token + block.drop_path2(block.ls2(block.mlp(block.norm2(token))))


def class_attention(attention: Attention, tokens: Tensor) -> Tensor:
    """What the class token gathers from all tokens, `[B, N, D]` -> `[B, D]`.

    The keys' bias adds the same to each of its scores, which the softmax does not see; it is left out.
    """
    heads, width = attention.num_heads, tokens.shape[-1]
    query_weight, key_weight, value_weight = attention.qkv.weight.chunk(3)
    biases = (None, None, None) if attention.qkv.bias is None else attention.qkv.bias.chunk(3)
    query = F.linear(tokens[:, 0], query_weight, biases[0]).unflatten(1, (heads, -1)) * attention.scale
    wanted = torch.einsum("bhd,hdc->bhc", query, key_weight.view(heads, -1, width))
    shares = (wanted @ tokens.transpose(1, 2)).softmax(dim=-1)
    gathered = torch.einsum("bhc,hdc->bhd", shares @ tokens, value_weight.view(heads, -1, width)).flatten(1)
    return attention.proj(gathered if biases[2] is None else gathered + biases[2])
