# Statistics and counts -> every table of the paper, what this study says of its claims, the report's first page.
# NEEDS  results/study.yaml, results/statistics/**/{summary,replicates}.parquet, results/tables/low_data_*.csv,
#        results/cohort/*/flow.json
# MAKES  results/tables/paper_table_{1,2,3,4,C1..C7}.{csv,md,tex,html}, results/tables/claims.{csv,md,tex,html},
#        results/opening.rst
PAPER_STEMS = [f"{R}/tables/{stem}" for stem in ["claims", *(f"paper_table_{name}" for name in TABLE_IDS)]]
PAPER_TABLES = [*expand("{stem}.{kind}", stem=PAPER_STEMS, kind=["csv", "md", "tex", "html"]), f"{R}/opening.rst"]
PAPER_INPUTS = {
    "statistics": [
        {
            "protocol": protocol,
            "dataset": dataset,
            "backbone": backbone,
            "summary": f"{R}/statistics/{protocol}/{dataset}/{backbone}/summary.parquet",
            "replicates": f"{R}/statistics/{protocol}/{dataset}/{backbone}/replicates.parquet",
        }
        for protocol, dataset in JUDGED
        for backbone in STUDY.runs.backbones
    ],
    "low_data": [
        {
            "protocol": protocol,
            "dataset": DATASET,
            "backbone": backbone,
            "table": f"{R}/tables/low_data_{protocol}_{DATASET}_{backbone}.csv",
            "replicates": f"{R}/statistics/low-data/{protocol}/{DATASET}/{backbone}/replicates.parquet",
        }
        for protocol in LOW_DATA
        for backbone in STUDY.runs.backbones
    ],
    "flows": {dataset: f"{R}/cohort/{dataset}/flow.json" for dataset in [DATASET, *EXTERNAL]},
}
PAPER_FILES = [
    *[one[name] for one in PAPER_INPUTS["statistics"] for name in ("summary", "replicates")],
    *[one[name] for one in PAPER_INPUTS["low_data"] for name in ("table", "replicates")],
    *PAPER_INPUTS["flows"].values(),
]
# The report's first page includes the opening where it has been written.
config["opening"] = f"{R}/opening.rst" if Path(f"{R}/opening.rst").exists() else ""


rule paper_tables:
    input:
        study=rules.study.output,
        measured=PAPER_FILES,
    output:
        other=expand("{stem}.{kind}", stem=PAPER_STEMS, kind=["csv", "md", "tex"]),
        claims=report(
            f"{R}/tables/claims.html",
            caption="../workflow/report/claims.rst",
            category="0 The paper",
            labels={"data": "all", "what": "What this study supports"},
        ),
        tables=[
            report(
                f"{R}/tables/paper_table_{name}.html",
                caption="../workflow/report/paper_table.rst",
                category="0 The paper",
                labels={"data": "the paper's", "what": f"Table {name}"},
            )
            for name in TABLE_IDS
        ],
    log:
        f"{LOGS}/tables/paper.log",
    benchmark:
        f"{BENCHMARKS}/tables/paper.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        inputs=as_json(PAPER_INPUTS),
        folder=lambda wildcards, output: str(Path(output.claims).parent),
        code=code_digest("paper.command"),
    message:
        "Filling every table of the paper and judging its claims"
    shell:
        "mmsn paper tables --study {input.study:q} --inputs {params.inputs:q} --output-folder {params.folder:q} "
        "--log {log:q}"


rule opening:
    input:
        study=rules.study.output,
        measured=PAPER_FILES,
    output:
        page=f"{R}/opening.rst",
    log:
        f"{LOGS}/tables/opening.log",
    benchmark:
        f"{BENCHMARKS}/tables/opening.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        inputs=as_json(PAPER_INPUTS),
        # No inputs: what they record is told as far as it is there; a table shall never ask for a training.
        benchmarks=BENCHMARKS,
        pretrained=f"{R}/pretrain",
        code=code_digest("paper.command"),
    message:
        "Writing the report's first page"
    shell:
        "mmsn paper opening --study {input.study:q} --inputs {params.inputs:q} --benchmarks {params.benchmarks:q} "
        "--pretrained {params.pretrained:q} --output {output.page:q} --log {log:q}"
