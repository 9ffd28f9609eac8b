"""What each command is for and how it is called: known without importing it."""

COMMANDS = {
    "run": """Run a suite: every cell that has no record in the folder yet.

    A killed run goes on where it stopped; a finished one does nothing and says so.

    Examples:

        graftbench run quick --out runs/quick

        graftbench run my-suite.toml --out runs/mine --jobs 4 --plugin my_method.py

        graftbench run quick --out runs/quick --retry error --retry timeout
    """,
    "report": """Write tables, figures and the page of a run.

    Everything follows from the run's records; it can be written again at any time, from a copy, on any machine.

    Examples:

        graftbench report runs/quick

        graftbench report runs/quick --out paper/results
    """,
    "plan": """List the cells of a suite, and which of them a run folder has already.

    Examples:

        graftbench plan quick

        graftbench plan quick --out runs/quick --json
    """,
    "ls": """List methods, domains, suites, reports or extractors.

    Examples:

        graftbench ls methods

        graftbench ls domains --json
    """,
    "source": """Train, cache and export source models.

    Examples:

        graftbench source train twemoji --resolution 32 --kimg 512

        graftbench source train folder:photos --resolution 64 --kimg 1000 --out models/
    """,
    "doctor": """Check what the suite needs of this machine: versions, devices, counters, cache, load.

    Examples:

        graftbench doctor

        graftbench doctor --json
    """,
}
