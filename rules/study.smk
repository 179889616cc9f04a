# The configuration -> the resolved study beside the results.
# NEEDS  config.yaml and overlays
# MAKES  results/study.yaml
rule study:
    output:
        f"{R}/study.yaml",
    log:
        f"{LOGS}/study.log",
    benchmark:
        f"{BENCHMARKS}/study.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        config=as_json(STUDY),
    message:
        "Writing the resolved study"
    shell:
        "mmsn study write --config {params.config:q} --output {output:q} --log {log:q}"
