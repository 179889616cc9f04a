"""Studies, and what would have been measured in them, that the tests of the paper's tables share."""

from pathlib import Path

import numpy as np
import pandas as pd

from mmsn.methods import method_from_id
from mmsn.paper.cells import fill, parts
from mmsn.paper.contrasts import Effect
from mmsn.paper.definitions import TABLES
from mmsn.paper.sources import Judged, Measured
from mmsn.paper.verdicts import Evidence
from mmsn.reporting.schemas import METRICS, Facts
from mmsn.study import Study, load_study
from mmsn.study_command import merged
from mmsn.titles import title

ROOT = Path(__file__).parents[2]
RESAMPLES = 400
FACTS = Facts(1000, 300, 14, {}, RESAMPLES, 0.95, 0, "msn", "abc")
NOTHING = Measured({}, {}, {}, {})
BY_ID = {table.id: table for table in TABLES}
GAINS = {
    "msn": 0.0,
    "msn+g": 0.0,
    "msn+ehr.sex": 0.02,
    "msn+ehr.D": 0.02,
    "msn+ehr.sex.shuffled": 0.0,
    "msn+ehr.sex.constant": 0.0,
}


def a_study(*overlays: str, **changes: object) -> Study:
    config = merged([ROOT / "config.yaml", *(ROOT / "workflow/configs" / name for name in overlays)])
    return load_study(config | changes)


def measured(study: Study, gains: dict[str, float], backbone: str = "vit-small", seeds: int = 1) -> Measured:
    """Macro metrics of methods that lie `gains` above 0.7, each with noise of its own over resamples and seeds."""
    rng = np.random.default_rng(5)
    shared, rows, replicates = rng.normal(0, 0.004, RESAMPLES), [], {}
    for identifier, gain in gains.items():
        method = method_from_id(identifier)
        for metric in METRICS:
            own = 0.7 + gain + rng.normal(0, 0.0005, seeds)
            names = [f"{backbone}/{identifier}/seed{seed}" for seed in range(seeds)]
            entries = list(zip(names, range(seeds), own, strict=True))
            if seeds > 1:
                entries.append((f"{backbone}/{identifier}/mean", None, own.mean()))
            for name, seed, value in entries:
                resampled = value + shared + rng.normal(0, 0.001, RESAMPLES)
                replicates[name, metric] = resampled
                rows.append(
                    {
                        "run": name,
                        "method": identifier,
                        "method_name": title(method),
                        "published": None,
                        "feature_set": method.feature_set,
                        "family": "ehr" if method.feature_set and not method.control else "other",
                        "seed": seed,
                        "seeds": seeds if seed is None else 1,
                        "metric": metric,
                        "value": value,
                        "lo": value - 0.01,
                        "hi": value + 0.01,
                        "mark": "",
                        "difference": gain,
                        "p_holm": 0.001 if gain > 0.005 else 0.9,
                        "missing": "",
                    }
                )
    frame = pd.DataFrame(rows).astype({"seed": "Int64"})
    place = "linear", "mimic-cxr", backbone
    shown = frame[frame["seeds"] == (seeds if seeds > 1 else 1)].to_dict("records")
    values = {(place, 1.0, row["method"], row["metric"]): row for row in shown}
    return Measured({place: Judged(frame, FACTS, replicates)}, values, {}, {})


def cells_of(table: str, study: Study, found: Measured) -> pd.DataFrame:
    own = parts(BY_ID[table], study)[0]
    return fill(BY_ID[table], own, study, found)


def evidence(
    difference: float, half: float = 0.001, p: float = 0.01, seeds: int = 3, p_seeds: float = 0.01
) -> Evidence:
    bounds = difference - half, difference + half
    return Evidence("something", Effect(difference, *bounds, p, seeds, p_seeds, *bounds), p)
