# Radiographs -> one packed uint8 array a shard, and an index.
# NEEDS  results/cohort/mimic-cxr/images.parquet, the folder files/ of MIMIC-CXR-JPG
# MAKES  results/images/mimic-cxr/<shard>.{npy,parquet}, index.parquet, quarantine.parquet
rule image_shard:
    input:
        images=rules.cohort.output.images,
    output:
        array=f"{R}/images/{DATASET}/{{shard}}.npy",
        index=f"{R}/images/{DATASET}/{{shard}}.parquet",
    log:
        f"{LOGS}/images/{DATASET}/{{shard}}.log",
    benchmark:
        f"{BENCHMARKS}/images/{DATASET}/{{shard}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 240 * attempt,
    params:
        root=STUDY.data.mimic_cxr,
        settings=as_json(STUDY.images),
        code=code_digest("images.shards"),
    message:
        "Packing radiographs of patients {wildcards.shard}"
    shell:
        "mmsn images shard --images {input.images} --root {params.root:q} --shard {wildcards.shard} "
        "--settings {params.settings:q} --output-array {output.array} --output-index {output.index} "
        "--threads {threads} --log {log}"


rule image_index:
    input:
        images=rules.cohort.output.images,
        shards=expand(rules.image_shard.output.index, shard=MIMIC_SHARDS),
        arrays=expand(rules.image_shard.output.array, shard=MIMIC_SHARDS),
    output:
        index=ensure(f"{R}/images/{DATASET}/index.parquet", non_empty=True),
        quarantine=f"{R}/images/{DATASET}/quarantine.parquet",
    log:
        f"{LOGS}/images/{DATASET}/index.log",
    benchmark:
        f"{BENCHMARKS}/images/{DATASET}/index.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=20,
    params:
        shards=lambda wildcards, input: " ".join(f"--shards {path}" for path in input.shards),
        settings=as_json(STUDY.images),
        code=code_digest("images.index"),
    message:
        "Indexing the packed radiographs"
    shell:
        "mmsn images index {params.shards} --images {input.images} --settings {params.settings:q} "
        "--output-index {output.index} --output-quarantine {output.quarantine} --log {log}"
