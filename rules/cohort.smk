# Raw tables -> one row an image.
# NEEDS  MIMIC-IV patients, admissions, icustays, tables that variables name; MIMIC-CXR-JPG metadata, labels and
#        split (or MedFuse's lists, or yours)
# MAKES  results/cohort/mimic-cxr/{images,rows,records,exclusions}.parquet, flow.json
VARIABLE_SQL = {
    name: str(variable.sql or PACKAGE / "ehr" / "variables" / f"{name}.sql")
    for name, variable in STUDY.variables.items()
}
VARIABLE_TABLES = {name: variable.tables for name, variable in STUDY.variables.items() if variable.tables}

# What the join reads, the same for its three tables. Where files lie is not tracked (functions of the inputs are not),
# what they hold is.
CONTENT = content_digest(RAW.paths)
# Without labels, unless the split looks at them, and for rows without tables that only EHR variables read.
UNLABELLED = [path for name, path in RAW.loaded.items() if SPLIT_SEES_LABELS or name not in ("labels", "test_labels")]
COUNTING = ["cohort/flow.py", "cohort/flow.sql", "cohort/linkage.py"]  # what only counts, for flow.json
STATEMENTS = [sql_without_comments(Path(path).read_text()) for path in VARIABLE_SQL.values()]
LISTS = " ".join(
    f"--{name.replace('_', '-')} {quote(str(path))}"
    for name in ("medfuse_validate", "medfuse_test", "split_file")
    if (path := getattr(RAW, name))
)
FOLDERS = f"--mimic-iv {quote(str(STUDY.data.mimic_iv))} --mimic-cxr {quote(str(STUDY.data.mimic_cxr))} {LISTS}"


rule cohort:
    input:
        # Dates of raw tables say nothing (a copy has new ones): their content is a parameter.
        tables=[ancient(str(path)) for path in RAW.paths],
    output:
        images=ensure(f"{R}/cohort/{DATASET}/images.parquet", non_empty=True),
        exclusions=f"{R}/cohort/{DATASET}/exclusions.parquet",
        flow=f"{R}/cohort/{DATASET}/flow.json",
    log:
        f"{LOGS}/cohort/{DATASET}.log",
    benchmark:
        f"{BENCHMARKS}/cohort/{DATASET}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        settings=as_json(STUDY.cohort),
        names=list(VARIABLE_SQL),
        variables=lambda wildcards, input: as_json(VARIABLE_SQL),
        variable_tables=as_json(VARIABLE_TABLES),
        folders=lambda wildcards, input: FOLDERS,
        content=CONTENT,
        statements=STATEMENTS,
        code=code_digest("cohort.command"),
    message:
        "Joining MIMIC-IV and MIMIC-CXR tables into one row an image"
    shell:
        "mmsn cohort build {params.folders} --settings {params.settings:q} --variables {params.variables:q} "
        "--variable-tables {params.variable_tables:q} --output-images {output.images:q} "
        "--output-exclusions {output.exclusions:q} --output-flow {output.flow:q} --threads {threads} --log {log:q}"


# The same join again, twice, for what does not look at labels, or at neither labels nor EHR. It takes seconds, and so
# another policy for labels or another linkage does not retrain for weeks what sees the same images and records:
# Snakemake re-runs everything below a job that runs, whatever comes out of it.
rule cohort_rows:
    input:
        tables=[ancient(str(path)) for path in UNLABELLED],
    output:
        rows=ensure(f"{R}/cohort/{DATASET}/rows.parquet", non_empty=True),
    log:
        f"{LOGS}/cohort/{DATASET}_rows.log",
    benchmark:
        f"{BENCHMARKS}/cohort/{DATASET}_rows.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        tracked_settings=cohort_settings("labels", "records"),
        settings=lambda wildcards, input: as_json(STUDY.cohort),
        folders=lambda wildcards, input: FOLDERS,
        content=content_digest(UNLABELLED),
        code=code_digest("cohort.command", without=COUNTING),
    message:
        "Listing the cohort's images and their splits"
    shell:
        "mmsn cohort build {params.folders} --settings {params.settings:q} --variables '{{}}' "
        "--output-rows {output.rows:q} --threads {threads} --log {log:q}"


rule cohort_records:
    input:
        tables=[ancient(str(path)) for path in [*UNLABELLED, *RAW.streamed.values()]],
    output:
        records=ensure(f"{R}/cohort/{DATASET}/records.parquet", non_empty=True),
    log:
        f"{LOGS}/cohort/{DATASET}_records.log",
    benchmark:
        f"{BENCHMARKS}/cohort/{DATASET}_records.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 4
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        tracked_settings=cohort_settings("labels"),
        settings=lambda wildcards, input: as_json(STUDY.cohort),
        names=list(VARIABLE_SQL),
        variables=lambda wildcards, input: as_json(VARIABLE_SQL),
        variable_tables=as_json(VARIABLE_TABLES),
        folders=lambda wildcards, input: FOLDERS,
        content=content_digest([*UNLABELLED, *RAW.streamed.values()]),
        statements=STATEMENTS,
        code=code_digest("cohort.command", without=COUNTING),
    message:
        "Collecting the EHR variables of the cohort's images"
    shell:
        "mmsn cohort build {params.folders} --settings {params.settings:q} --variables {params.variables:q} "
        "--variable-tables {params.variable_tables:q} --output-records {output.records:q} --threads {threads} "
        "--log {log:q}"
