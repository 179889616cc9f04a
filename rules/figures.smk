# Stored results -> the paper's figures and further ones. Nothing here trains or embeds anything.
# NEEDS  results/cohort/mimic-cxr/images.parquet, results/embeddings/**, results/statistics/**, predictions,
#        results/representation/mimic-cxr/*/groups_linear.parquet; with figures.patient_images also encoders and pixels
# MAKES  results/tsne/mimic-cxr/<backbone>/<method>/seed<k>/{points,quality}.parquet,
#        results/figures/{ehr_distributions,tsne,label_differences,learning_curves,calibration,subgroups}_*.{svg,png},
#        results/figures/masking_* of a phantom; with figures.patient_images instead results/figures/masking_patient_*,
#        results/figures/attention*, results/attention/mimic-cxr/<backbone>/maps.safetensors
BACKBONES = STUDY.runs.backbones
FIRST_SEED = STUDY.runs.seeds[0]
TSNE = f"{R}/tsne/{DATASET}"
ATTENTION = f"{R}/attention/{DATASET}"
# A picture of a patient and one of a phantom never share a name: a report takes what lies on disk, however old it is.
MASKING = "masking_patient" if STUDY.figures.patient_images else "masking"
MASKED_BACKBONES = [
    name for name in BACKBONES if patch_side(STUDY.backbones[name]) and any(m.family == "msn" for m in STUDY.methods)
]
DIFFERING = [
    protocol
    for protocol in PROTOCOLS
    if STUDY.statistics.baseline in (ids := [method.id for method in STUDY.evaluated(protocol)]) and len(ids) > 1
]
FIGURES += [
    *expand(f"{R}/figures/ehr_distributions_{DATASET}.{{kind}}", kind=["svg", "png"]),
    *expand(f"{R}/figures/{MASKING}_{{backbone}}.{{kind}}", backbone=MASKED_BACKBONES, kind=["svg", "png"]),
    *expand(
        f"{R}/figures/{{figure}}_{DATASET}_{{backbone}}.{{kind}}",
        figure=[
            *(["tsne"] if STUDY.pictured() else []),
            *(["attention", "attention_heads"] if STUDY.figures.patient_images else []),
            *[f"label_differences_{protocol}" for protocol in DIFFERING],
            *[f"learning_curves_{protocol}" for protocol in LOW_DATA],
            *(["calibration", "subgroups"] if STUDY.subgroups.enabled else []),
        ],
        backbone=BACKBONES,
        kind=["svg", "png"],
    ),
]


rule ehr_distributions:
    input:
        images=rules.cohort.output.images,
    output:
        **pictures(
            f"ehr_distributions_{DATASET}",
            caption="../workflow/report/ehr_distributions.rst",
            category="2 Cohort",
            what="EHR variables",
        ),
    log:
        f"{LOGS}/figures/ehr_distributions_{DATASET}.log",
    benchmark:
        f"{BENCHMARKS}/figures/ehr_distributions_{DATASET}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        variables=variables_json(STUDY.variables),
        note=STUDY.note,
        code=code_digest("figures.distributions"),
    message:
        "Drawing the distributions of the EHR variables"
    shell:
        f"mmsn figure ehr --images {{input.images:q}} --variables {{params.variables:q}} --dataset {DATASET} "
        "--data-note={params.note:q} --output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule masking:
    input:
        index=rules.image_index.output.index if STUDY.figures.patient_images else [],
    output:
        **pictures(
            f"{MASKING}_{{backbone}}",
            caption="../workflow/report/masking.rst",
            category="3 Pretraining",
            what="views and masks, {backbone}",
        ),
    log:
        f"{LOGS}/figures/{MASKING}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/{MASKING}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        views=as_json(STUDY.pretrain.views),
        masks=as_json(
            STUDY.pretrain.model_dump(
                mode="json", include={"mask_ratio", "mask_random", "mask_focal", "class_token_aware"}
            )
        ),
        patch=lambda wildcards: patch_side(STUDY.backbones[wildcards.backbone]),
        side=STUDY.images.side,
        store=lambda wildcards, input: f"--store {quote(str(Path(input.index).parent))}" if input.index else "",
        seed=STUDY.statistics.seed,
        note=STUDY.note,
        code=code_digest("figures.masking", "figures.phantom_view"),
    message:
        "Drawing views and masks, {wildcards.backbone}"
    shell:
        "mmsn figure masking --views {params.views:q} --masks {params.masks:q} --patch {params.patch} "
        "--side {params.side} {params.store} --seed {params.seed} --data-note={params.note:q} "
        "--output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule tsne:
    input:
        embeddings=rules.embed.output.embeddings,
        images=rules.cohort.output.images,
    output:
        points=ensure(f"{TSNE}/{{backbone}}/{{method}}/seed{{seed}}/points.parquet", non_empty=True),
        quality=ensure(f"{TSNE}/{{backbone}}/{{method}}/seed{{seed}}/quality.parquet", non_empty=True),
    log:
        f"{LOGS}/tsne/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.log",
    benchmark:
        f"{BENCHMARKS}/tsne/{DATASET}/{{backbone}}/{{method}}/seed{{seed}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        settings=as_json(STUDY.figures.tsne),
        statistics=as_json(STUDY.statistics.model_dump(mode="json", exclude={"baseline"})),
        code=code_digest("figures.tsne_points"),
    message:
        "Mapping embeddings of {wildcards.backbone} {wildcards.method}, seed {wildcards.seed}, with t-SNE"
    shell:
        "mmsn figure-data tsne --embeddings {input.embeddings:q} --images {input.images:q} "
        "--settings {params.settings:q} --statistics {params.statistics:q} --output-points {output.points:q} "
        "--output-quality {output.quality:q} --threads {threads} --log {log:q}"


