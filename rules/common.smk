# Shared by all rule files: the validated study, digests that decide what is stale, names of results.
# NEEDS  config.yaml and overlays; MAKES  results/study.yaml
import json
import os
import re
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from mmsn.cohort.sources import find_tables
from mmsn.errors import UserError
from mmsn.methods import method_from_id
from mmsn.provenance import PACKAGE, code_digest, content_digest
from mmsn.study import MIMIC_SHARDS, check_data, load_study

# Outputs and logs are private, and `mmsn` is the one beside this Python, whichever way snakemake was started.
os.umask(0o077)
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def validated(config):
    """The study and the paths of its raw tables, or one line that says what to mend."""
    try:
        study = load_study(config)
        check_data(study)
        return study, find_tables(
            study.data.mimic_iv,
            study.data.mimic_cxr,
            study.cohort,
            study.data.medfuse_validate,
            study.data.medfuse_test,
        )
    except UserError as error:
        raise WorkflowError(str(error)) from None


STUDY, RAW = validated(config)
R = str(STUDY.results)
LOGS, BENCHMARKS = f"{R}/logs", f"{R}/benchmarks"
DATASET = "mimic-cxr"


wildcard_constraints:
    backbone=r"[^/]+",
    method=r"[^/]+",
    feature_set=r"[^/]+",
    seed=r"\d+",
    shard=r"p\d\d",


def as_json(value):
    """Settings as they travel on a command line: compact JSON, tracked as a parameter."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    return json.dumps(value, separators=(",", ":"))


def variables_json(names):
    """Some variables' encodings, in the order of `names`."""
    return as_json({name: STUDY.variables[name].model_dump(mode="json") for name in names})


def method_features(wildcards):
    """The feature table that a method reads, nothing for methods without EHR."""
    feature_set = method_from_id(wildcards.method).feature_set
    return f"{R}/features/{feature_set}.parquet" if feature_set else []


def failure_summary(snakemake_log):
    """Which logs to read after a failure: the last lines that a user sees."""
    text = Path(snakemake_log).read_text(encoding="utf-8", errors="replace")
    logs = dict.fromkeys(re.findall(r"^\s+log: (\S+)", text, flags=re.MULTILINE))
    failed = [name for name in logs if Path(name).exists() and "error" in Path(name).read_text()]
    named = "\n".join(f"  {name}" for name in failed or logs)
    return f"\nStopped. Finished results are kept; the same command goes on from here. Read:\n{named or snakemake_log}"


rule study:
    output:
        f"{R}/study.yaml",
    log:
        f"{LOGS}/study.log",
    benchmark:
        f"{BENCHMARKS}/study.tsv"
    params:
        config=as_json(STUDY),
    message:
        "Writing the resolved study"
    localrule: True
    shell:
        "mmsn study write --config {params.config:q} --output {output} --log {log}"
