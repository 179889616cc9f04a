# Shared by the files beside it: the validated study, digests that decide what is stale, names of results.
# NEEDS  config.yaml and overlays; MAKES  nothing, it holds no rules
import json
import re
import sys
from pathlib import Path
from shlex import quote

from mmsn.cohort.external.sources import find_chexpert, find_nih
from mmsn.cohort.external.table import check_columns
from mmsn.cohort.sources import find_tables
from mmsn.errors import UserError
from mmsn.figures.choice import patch_side, variants_with_ehr
from mmsn.methods import method_from_id
from mmsn.paper.ids import TABLE_IDS
from mmsn.preflight import check_folders, check_outputs, without_default_rate
from mmsn.provenance import PACKAGE, code_digest, content_digest, sql_without_comments
from mmsn.study import MIMIC_SHARDS, Run, load_study
from mmsn.study_data import check_data
from mmsn.titles import published, title
from mmsn.training.packs import companions, packs_of


def found_external(study):
    """The external data sets whose folders the study names: verb, folder, settings and tables by name."""
    folders = {"chexpert": study.data.chexpert, "nih-14": study.data.nih_14}
    found = {}
    if folders["chexpert"]:
        tables = find_chexpert(folders["chexpert"], study.chexpert).paths
        found["chexpert"] = ("chexpert --chexpert", folders["chexpert"], study.chexpert, tables)
    if folders["nih-14"]:
        found["nih-14"] = ("nih --nih-14", folders["nih-14"], study.nih_14, find_nih(folders["nih-14"]).paths)
    for name, settings in study.external.items():
        if settings.images:
            check_columns(settings.images, settings.table)
            found[name] = (f"table --name {name} --table", settings.images, settings.table, (settings.images,))
    return found


def validated(config):
    """The study and the paths of its raw tables, or one line that says what to mend."""
    try:
        study = load_study(config)
        check_data(study)
        check_folders(study.results, Path.cwd(), sys.argv[1:])
        tables = find_tables(
            study.data.mimic_iv,
            study.data.mimic_cxr,
            study.cohort,
            study.data.medfuse_validate,
            study.data.medfuse_test,
            study.data.split_file,
            {name: variable.tables for name, variable in study.variables.items()},
        )
        return study, tables, found_external(study)
    except UserError as error:
        sys.exit(f"error: {error}")  # a WorkflowError would bury the line between a header and a traceback


STUDY, RAW, EXTERNAL = validated(config)
if STUDY.images.stage_to:
    # Not a parameter: where a copy lies changes no result. The job expands it, on its own node.
    shell.prefix(f"{PREFIX}export MMSN_STAGE_TO={quote(STUDY.images.stage_to)}; ")
R = str(STUDY.results)
LOGS, BENCHMARKS = f"{R}/logs", f"{R}/benchmarks"
DATASET = "mimic-cxr"
SCORED = [name for name in EXTERNAL if STUDY.head_of(name) == "mimic"]
OWN_HEAD = [name for name in EXTERNAL if STUDY.head_of(name) == "own"]
PROTOCOLS = ["linear", *(["finetune"] if STUDY.evaluated("finetune") else [])]
JUDGED = [
    *[(protocol, DATASET) for protocol in PROTOCOLS],
    *[(protocol, name) for name in EXTERNAL for protocol in ("linear", "finetune") if STUDY.judged_on(name, protocol)],
]
LOW_DATA = [protocol for protocol in STUDY.low_data.protocols if STUDY.low_data_methods(protocol)]
EMBEDDINGS = f"{R}/embeddings/{DATASET}"
SUBSET = f"evaluate/low-data/{{protocol}}/{{percent}}pct/draw{{draw}}/{DATASET}"
SHARES = {f"{100 * share:g}": share for share in STUDY.low_data.shares}
PACKS = packs_of(STUDY)
TOGETHER = [{run.path for run in pack} for pack in PACKS if len(pack) > 1]
SPLIT_SEES_LABELS = STUDY.cohort.split == "random" and STUDY.cohort.split_stratify


