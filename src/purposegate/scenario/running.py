"""One scenario from its file to its verdict."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from purposegate.scenario.afterwards import covert_hits, lookback_hits
from purposegate.scenario.playing import Seen, opened
from purposegate.scenario.story import Story
from purposegate.scenario.verdict import Verdict, verdict
from purposegate.scenario.world import Policies, World, build

Progress = Callable[[int, int], None]
"""Told how many lookups are done, of how many."""


def _silent(_: int, __: int) -> None:
    """Nobody watches."""


async def run(story: Story, folder: Path, policies: Policies, progress: Progress = _silent) -> Verdict:
    """Play the story in a folder of its own and compare. Raises `PurposegateError`: then nothing was learnt of it.

    A quiet story with covert entries is played a second time without them, to compare what people saw.
    """
    world = build(story, folder / story.id, policies)
    played = await _play(world, progress)
    hits = [*covert_hits(world), *lookback_hits(world)]
    again: Sequence[Seen] = ()
    if story.expected.quiet and story.covert:
        plain = build(replace(story, covert=()), folder / f"{story.id}-without", policies)
        again = await _play(plain, progress)
    return verdict(story, played, hits, again)


async def _play(world: World, progress: Progress) -> list[Seen]:
    played: list[Seen] = []
    async with opened(world) as player:
        for asking in world.story.askings:
            played.append(await player.play(asking))
            progress(len(played), len(world.story.askings))
        await player.until(world.story.end)
    return played
