# Radiographs -> one packed uint8 array a shard, and an index.
# NEEDS  results/cohort/mimic-cxr/rows.parquet, the folder files/ of MIMIC-CXR-JPG (or of MIMIC-CXR, images.file_suffix)
# MAKES  results/images/mimic-cxr/<shard>.{npy,parquet}, index.parquet, quarantine.parquet; and, declared nowhere
#        because Snakemake deletes what is: <shard>.*.partial* of an interrupted shard, <shard>.*.kept (hard links, no
#        space) from which a shard that runs again copies unchanged images. Snakemake does not look into 377,110 files:
#        to have changed ones found, delete the shard's .parquet and index.parquet, or --forcerun image_shard.
rule image_shard:
    input:
        rows=rules.cohort_rows.output.rows,
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
        "mmsn images shard --images {input.rows:q} --root {params.root:q} --shard {wildcards.shard:q} "
        "--settings {params.settings:q} --output-array {output.array:q} --output-index {output.index:q} "
        "--threads {threads} --log {log:q}"


rule image_index:
    input:
        rows=rules.cohort_rows.output.rows,
        # Not the arrays: a shard's table has a digest of every row, and gigabytes need not be compared.
        shards=expand(rules.image_shard.output.index, shard=MIMIC_SHARDS),
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
        "mmsn images index {params.shards} --images {input.rows:q} --settings {params.settings:q} "
        "--output-index {output.index:q} --output-quarantine {output.quarantine:q} --log {log:q}"
