# Raw tables -> one row an image.
# NEEDS  MIMIC-IV patients, admissions, icustays; MIMIC-CXR-JPG metadata, labels, split (or MedFuse's lists)
# MAKES  results/cohort/mimic-cxr/{images,exclusions}.parquet, flow.json
VARIABLE_SQL = {
    name: str(variable.sql or PACKAGE / "ehr" / "variables" / f"{name}.sql")
    for name, variable in STUDY.variables.items()
}


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
        # Where files lie is not tracked (functions of the inputs are not), what they hold is.
        names=list(VARIABLE_SQL),
        variables=lambda wildcards, input: as_json(VARIABLE_SQL),
        lists=lambda wildcards, input: " ".join(
            f"--medfuse-{name} {quote(str(path))}"
            for name, path in (("validate", STUDY.data.medfuse_validate), ("test", STUDY.data.medfuse_test))
            if path and STUDY.cohort.split == "medfuse"
        ),
        mimic_iv=lambda wildcards, input: STUDY.data.mimic_iv,
        mimic_cxr=lambda wildcards, input: STUDY.data.mimic_cxr,
        content=content_digest(RAW.paths),
        statements=[sql_without_comments(Path(path).read_text()) for path in VARIABLE_SQL.values()],
        code=code_digest("cohort.command"),
    message:
        "Joining MIMIC-IV and MIMIC-CXR tables into one row an image"
    shell:
        "mmsn cohort build --mimic-iv {params.mimic_iv:q} --mimic-cxr {params.mimic_cxr:q} {params.lists} "
        "--settings {params.settings:q} --variables {params.variables:q} "
        "--output-images {output.images:q} --output-exclusions {output.exclusions:q} --output-flow {output.flow:q} "
        "--threads {threads} --log {log:q}"
