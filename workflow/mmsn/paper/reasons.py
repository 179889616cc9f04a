"""Why a cell of a paper's table is empty, in the words of the configuration that a reader can change."""

from mmsn.methods import Method
from mmsn.paper.definitions import MIMIC, Block
from mmsn.study import Study

NOT_JUDGED = "no predictions"


def why_empty(study: Study, backbone: str, method: Method, block: Block) -> str:
    """The first reason why the study has no value there.

    Args:
        study: resolved.
        backbone: id.
        method: of the row.
        block: of the columns.
    """
    reasons = (
        _of_data(study, block.dataset),
        f"{backbone} is not in runs.backbones" if backbone not in study.runs.backbones else "",
        _of_supervised(study, method, block),
        _of_method(study, method),
        _of_protocol(study, method, block),
        _of_share(study, method, block),
        _of_external(study, method, block),
    )
    return next((reason for reason in reasons if reason), NOT_JUDGED)


def _of_data(study: Study, dataset: str) -> str:
    folders = {"chexpert": study.data.chexpert, "nih-14": study.data.nih_14}
    return f"data.{dataset.replace('-', '_')} is not set" if dataset in folders and folders[dataset] is None else ""


def _of_external(study: Study, method: Method, block: Block) -> str:
    if block.dataset == MIMIC:
        return ""
    chosen = study.judged_on(block.dataset, "finetune" if block.judged_by == "finetune" else "linear")
    return "" if method in chosen else f"not in external.{block.dataset}.{block.judged_by}"


def _of_supervised(study: Study, method: Method, block: Block) -> str:
    """The supervised baselines need both keys, so both are named at once."""
    if block.protocol != "supervised":
        return ""
    chosen = {"runs.methods": study.methods, "finetune.methods": study.evaluated("finetune")}
    lacking = [key for key, methods in chosen.items() if method not in methods]
    weights = _weights(method) if method not in study.methods else ""
    return f"{method.id} is not in {' and '.join(lacking)}{weights}" if lacking else ""


def _of_method(study: Study, method: Method) -> str:
    if method in study.methods:
        return ""
    if method.feature_set is not None and method.feature_set not in study.feature_sets:
        return f"{method.feature_set} is not in feature_sets"
    return f"not in runs.methods{_weights(method)}"


def _weights(method: Method) -> str:
    return ", which needs backbones.<name>.imagenet" if method.starts_from_imagenet else ""


def _of_protocol(study: Study, method: Method, block: Block) -> str:
    if block.judged_by != "finetune" or method in study.evaluated("finetune"):
        return ""
    return "finetune.methods is []" if not study.evaluated("finetune") else "not in finetune.methods"


def _of_share(study: Study, method: Method, block: Block) -> str:
    if block.share == 1:
        return ""
    if not study.low_data.protocols:
        return "low_data.protocols is []"
    if block.judged_by not in study.low_data.protocols:
        return f"{block.judged_by} is not in low_data.protocols"
    if block.share not in study.low_data.shares:
        return f"{block.share:g} is not in low_data.shares"
    return "" if method in study.low_data_methods("finetune") else "not in low_data.methods"
