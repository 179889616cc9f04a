# Raw MIMIC tables and radiographs -> result tables, figures and report of the masked Siamese study.
#   snakemake --cores all                     everything
#   snakemake --cores all counts              the cohort's counts beside the published ones
#   snakemake --cores all tables              the tables; never retrains what is there
#   snakemake --cores all --configfile workflow/configs/demo.yaml
from snakemake.utils import min_version

min_version("9.27")


configfile: f"{workflow.basedir}/config.yaml"


report: "workflow/report/workflow.rst"


include: "rules/software.smk"
include: "rules/common.smk"
include: "rules/common_comparisons.smk"
include: "rules/study.smk"
include: "rules/cohort.smk"
include: "rules/external.smk"
include: "rules/features.smk"
include: "rules/images.smk"
include: "rules/pretrain.smk"
include: "rules/evaluate.smk"
include: "rules/finetune.smk"
include: "rules/evaluate_external.smk"
include: "rules/low_data.smk"
include: "rules/readings.smk"
include: "rules/representation.smk"
include: "rules/paper.smk"
include: "rules/report.smk"
include: "rules/figures.smk"


localrules:
    all,
    counts,
    features,
    tables,
    figures,


rule all:
    default_target: True
    input:
        rules.study.output,
        TABLES,
        FIGURES,


rule counts:
    input:
        COUNTS,


rule tables:
    input:
        TABLES,


rule figures:
    input:
        FIGURES,


rule features:
    input:
        expand(rules.feature_set.output.table, feature_set=STUDY.feature_sets),


onstart:
    if not workflow.touch:
        check_right_to_write(workflow.dag)
    without_default_rate(workflow.scheduler)


onsuccess:
    print(f"\nDone. Tables: {R}/tables/   figures: {R}/figures/   what is where: results/README.md")


onerror:
    print(failure_summary(log))
