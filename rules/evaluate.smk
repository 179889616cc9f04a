# Encoders -> test predictions.
# NEEDS  results/pretrain/<backbone>/<method>/seed<k>/encoder.safetensors, results/images/mimic-cxr/
# MAKES  results/evaluate/linear/mimic-cxr/<backbone>/<method>/seed<k>/{predictions,runs}.parquet, head.safetensors
rule linear:
    input:
        encoder=rules.pretrain.output.encoder,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
    output:
        predictions=ensure(
            f"{R}/evaluate/linear/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/predictions.parquet",
            non_empty=True,
        ),
        runs=f"{R}/evaluate/linear/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/runs.parquet",
        head=f"{R}/evaluate/linear/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/head.safetensors",
    log:
        f"{LOGS}/evaluate/linear/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/linear/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 16000 * attempt,
        runtime=lambda wildcards, attempt: 720 * attempt,
    params:
        settings=protocol_settings("linear"),
        store=lambda wildcards, input: str(Path(input.index).parent),
        # As in pretraining: no output, so that a stopped evaluation goes on from it.
        checkpoint=f"{R}/evaluate/linear/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/unfinished.safetensors",
        code=protocol_code("linear"),
    message:
        "Linear evaluation of {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}"
    shell:
        "mmsn evaluate linear --encoder {input.encoder:q} --images {input.images:q} --store {params.store:q} "
        "--settings {params.settings:q} --seed {wildcards.seed:q} --title '{wildcards.backbone} {wildcards.method}' "
        "--output-predictions {output.predictions:q} --output-runs {output.runs:q} --output-head {output.head:q} "
        "--checkpoint {params.checkpoint:q} --threads {threads} --log {log:q}"
