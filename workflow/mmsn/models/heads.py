"""The projection head h and the EHR fusion g(class token, f_ehr(x))."""

import torch
from torch import Tensor, nn


def projection_head(width: int, hidden: int, out: int) -> nn.Sequential:
    """h: `[B, width]` -> `[B, out]`, layers width-hidden-hidden-out, BatchNorm and GELU after the first two.

    Linear layers before a BatchNorm have no bias (lightly 1.4.21, `MSNProjectionHead`).
    """
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.GELU(),
        nn.Linear(hidden, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.GELU(),
        nn.Linear(hidden, out),
    )


class EhrFusion(nn.Module):
    """g(class token (+) v_ehr) with v_ehr = f_ehr(x), both linear, no activation (paper, methods; released code).

    With no EHR columns there is no f_ehr: g is a plain linear layer on the class token, the controls `msn+g`, `dino+g`,
    `mae+g`.
    """

    def __init__(self, width: int, ehr_columns: int, ehr_width: int) -> None:
        super().__init__()
        self.f_ehr = nn.Linear(ehr_columns, ehr_width) if ehr_columns else None
        self.g = nn.Linear(width + (ehr_width if ehr_columns else 0), width)

    def forward(self, embedding: Tensor, ehr: Tensor | None) -> Tensor:
        """`[V * B, D]` in view-major order, and `[B, n]` -> `[V * B, D]`.

        Raises:
            ValueError: when the EHR is missing, or given to a fusion without EHR columns.
        """
        if (ehr is None) != (self.f_ehr is None):
            raise ValueError("an EHR table is needed exactly when the fusion has EHR columns")
        if self.f_ehr is None or ehr is None:
            return self.g(embedding)
        encoded = self.f_ehr(ehr).repeat(len(embedding) // len(ehr), 1)
        return self.g(torch.cat([embedding, encoded], dim=1))