rule tsne_maps:
    input:
        points=lambda wildcards: [f"{TSNE}/{run.path}/points.parquet" for run in tsne_runs(wildcards)],
        quality=lambda wildcards: [f"{TSNE}/{run.path}/quality.parquet" for run in tsne_runs(wildcards)],
    output:
        **pictures(
            f"tsne_{DATASET}_{{backbone}}",
            caption="../workflow/report/tsne.rst",
            category="4 Representation",
            what="t-SNE maps, {backbone}",
        ),
    log:
        f"{LOGS}/figures/tsne_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/tsne_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        maps=lambda wildcards, input: " ".join(
            f"--names {quote(title(run.method))} --points {quote(points)} --quality {quote(quality)}"
            for run, points, quality in zip(tsne_runs(wildcards), input.points, input.quality, strict=True)
        ),
        names=lambda wildcards: [title(run.method) for run in tsne_runs(wildcards)],
        backbone=lambda wildcards: STUDY.backbones[wildcards.backbone].title,
        note=STUDY.note,
        code=code_digest("figures.tsne_maps"),
    message:
        "Drawing the t-SNE maps, {wildcards.backbone}"
    shell:
        f"mmsn figure tsne {{params.maps}} --dataset {DATASET} --backbone {{params.backbone:q}} "
        "--data-note={params.note:q} --output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule label_differences:
    input:
        labels=f"{R}/statistics/{{protocol}}/{DATASET}/{{backbone}}/labels.parquet",
    output:
        **pictures(
            f"label_differences_{{protocol}}_{DATASET}_{{backbone}}",
            caption="../workflow/report/label_differences.rst",
            category="1 Results",
            what="differences by label, {protocol}, {backbone}",
        ),
    log:
        f"{LOGS}/figures/label_differences_{{protocol}}_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/label_differences_{{protocol}}_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("figures.label_differences"),
    message:
        "Drawing the {wildcards.protocol} differences by label, {wildcards.backbone}"
    shell:
        "mmsn figure label-differences --labels {input.labels:q} --protocol {wildcards.protocol} "
        f"--dataset {DATASET} --data-note={{params.note:q}} --output-svg {{output.svg:q}} "
        "--output-png {output.png:q} --log {log:q}"


rule learning_curves:
    input:
        labels=rules.low_data_statistics.output.labels,
    output:
        **pictures(
            f"learning_curves_{{protocol}}_{DATASET}_{{backbone}}",
            caption="../workflow/report/learning_curves.rst",
            category="1 Results",
            what="learning curves, {protocol}, {backbone}",
        ),
    log:
        f"{LOGS}/figures/learning_curves_{{protocol}}_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/learning_curves_{{protocol}}_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        settings=as_json(STUDY.low_data.model_dump(mode="json", include={"by"})),
        note=STUDY.note,
        code=code_digest("figures.learning_curves"),
    message:
        "Drawing the {wildcards.protocol} learning curves, {wildcards.backbone}"
    shell:
        "mmsn figure learning-curves --labels {input.labels:q} --settings {params.settings:q} "
        f"--protocol {{wildcards.protocol}} --dataset {DATASET} --data-note={{params.note:q}} "
        "--output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule calibration_curves:
    input:
        predictions=lambda wildcards: [run["predictions"] for run in linear_runs(wildcards.backbone, STUDY.methods)],
        summary=f"{R}/statistics/linear/{DATASET}/{{backbone}}/summary.parquet",
    output:
        **pictures(
            f"calibration_{DATASET}_{{backbone}}",
            caption="../workflow/report/calibration_curves.rst",
            category="1 Results",
            what="calibration by label, {backbone}",
        ),
    log:
        f"{LOGS}/figures/calibration_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/calibration_{DATASET}_{{backbone}}.tsv"
    conda:
        "../envs/mmsn.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        runs=lambda wildcards: as_json(linear_runs(wildcards.backbone, STUDY.methods)),
        settings=as_json(STUDY.subgroups.model_dump(mode="json", include={"bins", "min_class"})),
        statistics=as_json(STUDY.statistics),
        compared=compared_option,
        note=STUDY.note,
        code=code_digest("figures.reliability", "figures.compared"),
    message:
        "Drawing the reliability curves, {wildcards.backbone}"
    shell:
        "mmsn figure calibration --runs {params.runs:q} --summary {input.summary:q} {params.compared} "
        f"--dataset {DATASET} --settings {{params.settings:q}} --statistics {{params.statistics:q}} "
        "--data-note={params.note:q} --output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


