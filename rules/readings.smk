# Heads that read more than the class token, the EHR at evaluation, and the EHR alone -> predictions, and their tables.
# NEEDS  results/pretrain/**/encoder.safetensors, results/images/mimic-cxr/, results/features/<feature_set>.parquet,
#        results/evaluate/{linear,finetune}/mimic-cxr/**/predictions.parquet to compare with
# MAKES  results/evaluate/readings/mimic-cxr/<backbone>/<method>/seed<k>/{predictions,runs}.parquet, all readings in one,
#        results/evaluate/finetune+ehr/<set>/mimic-cxr/<backbone>/<method>/seed<k>/{predictions,runs}.parquet,
#        results/evaluate/ehr-only/<set>/mimic-cxr/predictions.parquet,
#        results/statistics/variants/<table>/mimic-cxr/<backbone>.parquet,
#        results/tables/{readings,ehr_linear,ehr_finetune}_mimic-cxr_<backbone>.{csv,md,tex,html}
READINGS = f"{R}/evaluate/readings/{DATASET}"
FINETUNE_EHR = f"{R}/evaluate/finetune+ehr/{{feature_set}}/{DATASET}"
EHR_ONLY = f"{R}/evaluate/ehr-only/{{feature_set}}/{DATASET}/predictions.parquet"
VARIANTS = variants_by_table(READINGS, FINETUNE_EHR, EHR_ONLY)
VARIANT_TABLES = [
    f"{R}/tables/{about}_{DATASET}_{backbone}.{kind}"
    for about, backbones in VARIANTS.items()
    for backbone in backbones
    for kind in ("csv", "md", "tex", "html")
]


rule readings:
    input:
        encoder=rules.pretrain.output.encoder,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
        features=lambda wildcards: list(feature_tables(wildcards).values()),
    output:
        predictions=ensure(
            f"{READINGS}/{{backbone}}/{{method}}/seed{{seed}}/predictions.parquet",
            non_empty=True,
        ),
        runs=f"{READINGS}/{{backbone}}/{{method}}/seed{{seed}}/runs.parquet",
    log:
        f"{LOGS}/evaluate/readings/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/readings/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 24000 * attempt,
        runtime=lambda wildcards, attempt: 1440 * attempt,
    params:
        settings=protocol_settings("linear"),
        readings=lambda wildcards: as_json(readings_of(method_from_id(wildcards.method))),
        features=lambda wildcards: as_json(feature_tables(wildcards)),
        bank=lambda wildcards: bank_of(method_from_id(wildcards.method)),
        store=lambda wildcards, input: str(Path(input.index).parent),
        checkpoint=f"{READINGS}/{{backbone}}/{{method}}/seed{{seed}}/unfinished.safetensors",
        code=code_digest("evaluation.readings_run"),
    message:
        "Further linear heads on {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}"
    shell:
        "mmsn evaluate readings --encoder {input.encoder:q} --images {input.images:q} --store {params.store:q} "
        "--settings {params.settings:q} --readings {params.readings:q} --features {params.features:q} "
        "--bank {params.bank} --seed {wildcards.seed:q} --title '{wildcards.backbone} {wildcards.method}' "
        "--output-predictions {output.predictions:q} --output-runs {output.runs:q} --checkpoint {params.checkpoint:q} "
        "--threads {threads} --log {log:q}"


