# Predictions, histories and counts -> statistics, tables, figures. Nothing here trains anything.
# NEEDS  results/evaluate/<protocol>/<dataset>/**/predictions.parquet, results/pretrain/**/history.parquet, flow.json
# MAKES  results/statistics/**, results/tables/*.{csv,md,tex,html}, results/figures/*.{svg,png}
COUNTS = expand(f"{R}/tables/cohort_{{dataset}}.{{kind}}", dataset=[DATASET, *EXTERNAL], kind=["csv", "md", "html"])
TABLES = [
    *expand(
        f"{R}/tables/{{judged}}_{{backbone}}.{{kind}}",
        judged=[f"{protocol}_{dataset}" for protocol, dataset in JUDGED],
        backbone=STUDY.runs.backbones,
        kind=["csv", "md", "tex", "html"],
    ),
    *expand(
        f"{R}/tables/labels_{{judged}}_{{backbone}}.{{kind}}",
        judged=[f"{protocol}_{dataset}" for protocol, dataset in JUDGED],
        backbone=STUDY.runs.backbones,
        kind=["csv", "md", "html"],
    ),
    *LOW_DATA_TABLES,
    *VARIANT_TABLES,
    *REPRESENTATION_TABLES,
    *PAPER_TABLES,
    *COUNTS,
    *expand(f"{R}/tables/imputation.{{kind}}", kind=["md", "html"]),
]
FIGURES = expand(
    [
        *[f"{R}/figures/forest_{protocol}_{dataset}_{{backbone}}.{{kind}}" for protocol, dataset in JUDGED],
        *([f"{R}/figures/pretraining_{{backbone}}.{{kind}}"] if any(m.is_trained for m in STUDY.methods) else []),
    ],
    backbone=STUDY.runs.backbones,
    kind=["svg", "png"],
) + expand(f"{R}/figures/cohort_flow_{{dataset}}.{{kind}}", dataset=[DATASET, *EXTERNAL], kind=["svg", "png"])


rule statistics:
    input:
        predictions=predictions_of,
    output:
        summary=ensure(f"{R}/statistics/{{protocol}}/{{dataset}}/{{backbone}}/summary.parquet", non_empty=True),
        labels=ensure(f"{R}/statistics/{{protocol}}/{{dataset}}/{{backbone}}/labels.parquet", non_empty=True),
        replicates=f"{R}/statistics/{{protocol}}/{{dataset}}/{{backbone}}/replicates.parquet",
    log:
        f"{LOGS}/statistics/{{protocol}}/{{dataset}}/{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/statistics/{{protocol}}/{{dataset}}/{{backbone}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        runs=described_runs,
        settings=as_json(STUDY.statistics),
        code=code_digest("reporting.summary"),
    message:
        "Bootstrapping and comparing all {wildcards.backbone} runs, {wildcards.protocol} on {wildcards.dataset}"
    shell:
        "mmsn report statistics --runs {params.runs:q} --settings {params.settings:q} "
        "--output-summary {output.summary:q} --output-labels {output.labels:q} "
        "--output-replicates {output.replicates:q} --threads {threads} --log {log:q}"


rule results_table:
    input:
        summary=rules.statistics.output.summary,
    output:
        csv=f"{R}/tables/{{protocol}}_{{dataset}}_{{backbone}}.csv",
        markdown=f"{R}/tables/{{protocol}}_{{dataset}}_{{backbone}}.md",
        latex=f"{R}/tables/{{protocol}}_{{dataset}}_{{backbone}}.tex",
        html=report(
            f"{R}/tables/{{protocol}}_{{dataset}}_{{backbone}}.html",
            caption="../workflow/report/table3.rst",
            category="1 Results",
            labels={"data": "{dataset}", "what": "{protocol}, {backbone}"},
        ),
    log:
        f"{LOGS}/tables/{{protocol}}_{{dataset}}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/{{protocol}}_{{dataset}}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=lambda wildcards: linear_note(wildcards.protocol),
        head=whose_head,
        code=code_digest("reporting.command"),
    message:
        "Writing the table of {wildcards.protocol} results on {wildcards.dataset}, {wildcards.backbone}"
    shell:
        "mmsn report table --summary {input.summary:q} --protocol {wildcards.protocol} --dataset {wildcards.dataset} "
        "--data-note={params.note:q} --output-csv {output.csv:q} --output-markdown {output.markdown:q} "
        "--output-latex {output.latex:q} --output-html {output.html:q} --log {log:q}"


