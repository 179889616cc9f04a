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
        # A function of the inputs is not tracked: a folder that moved holds the same radiographs.
        root=lambda wildcards, input: STUDY.data.mimic_cxr,
        settings=as_json(STUDY.images),
        code=code_digest("images.shards"),
    message:
        "Packing radiographs of patients {wildcards.shard}"
    shell:
        "mmsn images shard --images {input.images:q} --root {params.root:q} --shard {wildcards.shard:q} "
        "--settings {params.settings:q} --output-array {output.array:q} --output-index {output.index:q} "
        "--threads {threads} --log {log:q}"


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
        shards=lambda wildcards, input: " ".join(f"--shards {quote(path)}" for path in input.shards),
        settings=as_json(STUDY.images),
        code=code_digest("images.index"),
    message:
        "Indexing the packed radiographs"
    shell:
        "mmsn images index {params.shards} --images {input.images:q} --settings {params.settings:q} "
        "--output-index {output.index:q} --output-quarantine {output.quarantine:q} --log {log:q}"