rule finetune_ehr:
    input:
        encoder=rules.pretrain.output.encoder,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
        features=rules.feature_set.output.table,
    output:
        predictions=ensure(
            f"{FINETUNE_EHR}/{{backbone}}/{{method}}/seed{{seed}}/predictions.parquet",
            non_empty=True,
        ),
        runs=f"{FINETUNE_EHR}/{{backbone}}/{{method}}/seed{{seed}}/runs.parquet",
    log:
        f"{LOGS}/evaluate/finetune+ehr/{{feature_set}}/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/finetune+ehr/{{feature_set}}/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=lambda wildcards, attempt: 2880 * attempt,
    params:
        settings=protocol_settings("finetune"),
        store=lambda wildcards, input: str(Path(input.index).parent),
        checkpoint=f"{FINETUNE_EHR}/{{backbone}}/{{method}}/seed{{seed}}/unfinished.safetensors",
        code=protocol_code("finetune"),
    message:
        "Fine-tuning {wildcards.backbone} {wildcards.method} with the record {wildcards.feature_set}, "
        "seed {wildcards.seed}"
    shell:
        "mmsn evaluate finetune --encoder {input.encoder:q} --images {input.images:q} --store {params.store:q} "
        "--features {input.features:q} --settings {params.settings:q} --seed {wildcards.seed:q} "
        "--title '{wildcards.backbone} {wildcards.method} with {wildcards.feature_set}' "
        "--output-predictions {output.predictions:q} --output-runs {output.runs:q} --checkpoint {params.checkpoint:q} "
        "--threads {threads} --log {log:q}"


rule ehr_only:
    input:
        features=rules.feature_set.output.table,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
    output:
        predictions=ensure(EHR_ONLY, non_empty=True),
    log:
        f"{LOGS}/evaluate/ehr-only/{{feature_set}}/{DATASET}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/ehr-only/{{feature_set}}/{DATASET}.tsv"
    conda:
        "../envs/mmsn.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        store=lambda wildcards, input: str(Path(input.index).parent),
        code=code_digest("evaluation.ehr_only"),
    message:
        "Predicting labels from the record {wildcards.feature_set} alone"
    shell:
        "mmsn evaluate ehr-only --features {input.features:q} --images {input.images:q} --store {params.store:q} "
        "--title {wildcards.feature_set:q} --output-predictions {output.predictions:q} --log {log:q}"


rule variant_statistics:
    input:
        predictions=lambda wildcards: list(
            dict.fromkeys(run["predictions"] for run in VARIANTS[wildcards.about][wildcards.backbone])
        ),
    output:
        measured=ensure(f"{R}/statistics/variants/{{about}}/{DATASET}/{{backbone}}.parquet", non_empty=True),
    log:
        f"{LOGS}/statistics/variants/{{about}}/{DATASET}/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/statistics/variants/{{about}}/{DATASET}/{{backbone}}.tsv"
    wildcard_constraints:
        about="readings|ehr_linear|ehr_finetune",
    conda:
        "../envs/mmsn.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        runs=lambda wildcards: as_json(VARIANTS[wildcards.about][wildcards.backbone]),
        settings=as_json(STUDY.statistics),
        code=code_digest("reporting.variants"),
    message:
        "Bootstrapping and comparing {wildcards.about} of {wildcards.backbone}"
    shell:
        "mmsn report variant-statistics --runs {params.runs:q} --settings {params.settings:q} "
        "--output {output.measured:q} --threads {threads} --log {log:q}"


rule variants_table:
    input:
        measured=rules.variant_statistics.output.measured,
    output:
        csv=f"{R}/tables/{{about}}_{DATASET}_{{backbone}}.csv",
        markdown=f"{R}/tables/{{about}}_{DATASET}_{{backbone}}.md",
        latex=f"{R}/tables/{{about}}_{DATASET}_{{backbone}}.tex",
        html=report(
            f"{R}/tables/{{about}}_{DATASET}_{{backbone}}.html",
            caption="../workflow/report/variants.rst",
            category="1 Results",
            labels={"data": DATASET, "what": "{about}, {backbone}"},
        ),
    log:
        f"{LOGS}/tables/{{about}}_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{about}}_{DATASET}_{{backbone}}.tsv"
    wildcard_constraints:
        about="readings|ehr_linear|ehr_finetune",
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("reporting.variants_command", "reporting.variants_table"),
    message:
        "Comparing {wildcards.about} of {wildcards.backbone}"
    shell:
        "mmsn report variants --measured {input.measured:q} --about {wildcards.about} "
        f"--dataset {DATASET} --data-note={{params.note:q}} --output-csv {{output.csv:q}} "
        "--output-markdown {output.markdown:q} --output-latex {output.latex:q} --output-html {output.html:q} --log {log:q}"
