"""What the paper's numbers are where a claim is judged."""

import pandas as pd

from mmsn.paper.definitions import BACKBONES, SINGLE, Block
from mmsn.paper.verdicts import Kind
from mmsn.reporting.number_format import decimal, signed
from mmsn.reporting.published import published


def paper_says(kind: Kind, block: Block, backbone_name: str) -> str:
    """AUROCs of the paper there, of this backbone or, for one that the paper does not have, of both of its own."""
    names = [backbone_name] if backbone_name in BACKBONES else list(BACKBONES)
    parts = [(name, _numbers(kind, block, name)) for name in names]
    shown = [text if len(names) == 1 else f"{name}: {text}" for name, text in parts if text]
    return "; ".join(shown) or "no number"


def _numbers(kind: Kind, block: Block, backbone: str) -> str:
    rows = published()
    wanted = {"protocol": block.protocol, "dataset": block.dataset, "train_fraction": block.share, "backbone": backbone}
    rows = rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    reference, with_ehr = rows[rows["pretraining"] == "MSN"], rows[rows["pretraining"] == "MSN+EHR"]
    if reference.empty or with_ehr.empty:
        return ""
    if kind == "comparison":
        is_single = with_ehr["feature_set"].isin(SINGLE)
        single, combined = with_ehr.loc[is_single, "auroc"].mean(), with_ehr.loc[~is_single, "auroc"].mean()
        return f"single {decimal(single)}, combined {decimal(combined)} ({signed(single - combined)})"
    base, mean = reference["auroc"].iloc[0], with_ehr["auroc"].mean()
    marked = int((with_ehr["auroc_mark"] != "").sum())
    span = f"{decimal(with_ehr['auroc'].min())} to {decimal(with_ehr['auroc'].max())}"
    return f"MSN {decimal(base)}, with EHR {span} (mean {signed(mean - base)}), {marked} of {len(with_ehr)} marked"
