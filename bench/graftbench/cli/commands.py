"""Summary and examples of each command, without importing it."""


class CommandHelp:
    """A line for the list of commands, and examples that one can paste."""

    def __init__(self, summary: str, *examples: str) -> None:
        self.summary = summary
        self.examples = examples


COMMANDS = {
    "run": CommandHelp(
        "Run a suite: every cell that has no record in the folder yet.",
        "graftbench run quick --out runs/quick",
        "graftbench run my-suite.toml --out runs/mine --jobs 4 --plugin my_method.py",
        "graftbench run quick --out runs/quick --retry error --retry timeout",
        "graftbench run quick --out runs/part3 --shard 3/8",
        "graftbench run quick --out runs/quick --executor ray --address auto --gpus-per-cell 0.25",
        "graftbench run quick --out runs/quick --profile",
        "graftbench run quick --out runs/quick --tracker tensorboard --tracker wandb:project=grafts",
    ),
    "report": CommandHelp(
        "Write the page and the table of a run; with --paper, LaTeX and figures.",
        "graftbench report runs/quick",
        "graftbench report runs/quick --paper paper/results",
        'graftbench report runs/near runs/far --select "method=dcgan,finetune budget<=100"',
        "graftbench report runs/quick --figure quality --format pdf",
        "graftbench report runs/quick --baseline source",
    ),
    "publish": CommandHelp(
        "Write a folder that any web server can show: an index over runs, with each run's page, records and CSV.",
        "graftbench publish runs/quick --out site",
        "graftbench publish runs/near runs/far --out site --theirs from-ann.jsonl",
    ),
    "claims": CommandHelp(
        "Check published claims on the records of a run, one test each.",
        "graftbench claims runs/quick",
        "graftbench claims runs/near runs/far --level 0.01",
        "graftbench claims runs/quick --markdown",
    ),
    "versus": CommandHelp(
        "Say whether method A is better than method B, by how much, and how sure that is.",
        "graftbench versus runs/quick finetune dcgan",
        "graftbench versus runs/quick finetune freezed --metric kid,fid,recall",
        "graftbench versus runs/near finetune freezed runs/far --json",
    ),
    "time-to-quality": CommandHelp(
        "Say what a quality costs: seconds, images, joules and money until the fits reach it.",
        "graftbench time-to-quality runs/quick",
        "graftbench time-to-quality runs/quick --price-per-hour 2.5",
    ),
    "show": CommandHelp(
        "Show one cell of a run: status, scores, cost, log, and the command that makes it again.",
        "graftbench show runs/quick a9e314f3",
        "graftbench show runs/quick a9e314f328739f70 --json",
    ),
    "cite": CommandHelp(
        "Print BibTeX for what a run used: methods, domains, metrics, extractor, graftbench.",
        "graftbench cite runs/quick > used.bib",
        "graftbench cite runs/near runs/far --plugin my_method.py",
    ),
    "compare": CommandHelp(
        "Judge a new run against a base: what got worse by more than noise, and the exit code for CI.",
        "graftbench compare main runs/quick",
        "graftbench compare runs/before runs/after --metric kid=15%,fid,peak_memory_mib=2%",
        "graftbench compare main runs/quick --write md=summary.md --write junit=compare.xml",
    ),
    "baseline save": CommandHelp(
        "Keep a run's records under a name, to compare later runs with.",
        "graftbench baseline save main runs/quick",
        "graftbench baseline save main runs/quick --replace --baselines ci/baselines",
    ),
    "baseline ls": CommandHelp("List the baselines of a folder.", "graftbench baseline ls"),
    "baseline remove": CommandHelp("Delete a baseline.", "graftbench baseline remove main"),
    "interleave": CommandHelp(
        "Run a suite with two versions of graftbench by turns on this machine, for costs that compare.",
        "graftbench interleave quick --base ../main/.venv/bin/graftbench --out runs/ab --repeats 4 -- --jobs 1",
    ),
    "track add": CommandHelp(
        "Append what a run came to as one line to a history.",
        "graftbench track add runs/today --history history",
        "graftbench track add runs/old --history history --commit 3f7dde0 --date 2026-01-31",
    ),
    "track show": CommandHelp(
        "List the series of a history: latest value, steps with their commits, drift.",
        "graftbench track show history --changed",
        "graftbench track show history --measure kid=5%,fit_seconds --method finetune",
    ),
    "track report": CommandHelp(
        "Write a history as one self-contained page.", "graftbench track report history --out history.html"
    ),
    "export-task": CommandHelp(
        "Write the exact training images of a cell, a manifest and a README, for anyone's code to train on.",
        "graftbench export-task 'twemoji->openmoji@32' for-ann --suite standard --budget 25 --seed 0",
        "graftbench export-task 'twemoji->openmoji@32' ann --suite standard --budget 25 --seed 0 --format zip --source",
        "graftbench export-task 'none->folder:photos@64' for-ann --budget 100 --seed 0 --suite mine.toml",
    ),
    "add samples": CommandHelp(
        "Add images that were made elsewhere to a run: checked, scored under its protocol, marked as submitted.",
        "graftbench add samples for-ann/samples --run runs/quick --method anns-gan --cost fit_seconds=5400",
        "graftbench add samples s.zip --run runs/quick --method anns-gan --budget 25 --seed 0 --compute '8 kimg'",
        "graftbench add samples 'anns/{budget}-{seed}' --run runs/quick --method anns-gan",
    ),
    "plan": CommandHelp(
        "List the cells of a suite: done, new, changed and why; what they will take.",
        "graftbench plan quick",
        "graftbench plan quick --out runs/quick --json",
        "graftbench plan quick --from runs/yesterday --jobs 8 --shard 3/8",
    ),
    "merge": CommandHelp(
        "Join run folders of one suite that come from shards or from several machines.",
        "graftbench merge runs/a runs/b --out runs/all",
        "graftbench merge shards/1 shards/2 shards/3 --out runs/all --link",
    ),
    "export": CommandHelp(
        "Send a run that is there to a tracker: TensorBoard, Weights & Biases, MLflow.",
        "graftbench export runs/quick --tracker tensorboard",
        'graftbench export runs/quick --tracker wandb:project=grafts,mode=offline --select "method=dcgan,finetune"',
        "graftbench export runs/quick --tracker mlflow:uri=http://127.0.0.1:5000",
    ),
    "clean": CommandHelp(
        "Remove samplers, sheets and leftovers from a run folder, or prepared data from the cache.",
        "graftbench clean runs/quick",
        "graftbench clean runs/quick --keep samples --superseded --work --dry-run",
        "graftbench clean --cache",
    ),
    "evaluate": CommandHelp(
        "Score generated images against reference images.",
        "graftbench evaluate samples/ domain:openmoji@32/reference",
        "graftbench evaluate samples.npz real/ --metrics fid,kid,is,prdc --extractor inception-v3-compat",
        "graftbench evaluate samples/ reference.safetensors --train shots/ --json",
    ),
    "stats": CommandHelp(
        "Write reference statistics to a file, to score against without the images.",
        "graftbench stats real/ --out reference.safetensors",
        "graftbench stats domain:openmoji@32/reference --out openmoji.safetensors --moments",
    ),
    "ls": CommandHelp(
        "List methods, domains, suites, reports, extractors, metrics or trackers.",
        "graftbench ls methods",
        "graftbench ls metrics",
        "graftbench ls domains --json",
    ),
    "tasks": CommandHelp(
        "Measure how far the domains of tasks are apart: KID, FID, feature distance; near, middle or far.",
        "graftbench tasks standard",
        'graftbench tasks "twemoji->openmoji@32" "openmoji->folder:photos@32" --markdown',
    ),
    "court": CommandHelp(
        "Try scores where the truth is known: sanity checks, planted failures, fitted generators.",
        "graftbench court runs/quick",
        "graftbench court --quick --out runs/court",
        "graftbench court --metrics kid,clipped --plugin my_metric.py",
    ),
    "data show": CommandHelp(
        "Show a domain's card: licence, source, counts, splits, duplicates, what was left out, a contact sheet.",
        "graftbench data show openmoji",
        "graftbench data show folder:photos --resolution 64 --sheet photos.png",
    ),
    "data prepare": CommandHelp(
        "Prepare all that a suite needs: images, extractor, floors, source models. Then it runs without a network.",
        "graftbench data prepare standard",
        "graftbench data prepare my-suite.toml --plugin my_domain.py",
    ),
    "source train": CommandHelp(
        "Train a source model on a domain, cache it and export it with its provenance.",
        "graftbench source train twemoji --resolution 32 --kimg 512",
        "graftbench source train folder:photos --resolution 64 --kimg 1000 --out models/",
    ),
    "source ls": CommandHelp(
        "List source models: those that come with the package, those in the cache, those of packages.",
        "graftbench source ls",
        "graftbench source ls --json",
    ),
    "source show": CommandHelp(
        "Show a source model: licence, provenance, scores, samples, and which methods can start from it.",
        "graftbench source show gan-twemoji-32 --sheet samples.png",
        "graftbench source show gan-face-generate",
    ),
    "completion": CommandHelp(
        "Print a script that completes commands and options in bash, zsh or fish.",
        "graftbench completion bash > ~/.local/share/bash-completion/completions/graftbench",
        "graftbench completion fish > ~/.config/fish/completions/graftbench.fish",
        "graftbench completion zsh > ~/.zfunc/_graftbench",
    ),
    "new method": CommandHelp(
        "Write a method that works, with comments to learn from, and its test.",
        "graftbench new method my-method",
        "graftbench new method my-method --family fine-tune",
        "graftbench new method my-method --out methods",
    ),
    "new domain": CommandHelp(
        "Write a domain that works, with comments to learn from, and its test.",
        "graftbench new domain my-domain",
    ),
    "new report": CommandHelp(
        "Write a report that works, with comments to learn from, and its test.",
        "graftbench new report my-report",
    ),
    "check": CommandHelp(
        "Check plugins against their contract and say in words what is wrong.",
        "graftbench check my_method.py",
        "graftbench check my_variants.toml --seconds 300",
        "graftbench check my_domain.py --argument photos/cats --json",
    ),
    "doctor": CommandHelp(
        "Check what the suite needs of this machine: versions, devices, counters, cache, load.",
        "graftbench doctor",
        "graftbench doctor --json",
    ),
    "selftest": CommandHelp(
        "Prove a device: fits, times, memory, energy, features and speed against what is known.",
        "graftbench selftest --device cuda",
        "graftbench selftest --device cpu --quick",
        "graftbench selftest --look methods --out proof",
    ),
}

WITHOUT_TORCH = ("cite", "doctor", "ls", "plan")
"""Commands that need only what methods, domains and metrics say of themselves (`graftbench.plugins.stand_ins`)."""

WITHOUT_IMAGES = ("cite", "doctor", "ls")
"""Those of them that look at no image."""

GROUPS = {
    "new": "New plugins: a file that works, with comments to learn from, and its test.",
    "add": "What was made elsewhere, added to a run.",
    "data": "Domains: their cards, and what a suite needs before it can run without a network.",
    "source": "Source models: what methods transfer from.",
    "baseline": "Baselines: runs that later ones are compared with.",
    "track": "Results over time: when a series changed, and between which commits.",
}
"""Commands of two words: the first one and what it is about."""