wildcard_constraints:
    backbone=r"[^/]+",
    method=r"[^/]+",
    feature_set=r"[^/]+",
    seed=r"\d+",
    shard=r"p\d\d",
    dataset=r"[^/_]+",
    external="|".join(["chexpert", "nih-14", *EXTERNAL]),
    protocol="linear|finetune",
    percent=r"\d+(\.\d+)?",
    draw=r"\d+",


def as_json(value):
    """Settings as they travel on a command line: compact JSON, tracked as a parameter."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    return json.dumps(value, separators=(",", ":"))


def variables_json(names):
    """Some variables' encodings, in the order of `names`."""
    return as_json({name: STUDY.variables[name].model_dump(mode="json") for name in names})


def cohort_settings(*without):
    """The cohort's settings with those named at their defaults: what a table without labels, or EHR, depends on."""
    labelling, linking = {"labels", "uncertain", "test_labels"}, {"linkage", "unlinked"}
    reset = {"assert_published"}
    if "labels" in without and not SPLIT_SEES_LABELS:
        reset |= labelling
    if "records" in without:
        reset |= linking
    return as_json(STUDY.cohort.model_dump(mode="json", exclude=reset))


def backbone_of(wildcards):
    """What a method's training depends on of its backbone, as JSON: not the title; ImageNet weights where it has any."""
    method, backbone = method_from_id(wildcards.method), STUDY.backbones[wildcards.backbone]
    if not method.starts_from_imagenet:
        return as_json(backbone.model_dump(mode="json", exclude={"title", "imagenet"}))
    weights = [] if backbone.imagenet.weights == "timm" else [Path(backbone.imagenet.weights)]
    return [as_json(backbone.model_dump(mode="json", exclude={"title"})), content_digest(weights)]


def pack_option(wildcards):
    """The runs that a job may train beside its own, for those that share a process."""
    run = Run(wildcards.backbone, method_from_id(wildcards.method), int(wildcards.seed))
    others = companions(PACKS, run, R)
    return f"--pack {quote(as_json(others))}" if others else ""


def place_in_pack(number):
    """Whether a run is of one pack: its jobs run one at a time, for the first trains them all."""

    def place(wildcards):
        return int(f"{wildcards.backbone}/{wildcards.method}/seed{wildcards.seed}" in TOGETHER[number])

    return place


def method_labels(wildcards):
    """The table with the labels, for methods that are trained on them."""
    return rules.cohort.output.images if method_from_id(wildcards.method).needs_labels else []


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


def protocol_settings(protocol):
    """What an evaluation depends on, as JSON: not which other methods are evaluated too."""
    settings = {"linear": STUDY.linear, "finetune": STUDY.finetune}[protocol]
    return as_json(settings.model_dump(mode="json", exclude={"methods"}))


def protocol_code(protocol):
    """Digest of the code behind a protocol."""
    return code_digest({"linear": "evaluation.run", "finetune": "evaluation.finetune_run"}[protocol])


def runs_of(backbone, methods):
    """The study's runs of some methods with one backbone."""
    return [run for run in STUDY.runs_with(methods) if run.backbone == backbone]


def evaluated_runs(wildcards):
    """Runs of one backbone that a protocol judges on a data set."""
    if wildcards.dataset == DATASET:
        return runs_of(wildcards.backbone, STUDY.evaluated(wildcards.protocol))
    return runs_of(wildcards.backbone, STUDY.judged_on(wildcards.dataset, wildcards.protocol))


def predictions_of(wildcards):
    """Predictions that the statistics of one protocol, data set and backbone compare."""
    folder = f"{R}/evaluate/{wildcards.protocol}/{wildcards.dataset}"
    return [f"{folder}/{run.path}/predictions.parquet" for run in evaluated_runs(wildcards)]


def histories_of(wildcards):
    """Training histories of one backbone; a random initialisation has none."""
    runs = [run for run in runs_of(wildcards.backbone, STUDY.methods) if run.method.is_trained]
    return [f"{R}/pretrain/{run.path}/history.parquet" for run in runs]


