"""Entries of a suite about submitted images, which were made elsewhere.

    [[samples]]
    method = "our-stylegan"
    path = "handed-in/25-0"
    task = "twemoji->openmoji@32"
    data_budget = 25
    seed = 0
    costs = { fit_seconds = 5400, device = "A100" }

They become a cell like any other: scored under the suite's protocol, marked as submitted, its costs as declared.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import msgspec

from graftbench.bounds import Count, Seed
from graftbench.contracts import Family
from graftbench.errors import GraftbenchError, unknown
from graftbench.records.cell_spec import ComputeBudget
from graftbench.records.costs import checked_costs

if TYPE_CHECKING:
    from collections.abc import Sequence


class Submission(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Images of one generator for one cell.

    Attributes:
        method: The name under which they stand in tables; not that of a registered method.
        path: A folder of images, a zip of such a folder or in EDM's layout, or an .npz or .npy file.
        task: As in a suite.
        data_budget: Number of target training images that the generator was trained on.
        seed: Which draw of the data budget it was trained on.
        compute_budget: What its training spent, as the suite counts; by default the suite's first.
        family: scratch, fine-tune, frozen, vae, style, or submitted where nobody says.
        costs: What its training cost, as whoever handed it in says: keys of COSTS.
        notes: Sentences that stand with the record.
        folder: Where a relative path begins; the suite file's folder, filled in when it is read.
    """

    method: str
    path: str
    task: str
    data_budget: Count
    seed: Seed = 0
    compute_budget: ComputeBudget | None = None
    family: str = "submitted"
    costs: dict[str, Any] = {}
    notes: list[str] = []
    folder: str = ""

    @property
    def source(self) -> Path:
        """Return where the images are."""
        return Path(self.folder, self.path).expanduser()

    @property
    def coordinates(self) -> tuple[str, str, int, int, ComputeBudget | None]:
        """Return which cell it is: method, task as written, data budget, seed, compute budget."""
        return self.method, self.task, self.data_budget, self.seed, self.compute_budget

    def placed(self, file: Path) -> Submission:
        """Return the submission with the folder of its file filled in."""
        return self if self.folder else msgspec.structs.replace(self, folder=str(file.resolve().parent))


def check_submissions(samples: Sequence[Submission], where: str) -> None:
    """Refuse what no cell can be made of.

    Raises:
        GraftbenchError: A family or cost that is none, a value out of range, or one cell twice.
    """
    seen: set[object] = set()
    for entry in samples:
        entry_where = f"in [[samples]] of {where}, {entry.method}"
        families = [family for family in get_args(Family) if family != "reference"]
        if entry.family not in families:
            raise unknown("family", entry.family, families, where=entry_where)
        checked_costs(entry.costs, entry_where)
        if entry.coordinates in seen:
            raise GraftbenchError(
                f"Two samples are of one cell ({entry.method} {entry.task} n={entry.data_budget} seed={entry.seed}) "
                f"in [[samples]] of {where}; each seed of each budget is handed in once."
            )
        seen.add(entry.coordinates)