rule subgroup_gaps:
    input:
        measures=f"{R}/representation/{DATASET}/{{backbone}}/groups_linear.parquet",
    output:
        **pictures(
            f"subgroups_{DATASET}_{{backbone}}",
            caption="../workflow/report/subgroup_gaps.rst",
            category="1 Results",
            what="gaps between groups, {backbone}",
        ),
    log:
        f"{LOGS}/figures/subgroups_{DATASET}_{{backbone}}.log",
    benchmark:
        f"{BENCHMARKS}/figures/subgroups_{DATASET}_{{backbone}}.tsv"
    localrule: True
    conda:
        "../envs/mmsn.yaml"
    params:
        note=STUDY.note,
        code=code_digest("figures.subgroup_gaps"),
    message:
        "Drawing the AUROC by group of patients, {wildcards.backbone}"
    shell:
        f"mmsn figure subgroups --measures {{input.measures:q}} --dataset {DATASET} --data-note={{params.note:q}} "
        "--output-svg {output.svg:q} --output-png {output.png:q} --log {log:q}"


# Patients' images: only where the study says so, because the data use agreement decides who may see the report.
if STUDY.figures.patient_images:

    rule attention:
        input:
            encoders=lambda wildcards: [
                f"{R}/pretrain/{run.path}/encoder.safetensors"
                for run in runs_of(wildcards.backbone, attending_methods())
            ],
            predictions=lambda wildcards: [
                run["predictions"] for run in linear_runs(wildcards.backbone, attending_methods())
            ],
            summary=f"{R}/statistics/linear/{DATASET}/{{backbone}}/summary.parquet",
            images=rules.cohort.output.images,
            index=rules.image_index.output.index,
        output:
            maps=f"{ATTENTION}/{{backbone}}/maps.safetensors",
        log:
            f"{LOGS}/attention/{DATASET}/{{backbone}}.log",
        benchmark:
            f"{BENCHMARKS}/attention/{DATASET}/{{backbone}}.tsv"
        conda:
            "../envs/mmsn.yaml"
        threads: 2
        resources:
            mem_mb=lambda wildcards, attempt: 4000 * attempt,
            runtime=lambda wildcards, attempt: 20 * attempt,
        params:
            runs=encoded_runs,
            labels=",".join(STUDY.figures.attention_labels),
            views=as_json(STUDY.linear.views),
            store=lambda wildcards, input: str(Path(input.index).parent),
            baseline=STUDY.statistics.baseline,
            compared=compared_option,
            seed=STUDY.statistics.seed,
            code=code_digest("figures.attention"),
        message:
            "Computing attention maps of a few test images, {wildcards.backbone}"
        shell:
            "mmsn figure-data attention --runs {params.runs:q} --summary {input.summary:q} --images {input.images:q} "
            "--store {params.store:q} --labels {params.labels:q} --views {params.views:q} "
            "--baseline {params.baseline:q} {params.compared} --seed {params.seed} --device cpu "
            "--output {output.maps:q} --threads {threads} --log {log:q}"

    rule attention_maps:
        input:
            maps=rules.attention.output.maps,
        output:
            **pictures(
                f"attention{{heads}}_{DATASET}_{{backbone}}",
                caption="../workflow/report/attention.rst",
                category="4 Representation",
                what="attention{heads}, {backbone}",
            ),
        log:
            f"{LOGS}/figures/attention{{heads}}_{DATASET}_{{backbone}}.log",
        benchmark:
            f"{BENCHMARKS}/figures/attention{{heads}}_{DATASET}_{{backbone}}.tsv"
        wildcard_constraints:
            heads="|_heads",
        localrule: True
        conda:
            "../envs/mmsn.yaml"
        params:
            heads=lambda wildcards: "--per-head" if wildcards.heads else "",
            backbone=lambda wildcards: STUDY.backbones[wildcards.backbone].title,
            note=STUDY.note,
            code=code_digest("figures.attention_maps"),
        message:
            "Drawing the attention maps, {wildcards.backbone}"
        shell:
            f"mmsn figure attention --maps {{input.maps:q}} --dataset {DATASET} --backbone {{params.backbone:q}} "
            "{params.heads} --data-note={params.note:q} --output-svg {output.svg:q} --output-png {output.png:q} "
            "--log {log:q}"
