# Tables of other data sets -> one row an image, where the study names them.
# NEEDS  CheXpert's and NIH-14's CSV files and lists, your own tables; results/cohort/mimic-cxr/rows.parquet, to see that
#        no test image was trained on
# MAKES  results/cohort/{chexpert,nih-14,...}/{images,exclusions}.parquet, flow.json
rule external_cohort:
    input:
        tables=lambda wildcards: [ancient(str(path)) for path in EXTERNAL[wildcards.external][3]],
        mimic=rules.cohort_rows.output.rows,
    output:
        images=ensure(f"{R}/cohort/{{external}}/images.parquet", non_empty=True),
        exclusions=f"{R}/cohort/{{external}}/exclusions.parquet",
        flow=f"{R}/cohort/{{external}}/flow.json",
    log:
        f"{LOGS}/cohort/{{external}}.log",
    benchmark:
        f"{BENCHMARKS}/cohort/{{external}}.tsv"
    priority: 10  # before training starts: a bad cell is to be found on the first day
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        verb=lambda wildcards: EXTERNAL[wildcards.external][0],
        folder=lambda wildcards, input: EXTERNAL[wildcards.external][1],
        settings=lambda wildcards: as_json(EXTERNAL[wildcards.external][2]),
        content=lambda wildcards: content_digest(EXTERNAL[wildcards.external][3]),
        code=code_digest("cohort.external.command"),
    message:
        "Turning the tables of {wildcards.external} into one row an image"
    shell:
        "mmsn external {params.verb} {params.folder:q} --settings {params.settings:q} --not-in {input.mimic:q} "
        "--output-images {output.images:q} --output-exclusions {output.exclusions:q} --output-flow {output.flow:q} "
        "--threads {threads} --log {log:q}"
