"""What each command is for and how it is called: known without importing it."""

from typing import NamedTuple


class Command(NamedTuple):
    """A line for the list of commands, and commands that one can paste."""

    summary: str
    examples: tuple[str, ...]


COMMANDS = {
    "run": Command(
        "Run a suite: every cell that has no record in the folder yet.",
        (
            "graftbench run quick --out runs/quick",
            "graftbench run my-suite.toml --out runs/mine --jobs 4 --plugin my_method.py",
            "graftbench run quick --out runs/quick --retry error --retry timeout",
            "graftbench run quick --out runs/part3 --shard 3/8",
            "graftbench run quick --out runs/quick --executor ray --address auto --gpus-per-cell 0.25",
        ),
    ),
    "report": Command(
        "Write tables, figures and the page of a run.",
        (
            "graftbench report runs/quick",
            "graftbench report runs/quick --out paper/results --format tex,pdf",
            'graftbench report runs/near runs/far --select "method=dcgan,finetune budget<=100"',
            "graftbench report runs/quick --figure quality --format pdf",
        ),
    ),
    "claims": Command(
        "Check published claims on the records of a run, one test each.",
        (
            "graftbench claims runs/quick",
            "graftbench claims runs/near runs/far --level 0.01",
            "graftbench claims runs/quick --markdown",
        ),
    ),
    "show": Command(
        "Show one cell of a run: status, scores, cost, log, and the command that makes it again.",
        (
            "graftbench show runs/quick a9e314f3",
            "graftbench show runs/quick a9e314f328739f70 --json",
        ),
    ),
    "cite": Command(
        "Print BibTeX for what a run used: methods, domains, metrics, extractor, graftbench.",
        (
            "graftbench cite runs/quick > used.bib",
            "graftbench cite runs/near runs/far --plugin my_method.py",
        ),
    ),
    "plan": Command(
        "List the cells of a suite: done, new, changed and why; what they will take.",
        (
            "graftbench plan quick",
            "graftbench plan quick --out runs/quick --json",
            "graftbench plan quick --from runs/yesterday --jobs 8 --shard 3/8",
        ),
    ),
    "merge": Command(
        "Join run folders of one suite that come from shards or from several machines.",
        (
            "graftbench merge runs/a runs/b --out runs/all",
            "graftbench merge shards/1 shards/2 shards/3 --out runs/all --link",
        ),
    ),
    "clean": Command(
        "Remove samplers, sheets and leftovers from a run folder, or prepared data from the cache.",
        (
            "graftbench clean runs/quick",
            "graftbench clean runs/quick --keep samples --superseded --work --dry-run",
            "graftbench clean --cache",
        ),
    ),
    "evaluate": Command(
        "Score generated images against reference images.",
        (
            "graftbench evaluate samples/ domain:openmoji@32/reference",
            "graftbench evaluate samples.npz real/ --metrics fid,kid,is,prdc --extractor inception-v3-compat",
            "graftbench evaluate samples/ reference.safetensors --train shots/ --json",
        ),
    ),
    "stats": Command(
        "Write reference statistics to a file, to score against without the images.",
        (
            "graftbench stats real/ --out reference.safetensors",
            "graftbench stats domain:openmoji@32/reference --out openmoji.safetensors --moments",
        ),
    ),
    "ls": Command(
        "List methods, domains, suites, reports, extractors or metrics.",
        (
            "graftbench ls methods",
            "graftbench ls metrics",
            "graftbench ls domains --json",
        ),
    ),
    "source train": Command(
        "Train a source model on a domain, cache it and export it with its provenance.",
        (
            "graftbench source train twemoji --resolution 32 --kimg 512",
            "graftbench source train folder:photos --resolution 64 --kimg 1000 --out models/",
        ),
    ),
    "doctor": Command(
        "Check what the suite needs of this machine: versions, devices, counters, cache, load.",
        (
            "graftbench doctor",
            "graftbench doctor --json",
        ),
    ),
}

GROUPS = {"source": "Source models: what methods transfer from."}
"""Commands of two words: the first one and what it is about."""
