# EHR variables -> imputed -> one table a feature set.
# NEEDS  results/cohort/mimic-cxr/records.parquet
# MAKES  results/imputation/{variables.parquet,imputation.json}, results/features/<feature_set>.parquet
rule impute:
    input:
        records=rules.cohort_records.output.records,
    output:
        variables=ensure(f"{R}/imputation/variables.parquet", non_empty=True),
        report=f"{R}/imputation/imputation.json",
    log:
        f"{LOGS}/imputation.log",
    benchmark:
        f"{BENCHMARKS}/imputation.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        settings=as_json(STUDY.imputation),
        variables=variables_json(STUDY.variables),
        code=code_digest("ehr.command"),
    message:
        "Imputing missing views and positions with a random forest"
    shell:
        "mmsn ehr impute --records {input.records:q} --variables {params.variables:q} --settings {params.settings:q} "
        "--output-variables {output.variables:q} --output-report {output.report:q} --threads {threads} --log {log:q}"


rule feature_set:
    input:
        variables=rules.impute.output.variables,
    output:
        table=ensure(f"{R}/features/{{feature_set}}.parquet", non_empty=True),
    log:
        f"{LOGS}/features/{{feature_set}}.log",
    benchmark:
        f"{BENCHMARKS}/features/{{feature_set}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=10,
    params:
        variables=lambda wildcards: variables_json(STUDY.feature_sets[wildcards.feature_set]),
        code=code_digest("ehr.codes"),
    message:
        "Encoding feature set {wildcards.feature_set}"
    shell:
        "mmsn ehr encode --variables-table {input.variables:q} --variables {params.variables:q} "
        "--output {output.table:q} --log {log:q}"
