# Pixels and feature tables -> one target encoder a backbone, method and seed.
# NEEDS  results/images/mimic-cxr/, results/features/<feature_set>.parquet, results/cohort/mimic-cxr/rows.parquet
# MAKES  results/pretrain/<backbone>/<method>/seed<k>/{encoder.safetensors,history.parquet,resolved.yaml,model_card.md}
# With runs.pack above 1 the first job of a pack trains all of its runs that are not done, and leaves each at its own
# checkpoint; the jobs of the others write their results from there. One at a time, therefore.
for number in range(len(TOGETHER)):
    workflow.register_resource(f"pack_{number}", 1)


rule pretrain:
    input:
        rows=rules.cohort_rows.output.rows,
        labels=method_labels,
        index=rules.image_index.output.index,
        features=method_features,
    output:
        encoder=f"{R}/pretrain/{{backbone}}/{{method}}/seed{{seed}}/encoder.safetensors",
        history=f"{R}/pretrain/{{backbone}}/{{method}}/seed{{seed}}/history.parquet",
        resolved=f"{R}/pretrain/{{backbone}}/{{method}}/seed{{seed}}/resolved.yaml",
        card=f"{R}/pretrain/{{backbone}}/{{method}}/seed{{seed}}/model_card.md",
    log:
        f"{LOGS}/pretrain/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/pretrain/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        **{f"pack_{number}": place_in_pack(number) for number in range(len(TOGETHER))},
        gpu=lambda wildcards: int(method_from_id(wildcards.method).is_trained),
        mem_mb=lambda wildcards, attempt: 32000 * attempt,
        runtime=lambda wildcards, attempt: 2880 * attempt,
    params:
        images=lambda wildcards, input: input.labels or input.rows,
        tracked_backbone=backbone_of,
        backbone=lambda wildcards, input: as_json(STUDY.backbones[wildcards.backbone]),
        settings=lambda wildcards: as_json(STUDY.training(method_from_id(wildcards.method))),
        store=lambda wildcards, input: str(Path(input.index).parent),
        features=lambda wildcards, input: f"--features {quote(input.features)}" if input.features else "",
        # A function of `input` is not tracked: who trains beside a run changes nothing of it.
        pack=lambda wildcards, input: pack_option(wildcards),
        # Not an output: Snakemake deletes outputs of a failed job, and this is what a stopped run goes on from.
        checkpoint=f"{R}/pretrain/{{backbone}}/{{method}}/seed{{seed}}/unfinished.safetensors",
        tensorboard=f"{R}/pretrain/{{backbone}}/{{method}}/seed{{seed}}/tensorboard",
        code=lambda wildcards: code_digest("training.command", method_from_id(wildcards.method).step_module),
    message:
        "Pretraining {wildcards.backbone} with {wildcards.method}, seed {wildcards.seed}"
    shell:
        "mmsn pretrain --method {wildcards.method:q} --backbone {params.backbone:q} --settings {params.settings:q} "
        "--seed {wildcards.seed:q} --images {params.images:q} --store {params.store:q} {params.features} "
        "--output-encoder {output.encoder:q} --output-history {output.history:q} --output-resolved {output.resolved:q} "
        "--output-card {output.card:q} --checkpoint {params.checkpoint:q} --tensorboard {params.tensorboard:q} "
        "--processes {resources.gpu} --threads {threads} {params.pack} --log {log:q}"
