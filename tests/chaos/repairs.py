"""A person who mends dead letters meanwhile: redrives them repaired or as they were, once or twice, or purges them."""

import asyncio
import random
from collections import Counter

from client.errors import ClientError, GatewayFault
from schemas.http.dead_letters import PurgeMatching, RedriveMatching
from tests.chaos.outsiders import TOKEN_HEADER, OtherSystem
from tests.chaos.world import World

LISTED = 50


class Repairer:
    """`counts` says what was asked for; an order may be lost on its way."""

    def __init__(self, world: World, others: OtherSystem, seed: int) -> None:
        self.world, self.others, self.chance = world, others, random.Random(seed)
        self.counts: Counter[str] = Counter()

    async def mend_forever(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._mend()
            except GatewayFault as error:
                self.world.findings.append(f"the gateway failed: {error}")
            except ClientError as error:
                self.counts[f"mending: {type(error).__name__}"] += 1
            await asyncio.sleep(self.chance.uniform(0.2, 1.5))

    async def _mend(self) -> None:
        client = self.world.client
        if self.chance.random() < 0.05:
            self.counts["redrive matching"] += 1
            await client.redrive_matching(
                RedriveMatching(reason=self.chance.choice(("missing_feature", "unknown_feature", "undecodable")))
            )
            return
        letters = (await client.dead_letters(limit=LISTED, state="open")).items
        if not letters:
            return
        letter = await client.dead_letter(self.chance.choice(letters).dead_letter_id)
        choice = self.chance.random()
        if choice < 0.1:
            self.counts["purge"] += 1
            await client.purge(PurgeMatching(ids=[letter.dead_letter_id]))
        elif choice < 0.3:
            self.counts["redrive as it was"] += 1
            await client.redrive(letter.dead_letter_id)
        elif (repaired := self.others.repaired.get(letter.headers.get(TOKEN_HEADER, ""))) is not None:
            for _ in range(self.chance.randint(1, 2)):
                self.counts["redrive repaired"] += 1
                await client.redrive(letter.dead_letter_id, repaired)
