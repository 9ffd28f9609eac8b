"""All that a suite needs, made or fetched beforehand: the suite then runs without a network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graftbench.errors import GraftbenchError
from graftbench.extractors.load import weights_file
from graftbench.images import prepared
from graftbench.scoring.features import FeatureReader
from graftbench.scoring.protocol import protocol_for, resolve_protocol
from graftbench.suites.domains import domain_of, named_domains
from graftbench.suites.plan import make_plan
from graftbench.suites.suite import parse_task
from graftbench.training import source

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graftbench.plugins.registry import PluginSource
    from graftbench.suites.plan import Plan
    from graftbench.suites.suite import Suite


LEFT_TO_THE_RUN = 'determinism = "portable" needs processes of its own. No network is needed for it'
"""Why nothing is computed beforehand for such a suite."""


@dataclass
class OfflinePreparation:
    """Result of preparing a suite for machines without a network.

    Attributes:
        ready: What is there now, a sentence each.
        failed: What could not be made or fetched, and why.
    """

    ready: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def prepare(
    suite: Suite,
    cache: Path,
    *,
    plugins: Sequence[PluginSource] = (),
    device: str = "cpu",
    say: Callable[[str], None] = lambda _: None,
) -> OfflinePreparation:
    """Prepare domains, extractor, features and floors of the references, and source models, each at most once.

    One thing that fails hinders only what depends on it: the rest is prepared, and all failures are told together.
    What is there already is checked and left as it is, so a second call makes nothing.

    Args:
        suite: The suite.
        cache: Cache folder.
        plugins: Files or folders with more methods and domains.
        device: Where source models train and the extractor computes.
        say: Told what is being made.
    """
    done = OfflinePreparation()
    _domains(suite, cache, suite.with_plugins(plugins), done, say)
    _weights(suite, done, say)
    if done.failed:
        done.failed.append("Features and source models were not looked at: they need all of the above.")
        return done
    try:
        plan = make_plan(suite, cache, plugins=plugins)
    except GraftbenchError as error:
        done.failed.append(str(error))
        return done
    _references(plan, cache, device, done, say)
    _source_models(plan, cache, device, done, say)
    return done


def _domains(
    suite: Suite, cache: Path, plugins: Sequence[PluginSource], done: OfflinePreparation, say: Callable[[str], None]
) -> None:
    for name, side in named_domains(map(parse_task, suite.tasks)):
        say(f"preparing {name}@{side}")
        try:
            images = domain_of(suite, name, plugins).load(side, cache, resize=suite.resize, say=say)
        except GraftbenchError as error:
            done.failed.append(f"{name}@{side}: {error}")
            continue
        left_out = f", {len(images.excluded)} left out" if images.excluded else ""
        counts = "/".join(str(len(images.positions(split))) for split in prepared.SPLITS)
        done.ready.append(f"domain {name}@{side}: {len(images.ids)} images ({counts}){left_out}")


def _weights(suite: Suite, done: OfflinePreparation, say: Callable[[str], None]) -> None:
    for protocol in filter(None, (suite.protocol, suite.protocol.under_second)):
        name = protocol.extractor
        say(f"fetching the weights of {name}")
        try:
            resolve_protocol(protocol)
            weights_file(name, protocol.weights)
        except GraftbenchError as error:
            done.failed.append(f"extractor {name}: {error}")
        else:
            done.ready.append(f"extractor {name}: its weights")


def _references(plan: Plan, cache: Path, device: str, done: OfflinePreparation, say: Callable[[str], None]) -> None:
    protocol = plan.suite.protocol
    if protocol.portable:
        say(f"the run extracts features itself: {LEFT_TO_THE_RUN}")
        return
    for (name, side), images in plan.targets.items():
        say(f"extracting features of {name}@{side}")
        for each in filter(None, (protocol_for(protocol, images), protocol.under_second)):
            try:
                FeatureReader(each, cache, device=device).prepare(images)
            except GraftbenchError as error:
                done.failed.append(f"features of {name}@{side}: {error}")
            else:
                done.ready.append(f"features and floors of {name}@{side} under {each.label}")


def _source_models(plan: Plan, cache: Path, device: str, done: OfflinePreparation, say: Callable[[str], None]) -> None:
    for planned in plan.sources.values():
        recipe = planned.recipe
        if recipe.determinism == "portable" and source.find(recipe, cache) is None:
            say(f"the run trains source model {recipe.id} itself: {LEFT_TO_THE_RUN}")
            continue
        try:
            path = source.obtain(recipe, planned.material, cache, device=device, say=say)
            source.verify(path, recipe)
        except GraftbenchError as error:
            done.failed.append(f"source model {recipe.id}: {error}")
        else:
            done.ready.append(f"source model {recipe.id}")