def whose_head(wildcards):
    """What a caption says of the head that judged a data set."""
    if wildcards.dataset == DATASET:
        return ""
    if STUDY.head_of(wildcards.dataset) == "own":
        return "The head was trained on this data set's own training images."
    return "The model trained on MIMIC-CXR, head included, is used as it is: nothing was trained on this data set."


def described_runs(wildcards):
    """Runs of one protocol, data set and backbone as `mmsn report statistics` takes them."""
    folder = f"{R}/evaluate/{wildcards.protocol}/{wildcards.dataset}"
    return as_json(descriptions(evaluated_runs(wildcards), folder))


def descriptions(runs, folder):
    """What reports know of each run; its predictions lie in `folder`."""
    return [
        {
            "id": run.path,
            "backbone": run.backbone,
            "backbone_name": STUDY.backbones[run.backbone].title,
            "method": run.method.id,
            "method_name": title(run.method),
            "feature_set": run.method.feature_set,
            "control": run.method.control,
            "published": published(run.method),
            "seed": run.seed,
            "predictions": f"{folder}/{run.path}/predictions.parquet",
        }
        for run in runs
    ]


def described_histories(wildcards):
    """Runs of one backbone as `mmsn report history` takes them."""
    return as_json(
        [
            {"id": run.path, "name": title(run.method), "history": f"{R}/pretrain/{run.path}/history.parquet"}
            for run in runs_of(wildcards.backbone, STUDY.methods)
            if run.method.is_trained
        ]
    )


def subset(wildcards):
    """Part of the training images, as JSON."""
    share, draw = SHARES[wildcards.percent], int(wildcards.draw)
    return as_json({"share": share, "draw": draw, "by": STUDY.low_data.by})


def low_data_runs(wildcards):
    """Runs of one protocol and backbone that are also trained on few images."""
    return runs_of(wildcards.backbone, STUDY.low_data_methods(wildcards.protocol))


def low_data_predictions(wildcards):
    """Predictions of every subset."""
    return expand(
        f"{R}/{SUBSET}/{{run}}/predictions.parquet",
        protocol=wildcards.protocol,
        percent=SHARES,
        draw=range(STUDY.low_data.draws),
        run=[run.path for run in low_data_runs(wildcards)],
    )


def described_whole(wildcards):
    """The same runs as `mmsn report low-data-statistics` takes them, with their predictions of all training images."""
    return descriptions(low_data_runs(wildcards), f"{R}/evaluate/{wildcards.protocol}/{DATASET}")


def grouped_runs(wildcards):
    """Runs of one protocol and backbone, described with their predictions on the cohort, which has groups of patients."""
    runs = runs_of(wildcards.backbone, STUDY.evaluated(wildcards.protocol))
    return descriptions(runs, f"{R}/evaluate/{wildcards.protocol}/{DATASET}")


def linear_runs(backbone, methods):
    """Runs of one backbone, described with their linear predictions."""
    return descriptions(runs_of(backbone, methods), f"{R}/evaluate/linear/{DATASET}")


def embedded_runs(wildcards):
    """Runs as `mmsn represent measure` takes them."""
    runs = linear_runs(wildcards.backbone, STUDY.represented())
    return as_json([{**run, "embeddings": f"{EMBEDDINGS}/{run['id']}.parquet"} for run in runs])


def tables_about(about, protocol=""):
    """One kind of table in every format but the report's."""
    stem = f"{R}/tables/{about}{protocol}_{DATASET}_{{backbone}}"
    return {f"{about}_{kind}": f"{stem}.{kind}" for kind in ("csv", "md", "tex")}


def check_right_to_write(dag):
    """One line where Snakemake would end all jobs with a traceback."""
    made = [file for job in dag.needrun_jobs() for file in (*job.output, *job.log, job.benchmark) if file]
    try:
        check_outputs(Path(str(file)) for file in made)
    except UserError as error:
        sys.exit(f"error: {error}")
