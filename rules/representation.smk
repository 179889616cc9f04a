# Encoders -> embeddings, and what they hold; predictions -> metrics by group of patients, and calibration.
# NEEDS  results/pretrain/**/encoder.safetensors, results/images/mimic-cxr/, results/cohort/mimic-cxr/images.parquet,
#        results/evaluate/<protocol>/mimic-cxr/**/predictions.parquet
# MAKES  results/embeddings/mimic-cxr/<backbone>/<method>/seed<k>.parquet, results/representation/mimic-cxr/*.parquet,
#        results/tables/{representation,attributes}_mimic-cxr_<backbone>.{csv,md,tex,html},
#        results/tables/{subgroups,calibration}_<protocol>_mimic-cxr_<backbone>.{csv,md,tex,html}
ABOUT_EMBEDDINGS = ["representation", "attributes"] if STUDY.represented() else []
ABOUT_GROUPS = [f"{about}_{protocol}" for about in ("subgroups", "calibration") for protocol in PROTOCOLS]
REPRESENTATION_TABLES = expand(
    f"{R}/tables/{{about}}_{DATASET}_{{backbone}}.{{kind}}",
    about=[*ABOUT_EMBEDDINGS, *(ABOUT_GROUPS if STUDY.subgroups.enabled else [])],
    backbone=STUDY.runs.backbones,
    kind=["csv", "md", "tex", "html"],
)


rule embed:
    input:
        encoder=rules.pretrain.output.encoder,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
    output:
        embeddings=ensure(f"{EMBEDDINGS}/{{backbone}}/{{method}}/seed{{seed}}.parquet", non_empty=True),
    log:
        f"{LOGS}/embeddings/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/embeddings/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        views=as_json(STUDY.linear.views),
        most=f"--train-images {STUDY.representation.train_images}" if STUDY.representation.train_images else "",
        seed=STUDY.statistics.seed,
        store=lambda wildcards, input: str(Path(input.index).parent),
        code=code_digest("representation.embed"),
    message:
        "Embedding images with {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}"
    shell:
        "mmsn represent embed --encoder {input.encoder:q} --images {input.images:q} --store {params.store:q} "
        "--views {params.views:q} {params.most} --seed {params.seed} "
        "--title '{wildcards.backbone} {wildcards.method}' --output {output.embeddings:q} --threads {threads} "
        "--log {log:q}"


rule measure_embeddings:
    input:
        embeddings=lambda wildcards: [
            f"{EMBEDDINGS}/{run.path}.parquet" for run in runs_of(wildcards.backbone, STUDY.represented())
        ],
        predictions=lambda wildcards: [
            run["predictions"] for run in linear_runs(wildcards.backbone, STUDY.represented())
        ],
        images=rules.cohort.output.images,
    output:
        measures=ensure(f"{R}/representation/{DATASET}/{{backbone}}/embeddings.parquet", non_empty=True),
    log:
        f"{LOGS}/representation/{DATASET}/{{backbone}}/embeddings.log",
    benchmark:
        f"{BENCHMARKS}/representation/{DATASET}/{{backbone}}/embeddings.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 12000 * attempt,
        runtime=lambda wildcards, attempt: 360 * attempt,
    params:
        runs=embedded_runs,
        settings=as_json(STUDY.representation.model_dump(mode="json", exclude={"methods", "train_images"})),
        statistics=as_json(STUDY.statistics),
        linear=protocol_settings("linear"),
        code=code_digest("representation.measure"),
    message:
        "Measuring the embeddings of all {wildcards.backbone} runs"
    shell:
        "mmsn represent measure --runs {params.runs:q} --images {input.images:q} --settings {params.settings:q} "
        "--statistics {params.statistics:q} --linear {params.linear:q} --output {output.measures:q} "
        "--threads {threads} --log {log:q}"


rule measure_groups:
    input:
        predictions=lambda wildcards: [run["predictions"] for run in grouped_runs(wildcards)],
        images=rules.cohort.output.images,
    output:
        measures=ensure(f"{R}/representation/{DATASET}/{{backbone}}/groups_{{protocol}}.parquet", non_empty=True),
    log:
        f"{LOGS}/representation/{DATASET}/{{backbone}}/groups_{{protocol}}.log",
    benchmark:
        f"{BENCHMARKS}/representation/{DATASET}/{{backbone}}/groups_{{protocol}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        runs=lambda wildcards: as_json(grouped_runs(wildcards)),
        settings=as_json(STUDY.subgroups.model_dump(mode="json", exclude={"enabled"})),
        statistics=as_json(STUDY.statistics),
        code=code_digest("representation.measure_groups"),
    message:
        "Measuring the {wildcards.protocol} predictions of all {wildcards.backbone} runs by group of patients"
    shell:
        "mmsn represent groups --runs {params.runs:q} --images {input.images:q} --settings {params.settings:q} "
        "--statistics {params.statistics:q} --output {output.measures:q} --threads {threads} --log {log:q}"


rule embedding_tables:
    input:
        measures=rules.measure_embeddings.output.measures,
    output:
        **tables_about("representation"),
        **tables_about("attributes"),
        representation_html=report(
            f"{R}/tables/representation_{DATASET}_{{backbone}}.html",
            caption="../workflow/report/representation.rst",
            category="4 Representation",
            labels={"data": DATASET, "what": "clusters, rank, k-NN, {backbone}"},
        ),
        attributes_html=report(
            f"{R}/tables/attributes_{DATASET}_{{backbone}}.html",
            caption="../workflow/report/attributes.rst",
            category="4 Representation",
            labels={"data": DATASET, "what": "what embeddings know, {backbone}"},
        ),
    log:
        f"{LOGS}/tables/embeddings_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/embeddings_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("representation.tables", "reporting.layout"),
    message:
        "Writing the tables about embeddings, {wildcards.backbone}"
    shell:
        f"mmsn represent tables --measures {{input.measures:q}} --dataset {DATASET} --output-folder {quote(R)}/tables "
        f"--suffix {DATASET}_{{wildcards.backbone:q}} --data-note={{params.note:q}} --log {{log:q}}"


rule group_tables:
    input:
        measures=rules.measure_groups.output.measures,
    output:
        **tables_about("subgroups", "_{protocol}"),
        **tables_about("calibration", "_{protocol}"),
        subgroups_html=report(
            f"{R}/tables/subgroups_{{protocol}}_{DATASET}_{{backbone}}.html",
            caption="../workflow/report/subgroups.rst",
            category="1 Results",
            labels={"data": DATASET, "what": "by group of patients, {protocol}, {backbone}"},
        ),
        calibration_html=report(
            f"{R}/tables/calibration_{{protocol}}_{DATASET}_{{backbone}}.html",
            caption="../workflow/report/calibration.rst",
            category="1 Results",
            labels={"data": DATASET, "what": "calibration, {protocol}, {backbone}"},
        ),
    log:
        f"{LOGS}/tables/groups_{{protocol}}_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/groups_{{protocol}}_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("representation.tables", "reporting.layout"),
    message:
        "Writing the {wildcards.protocol} tables by group of patients, {wildcards.backbone}"
    shell:
        f"mmsn represent tables --measures {{input.measures:q}} --dataset {DATASET} --protocol {{wildcards.protocol}} "
        f"--output-folder {quote(R)}/tables --suffix {{wildcards.protocol}}_{DATASET}_{{wildcards.backbone:q}} "
        "--data-note={params.note:q} --log {log:q}"
