# Encoders and the best setting of all training images -> test predictions of models trained on few, and their table.
# NEEDS  results/pretrain/**/encoder.safetensors, results/evaluate/<protocol>/mimic-cxr/**/runs.parquet, images
# MAKES  results/evaluate/low-data/<protocol>/<percent>pct/draw<k>/mimic-cxr/<backbone>/<method>/seed<k>/*.parquet,
#        results/statistics/low-data/<protocol>/mimic-cxr/<backbone>/{summary,labels,replicates}.parquet,
#        results/tables/low_data_<protocol>_mimic-cxr_<backbone>.{csv,md,html}
FEW = f"{R}/statistics/low-data/{{protocol}}/{DATASET}/{{backbone}}"
LOW_DATA_TABLES = expand(
    f"{R}/tables/low_data_{{protocol}}_{DATASET}_{{backbone}}.{{kind}}",
    protocol=LOW_DATA,
    backbone=STUDY.runs.backbones,
    kind=["csv", "md", "html"],
)


rule low_data:
    input:
        encoder=rules.pretrain.output.encoder,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
        setting=f"{R}/evaluate/{{protocol}}/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/runs.parquet",
    output:
        predictions=ensure(
            f"{R}/{SUBSET}/{{backbone}}/{{method}}/seed{{seed}}/predictions.parquet",
            non_empty=True,
        ),
        runs=f"{R}/{SUBSET}/{{backbone}}/{{method}}/seed{{seed}}/runs.parquet",
    log:
        f"{LOGS}/{SUBSET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/{SUBSET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        settings=lambda wildcards: protocol_settings(wildcards.protocol),
        subset=subset,
        store=lambda wildcards, input: str(Path(input.index).parent),
        checkpoint=f"{R}/{SUBSET}/{{backbone}}/{{method}}/seed{{seed}}/unfinished.safetensors",
        code=lambda wildcards: protocol_code(wildcards.protocol),
    message:
        "Evaluating {wildcards.backbone} {wildcards.method} ({wildcards.protocol}) with {wildcards.percent} % of the "
        "training images, draw {wildcards.draw}, seed {wildcards.seed}"
    shell:
        "mmsn evaluate {wildcards.protocol} --encoder {input.encoder:q} --images {input.images:q} "
        "--store {params.store:q} --settings {params.settings:q} --setting-of {input.setting:q} "
        "--subset {params.subset:q} --seed {wildcards.seed:q} --checkpoint {params.checkpoint:q} "
        "--title '{wildcards.backbone} {wildcards.method} {wildcards.percent} % draw {wildcards.draw}' "
        "--output-predictions {output.predictions:q} --output-runs {output.runs:q} --threads {threads} --log {log:q}"


rule low_data_statistics:
    input:
        few=low_data_predictions,
        whole=lambda wildcards: [run["predictions"] for run in described_whole(wildcards)],
    output:
        summary=ensure(f"{FEW}/summary.parquet", non_empty=True),
        labels=ensure(f"{FEW}/labels.parquet", non_empty=True),
        replicates=f"{FEW}/replicates.parquet",
    log:
        f"{LOGS}/statistics/low-data/{{protocol}}/{DATASET}/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/statistics/low-data/{{protocol}}/{DATASET}/{{backbone}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        runs=lambda wildcards: as_json(described_whole(wildcards)),
        few=lambda wildcards: f"{R}/{SUBSET}/{{run}}/predictions.parquet".replace("{protocol}", wildcards.protocol),
        settings=as_json(STUDY.low_data.model_dump(mode="json", include={"shares", "draws"})),
        statistics=as_json(STUDY.statistics),
        baseline=STUDY.statistics.baseline,
        code=code_digest("reporting.low_data_stored"),
    message:
        "Bootstrapping and comparing {wildcards.protocol} with few training images, {wildcards.backbone}"
    shell:
        "mmsn report low-data-statistics --runs {params.runs:q} --subset-predictions {params.few:q} --settings {params.settings:q} "
        "--statistics {params.statistics:q} --baseline {params.baseline:q} --threads {threads} "
        "--output-summary {output.summary:q} --output-labels {output.labels:q} "
        "--output-replicates {output.replicates:q} --log {log:q}"


rule low_data_table:
    input:
        summary=rules.low_data_statistics.output.summary,
        labels=rules.low_data_statistics.output.labels,
    output:
        csv=f"{R}/tables/low_data_{{protocol}}_{DATASET}_{{backbone}}.csv",
        markdown=f"{R}/tables/low_data_{{protocol}}_{DATASET}_{{backbone}}.md",
        html=report(
            f"{R}/tables/low_data_{{protocol}}_{DATASET}_{{backbone}}.html",
            caption="../workflow/report/low_data.rst",
            category="1 Results",
            labels={"data": DATASET, "what": "few training images, {protocol}, {backbone}"},
        ),
    log:
        f"{LOGS}/tables/low_data_{{protocol}}_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/low_data_{{protocol}}_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        settings=as_json(STUDY.low_data.model_dump(mode="json", include={"by"})),
        note=lambda wildcards: linear_note(wildcards.protocol),
        code=code_digest("reporting.low_data_command"),
    message:
        "Writing the table of {wildcards.protocol} with few training images, {wildcards.backbone}"
    shell:
        "mmsn report low-data --summary {input.summary:q} --labels {input.labels:q} --settings {params.settings:q} "
        f"--protocol {{wildcards.protocol}} --dataset {DATASET} --data-note={{params.note:q}} "
        "--output-csv {output.csv:q} --output-markdown {output.markdown:q} --output-html {output.html:q} --log {log:q}"