rule label_table:
    input:
        labels=rules.statistics.output.labels,
    output:
        csv=f"{R}/tables/labels_{{protocol}}_{{dataset}}_{{backbone}}.csv",
        markdown=f"{R}/tables/labels_{{protocol}}_{{dataset}}_{{backbone}}.md",
        html=report(
            f"{R}/tables/labels_{{protocol}}_{{dataset}}_{{backbone}}.html",
            caption="../workflow/report/per_label.rst",
            category="1 Results",
            labels={"data": "{dataset}", "what": "{protocol} by label, {backbone}"},
        ),
    log:
        f"{LOGS}/tables/labels_{{protocol}}_{{dataset}}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/labels_{{protocol}}_{{dataset}}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=lambda wildcards: linear_note(wildcards.protocol),
        head=whose_head,
        code=code_digest("reporting.command"),
    message:
        "Writing the {wildcards.protocol} tables by label on {wildcards.dataset}, {wildcards.backbone}"
    shell:
        "mmsn report labels --labels {input.labels:q} --protocol {wildcards.protocol} --dataset {wildcards.dataset} "
        "--data-note={params.note:q} --output-csv {output.csv:q} --output-markdown {output.markdown:q} "
        "--output-html {output.html:q} --log {log:q}"


rule cohort_table:
    input:
        flow=f"{R}/cohort/{{dataset}}/flow.json",
    output:
        csv=f"{R}/tables/cohort_{{dataset}}.csv",
        markdown=f"{R}/tables/cohort_{{dataset}}.md",
        html=report(
            f"{R}/tables/cohort_{{dataset}}.html",
            caption="../workflow/report/flow.rst",
            category="2 Cohort",
            labels={"data": "{dataset}", "what": "counts beside the published ones"},
        ),
    log:
        f"{LOGS}/tables/cohort_{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/tables/cohort_{{dataset}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("reporting.command"),
    message:
        "Writing the counts of {wildcards.dataset} beside the published ones"
    shell:
        "mmsn report cohort --flow {input.flow:q} --data-note={params.note:q} --output-csv {output.csv:q} "
        "--output-markdown {output.markdown:q} --output-html {output.html:q} --log {log:q}"


rule imputation_table:
    input:
        report=rules.impute.output.report,
    output:
        markdown=f"{R}/tables/imputation.md",
        html=report(
            f"{R}/tables/imputation.html",
            caption="../workflow/report/imputation.rst",
            category="2 Cohort",
            labels={"data": DATASET, "what": "imputation, and how good it is"},
        ),
    log:
        f"{LOGS}/tables/imputation.log",
    benchmark:
        f"{BENCHMARKS}/tables/imputation.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("reporting.imputation_command"),
    message:
        "Writing how many values were imputed, and how well"
    shell:
        "mmsn report imputation --report {input.report:q} --data-note={params.note:q} "
        "--output-markdown {output.markdown:q} --output-html {output.html:q} --log {log:q}"


rule forest:
    input:
        summary=rules.statistics.output.summary,
    output:
        svg=report(
            f"{R}/figures/forest_{{protocol}}_{{dataset}}_{{backbone}}.svg",
            caption="../workflow/report/forest.rst",
            category="1 Results",
            labels={"data": "{dataset}", "what": "forest plot, {protocol}, {backbone}"},
        ),
        png=f"{R}/figures/forest_{{protocol}}_{{dataset}}_{{backbone}}.png",
    log:
        f"{LOGS}/figures/forest_{{protocol}}_{{dataset}}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/forest_{{protocol}}_{{dataset}}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=lambda wildcards: linear_note(wildcards.protocol),
        head=whose_head,
        code=code_digest("reporting.command"),
    message:
        "Drawing the {wildcards.protocol} forest plot on {wildcards.dataset}, {wildcards.backbone}"
    shell:
        "mmsn report forest --summary {input.summary:q} --protocol {wildcards.protocol} --dataset {wildcards.dataset} "
        "--data-note={params.note:q} --output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule history:
    input:
        histories=histories_of,
    output:
        svg=report(
            f"{R}/figures/pretraining_{{backbone}}.svg",
            caption="../workflow/report/history.rst",
            category="3 Pretraining",
            labels={"data": DATASET, "what": "training curves, {backbone}"},
        ),
        png=f"{R}/figures/pretraining_{{backbone}}.png",
    log:
        f"{LOGS}/figures/pretraining_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/pretraining_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        runs=described_histories,
        code=code_digest("reporting.command"),
    message:
        "Drawing the training curves, {wildcards.backbone}"
    shell:
        "mmsn report history --runs {params.runs:q} --output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule flow_diagram:
    input:
        flow=f"{R}/cohort/{{dataset}}/flow.json",
    output:
        svg=report(
            f"{R}/figures/cohort_flow_{{dataset}}.svg",
            caption="../workflow/report/flow_diagram.rst",
            category="2 Cohort",
            labels={"data": "{dataset}", "what": "flow diagram"},
        ),
        png=f"{R}/figures/cohort_flow_{{dataset}}.png",
    log:
        f"{LOGS}/figures/cohort_flow_{{dataset}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/cohort_flow_{{dataset}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("reporting.command"),
    message:
        "Drawing the flow of {wildcards.dataset}"
    shell:
        "mmsn report flow-diagram --flow {input.flow:q} --dataset {wildcards.dataset:q} --data-note={params.note:q} "
        "--output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"
