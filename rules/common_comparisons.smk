# Shared by the files beside it: what is compared with what, further heads, other data sets, figures.
# NEEDS  rules/common.smk; MAKES  nothing, it holds no rules


def readings_of(method):
    """What further heads of a method read, as `mmsn evaluate readings` takes it."""
    tokens = STUDY.readings.tokens if method in STUDY.read_further() else ()
    sets = STUDY.judged_with_ehr("linear").get(method, ())
    wanted = [{"tokens": name} for name in tokens] + [{"tokens": "class", "feature_set": name} for name in sets]
    # Where the protocol itself is trained on a bank, these heads, which are not, need an exact one to stand beside.
    return [*([{"tokens": "class"}] if STUDY.linear.bank and (wanted or bank_of(method)) else []), *wanted]


def bank_of(method):
    """Cached augmentations that a method's heads are trained on for comparison; 0 for none."""
    return STUDY.readings.bank if method in STUDY.read_further() else 0


def feature_tables(wildcards):
    """Feature set -> table, of the sets that a method is judged with."""
    sets = STUDY.judged_with_ehr("linear").get(method_from_id(wildcards.method), ())
    return {name: f"{R}/features/{name}.parquet" for name in sets}


def variants_by_table(readings, finetune_ehr, ehr_only):
    """Table -> backbone -> its runs as `mmsn report variant-statistics` takes them; the arguments are where predictions lie."""
    makers = {
        "readings": lambda backbone: reading_variants(backbone, readings),
        "ehr_linear": lambda backbone: ehr_variants("linear", backbone, readings, ehr_only),
        "ehr_finetune": lambda backbone: ehr_variants("finetune", backbone, finetune_ehr, ehr_only),
    }
    found = {about: {name: make(name) for name in STUDY.runs.backbones} for about, make in makers.items()}
    return {about: {name: runs for name, runs in of.items() if runs} for about, of in found.items()}


def described_variants(runs, folder, variant, key, against=(), reading=None):
    """Runs of one way to judge them; `@` in the keys of `against` is the method."""
    return [
        {
            **run,
            "id": f"{run['id']}/{key}",
            "variant": variant,
            "key": f"{run['method']}/{key}",
            "reading": reading,
            "against": {name: reference.replace("@", run["method"]) for name, reference in dict(against).items()},
        }
        for run in descriptions(runs, folder)
    ]


def exact_linear(readings):
    """Where heads on the class token lie that were trained without a bank, and which rows they are."""
    return (readings, "class") if STUDY.linear.bank else (f"{R}/evaluate/linear/{DATASET}", None)


def linear_note(protocol):
    """What makes the data special, and the heads where they are not trained as published."""
    banked = f"Linear heads were trained on {STUDY.linear.bank} cached augmentations an image (linear.bank)."
    return f"{STUDY.note} {banked}".strip() if protocol == "linear" and STUDY.linear.bank else STUDY.note


def reading_variants(backbone, folder):
    """Heads that read more than the class token, beside those that read it alone."""
    bank = {"bank": f"class token, bank of {STUDY.readings.bank}"} if STUDY.readings.bank else {}
    names = {name: name.replace("+", " + ") for name in STUDY.readings.tokens} | bank
    found = []
    for method in STUDY.read_further():
        runs = runs_of(backbone, [method])
        found += described_variants(runs, exact_linear(folder)[0], "class", "class", reading=exact_linear(folder)[1])
        for reading, name in names.items():
            found += described_variants(runs, folder, name, reading, {"the class token": "@/class"}, reading)
    return found


def ehr_variants(protocol, backbone, folder, ehr_only):
    """Image and record together, beside either alone."""
    judged = STUDY.judged_with_ehr(protocol)
    sets = dict.fromkeys(name for sets in judged.values() for name in sets)
    found = [ehr_alone(backbone, name, ehr_only) for name in sets]
    for method, own in judged.items():
        runs = runs_of(backbone, [method])
        alone, reading = exact_linear(folder) if protocol == "linear" else (f"{R}/evaluate/{protocol}/{DATASET}", None)
        found += described_variants(runs, alone, "image", "image", reading=reading)
        for name in own:
            against = {"the image alone": "@/image", "the EHR alone": f"ehr-only/{name}"}
            reading = f"class+ehr.{name}" if protocol == "linear" else None
            where = folder.replace("{feature_set}", name)
            found += described_variants(runs, where, f"image + EHR {name}", f"ehr.{name}", against, reading)
    return found


def ehr_alone(backbone, name, ehr_only):
    """The floor of a feature set, as a run of no encoder."""
    return {
        "id": f"ehr-only/{name}",
        "backbone": backbone,
        "backbone_name": STUDY.backbones[backbone].title,
        "method": "ehr-only",
        "method_name": "EHR alone",
        "feature_set": name,
        "seed": 0,
        "predictions": ehr_only.replace("{feature_set}", name),
        "variant": f"EHR {name}",
        "key": f"ehr-only/{name}",
    }


def pictures(stem, caption, category, what, data=DATASET):
    """Both files of a figure; the SVG one goes into the report."""
    return {
        "svg": report(
            f"{R}/figures/{stem}.svg",
            caption=caption,
            category=category,
            labels={"data": data, "what": what},
        ),
        "png": f"{R}/figures/{stem}.png",
    }


def tsne_runs(wildcards):
    """Runs whose maps stand side by side."""
    return [run for run in runs_of(wildcards.backbone, STUDY.pictured()) if run.seed == FIRST_SEED]


def compared_option(wildcards):
    """The variant that is set beside the reference, where the study names one."""
    method = STUDY.compared()
    return f"--compared {quote(method.id)}" if method else ""


def encoded_runs(wildcards):
    """Runs that attention maps may show, as `mmsn figure-data attention` takes them."""
    runs = linear_runs(wildcards.backbone, attending_methods())
    return as_json([{**run, "encoder": f"{R}/pretrain/{run['id']}/encoder.safetensors"} for run in runs])


def attending_methods():
    """The reference and its variants with EHR, or the one that the study names."""
    chosen = STUDY.compared()
    with_ehr = variants_with_ehr(STUDY.methods, STUDY.statistics.baseline)
    reference = [method for method in STUDY.methods if method.id == STUDY.statistics.baseline]
    return [*reference, *([chosen] if chosen else with_ehr)]


def only_split(wildcards):
    """Of data sets that nothing is trained on the test split alone is packed."""
    return "--only-split test" if wildcards.external in SCORED else ""


def root_of(wildcards):
    """Folder that a data set's paths start from."""
    _, folder, settings, _ = EXTERNAL[wildcards.external]
    return str(getattr(settings, "root", folder))


def kept_model(wildcards):
    """Encoder and head that MIMIC-CXR's evaluation chose."""
    folder = f"{R}/evaluate/{wildcards.protocol}/{DATASET}/{OTHER_RUN}".format(**wildcards)
    encoder = f"{R}/pretrain/{OTHER_RUN}".format(**wildcards) if wildcards.protocol == "linear" else folder
    return {"encoder": f"{encoder}/encoder.safetensors", "head": f"{folder}/head.safetensors"}
