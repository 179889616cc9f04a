# Other data sets: pixels, then MIMIC-CXR's models as they are, or a head of the data set's own -> test predictions.
# NEEDS  results/cohort/<dataset>/images.parquet and the radiographs; encoders; {head,encoder}.safetensors of MIMIC-CXR
# MAKES  results/images/<dataset>/<part>.{npy,parquet}, index.parquet, quarantine.parquet;
#        results/evaluate/{linear,finetune}/<dataset>/<backbone>/<method>/seed<k>/predictions.parquet, and beside it for a
#        head of its own what rules linear and finetune make
PARTS = {**dict.fromkeys(SCORED, 1), **dict.fromkeys(OWN_HEAD, 2)}
OTHER_IMAGES = STUDY.images.model_copy(update={"file_suffix": None})  # that key is of MIMIC-CXR's folders
OTHER_RUN = "{backbone}/{method}/seed{seed}"


wildcard_constraints:
    scored="|".join(SCORED) or "(?!)",
    own="|".join(OWN_HEAD) or "(?!)",


rule external_shard:
    input:
        images=rules.external_cohort.output.images,
    output:
        array=f"{R}/images/{{external}}/part{{part}}of{{parts}}.npy",
        index=f"{R}/images/{{external}}/part{{part}}of{{parts}}.parquet",
    log:
        f"{LOGS}/images/{{external}}/part{{part}}of{{parts}}.log",
    benchmark:
        f"{BENCHMARKS}/images/{{external}}/part{{part}}of{{parts}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        root=lambda wildcards, input: root_of(wildcards),
        split=only_split,
        settings=as_json(OTHER_IMAGES),
        code=code_digest("images.shards"),
    message:
        "Packing radiographs of {wildcards.external}, part {wildcards.part} of {wildcards.parts}"
    shell:
        "mmsn images shard --images {input.images:q} --root {params.root:q} {params.split} "
        "--shard part{wildcards.part}of{wildcards.parts} --settings {params.settings:q} "
        "--output-array {output.array:q} --output-index {output.index:q} --threads {threads} --log {log:q}"


rule external_index:
    input:
        images=rules.external_cohort.output.images,
        shards=lambda wildcards: [
            f"{R}/images/{wildcards.external}/part{part}of{PARTS[wildcards.external]}.parquet"
            for part in range(1, PARTS[wildcards.external] + 1)
        ],
        mimic=rules.image_index.output.index,
    output:
        index=ensure(f"{R}/images/{{external}}/index.parquet", non_empty=True),
        quarantine=f"{R}/images/{{external}}/quarantine.parquet",
    log:
        f"{LOGS}/images/{{external}}/index.log",
    benchmark:
        f"{BENCHMARKS}/images/{{external}}/index.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=20,
    params:
        shards=lambda wildcards, input: " ".join(f"--shards {quote(path)}" for path in input.shards),
        split=only_split,
        settings=as_json(OTHER_IMAGES),
        code=code_digest("images.index", "images.held_out"),
    message:
        "Indexing the packed radiographs of {wildcards.external}: every test image is there, none is MIMIC-CXR's"
    shell:
        "mmsn images index {params.shards} --images {input.images:q} {params.split} --whole-split test "
        "--not-in {input.mimic:q} --settings {params.settings:q} --output-index {output.index:q} "
        "--output-quarantine {output.quarantine:q} --log {log:q}"


rule score:
    input:
        unpack(kept_model),
        images=f"{R}/cohort/{{scored}}/images.parquet",
        index=f"{R}/images/{{scored}}/index.parquet",
    output:
        predictions=ensure(f"{R}/evaluate/{{protocol}}/{{scored}}/{OTHER_RUN}/predictions.parquet", non_empty=True),
    log:
        f"{LOGS}/evaluate/{{protocol}}/{{scored}}/{OTHER_RUN}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/{{protocol}}/{{scored}}/{OTHER_RUN}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        gpu=1,
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        store=lambda wildcards, input: str(Path(input.index).parent),
        code=code_digest("evaluation.score"),
    message:
        "Scoring {wildcards.scored} with the {wildcards.protocol} model of {wildcards.backbone} {wildcards.method}, seed "
        "{wildcards.seed}, as it is"
    shell:
        "mmsn evaluate score --encoder {input.encoder:q} --head {input.head:q} --images {input.images:q} "
        "--store {params.store:q} --title '{wildcards.backbone} {wildcards.method} on {wildcards.scored}' "
        "--output-predictions {output.predictions:q} --threads {threads} --log {log:q}"


use rule linear as own_linear with:
    input:
        encoder=rules.pretrain.output.encoder,
        images=f"{R}/cohort/{{own}}/images.parquet",
        index=f"{R}/images/{{own}}/index.parquet",
    output:
        predictions=ensure(f"{R}/evaluate/linear/{{own}}/{OTHER_RUN}/predictions.parquet", non_empty=True),
        runs=f"{R}/evaluate/linear/{{own}}/{OTHER_RUN}/runs.parquet",
        head=f"{R}/evaluate/linear/{{own}}/{OTHER_RUN}/head.safetensors",
    log:
        f"{LOGS}/evaluate/linear/{{own}}/{OTHER_RUN}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/linear/{{own}}/{OTHER_RUN}.tsv"
    params:
        checkpoint=f"{R}/evaluate/linear/{{own}}/{OTHER_RUN}/unfinished.safetensors",
    message:
        "Linear evaluation of {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}, on {wildcards.own}"


use rule finetune as own_finetune with:
    input:
        encoder=rules.pretrain.output.encoder,
        images=f"{R}/cohort/{{own}}/images.parquet",
        index=f"{R}/images/{{own}}/index.parquet",
    output:
        predictions=ensure(f"{R}/evaluate/finetune/{{own}}/{OTHER_RUN}/predictions.parquet", non_empty=True),
        runs=f"{R}/evaluate/finetune/{{own}}/{OTHER_RUN}/runs.parquet",
        head=f"{R}/evaluate/finetune/{{own}}/{OTHER_RUN}/head.safetensors",
        encoder=f"{R}/evaluate/finetune/{{own}}/{OTHER_RUN}/encoder.safetensors",
    log:
        f"{LOGS}/evaluate/finetune/{{own}}/{OTHER_RUN}.log",
    benchmark:
        f"{BENCHMARKS}/evaluate/finetune/{{own}}/{OTHER_RUN}.tsv"
    params:
        checkpoint=f"{R}/evaluate/finetune/{{own}}/{OTHER_RUN}/unfinished.safetensors",
    message:
        "Fine-tuning {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}, on {wildcards.own}"
