# Encoders -> test predictions after encoder and head were trained together.
# NEEDS  results/pretrain/<backbone>/<method>/seed<k>/encoder.safetensors, results/images/mimic-cxr/
# MAKES  results/evaluate/finetune/mimic-cxr/<backbone>/<method>/seed<k>/{predictions,runs}.parquet,
#        {encoder,head}.safetensors of the best
rule finetune:
    input:
        encoder=rules.pretrain.output.encoder,
        images=rules.cohort.output.images,
        index=rules.image_index.output.index,
    output:
        predictions=ensure(
            f"{R}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/predictions.parquet",
            non_empty=True,
        ),
        runs=f"{R}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/runs.parquet",
        head=f"{R}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/head.safetensors",
        encoder=f"{R}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/encoder.safetensors",
    log:
        f"{LOGS}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
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
        # As in pretraining: no output, so that a stopped evaluation goes on from it.
        checkpoint=f"{R}/evaluate/finetune/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}/unfinished.safetensors",
        code=protocol_code("finetune"),
    message:
        "Fine-tuning {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}"
    shell:
        "mmsn evaluate finetune --encoder {input.encoder:q} --images {input.images:q} --store {params.store:q} "
        "--settings {params.settings:q} --seed {wildcards.seed:q} --title '{wildcards.backbone} {wildcards.method}' "
        "--output-predictions {output.predictions:q} --output-runs {output.runs:q} --output-head {output.head:q} "
        "--output-encoder {output.encoder:q} --checkpoint {params.checkpoint:q} --threads {threads} --log {log:q}"
