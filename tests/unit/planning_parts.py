"""Jobs and the study that the tests of planning share."""

import dataclasses
from pathlib import Path

from mmsn.planning.evidence import Evidence
from mmsn.planning.jobs import Job
from mmsn.study import load_study
from mmsn.study_command import merged

ROOT = Path(__file__).parents[2]
CONFIG = load_study(merged([ROOT / "config.yaml"]))
NOTHING = Evidence(frozenset(), False, False, frozenset(), frozenset())


def a_job(name: str = "a", reads: tuple[str, ...] = (), gpu: int = 0, **changes) -> Job:
    job = Job(
        rule="forest",
        message="",
        wildcards={},
        inputs=reads,
        outputs=(f"{name}.out",),
        log=f"{name}.log",
        benchmark=f"results/benchmarks/figures/{name}.tsv",
        threads=1,
        resources={"gpu": gpu, "mem_mb": 1000, "runtime": 60},
        command="",
        reason="",
    )
    return dataclasses.replace(job, **changes)


def pretraining(backbone: str, method: str = "msn") -> Job:
    settings, model = CONFIG.pretrain.model_dump_json(), CONFIG.backbones[backbone].model_dump_json()
    return a_job(
        f"{backbone}/{method}",
        gpu=1,
        rule="pretrain",
        wildcards={"backbone": backbone, "method": method, "seed": "0"},
        benchmark=f"results/benchmarks/pretrain/{backbone}/{method}/seed0.tsv",
        command=f"mmsn pretrain --settings '{settings}' --backbone '{model}'",
    )
