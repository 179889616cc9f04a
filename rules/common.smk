# Shared by all rule files: the validated study, digests that decide what is stale, names of results.
# NEEDS  config.yaml and overlays; MAKES  results/study.yaml
import json
import os
import re
import sys
from pathlib import Path

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
        sys.exit(f"error: {error}")  # a WorkflowError would bury the line between a header and a traceback


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


def failure_summary(snakemake_logs):
    """What failed, why, and which logs to read: the last lines that a user sees."""
    text = "".join(Path(name).read_text(encoding="utf-8", errors="replace") for name in snakemake_logs)
    logs = dict.fromkeys(re.findall(r"^\s+log: (\S+)", text, flags=re.MULTILINE))
    lines = [f"  {name}{last_error(Path(name))}" for name in logs]
    return "\n".join(["\nStopped. Finished results are kept; the same command goes on from here. Read:", *lines])


def last_error(log):
    """The last error in a job's log, for the summary; nothing when there is none."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    errors = [line.partition(" ERROR ")[2] for line in lines if " ERROR " in line]
    return f"\n    {errors[-1]}" if errors else ""


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
