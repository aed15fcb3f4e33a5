"""Give topics that exist the one setting that came later: the broker unpacks batches before it compares their size (ADR
29).

Whatever else somebody has set on a topic stays.
"""

from collections.abc import Collection

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from schemas.topics import UNPACKED

SET_ON_THE_TOPIC = 1
"""Source of a setting, as DescribeConfigs gives it."""


async def unpack(admin: AIOKafkaAdminClient, names: Collection[str]) -> list[str]:
    """Return the topics that were changed. Raises `KafkaError`."""
    if not names:
        return []
    described = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in sorted(names)])
    own = {
        resource[3]: {entry[0]: entry[1] for entry in resource[4] if entry[3] == SET_ON_THE_TOPIC}
        for answer in described
        for resource in answer.resources
    }
    wanted = {name: settings | UNPACKED for name, settings in own.items() if not UNPACKED.items() <= settings.items()}
    if wanted:
        changes = [ConfigResource(ConfigResourceType.TOPIC, name, settings) for name, settings in wanted.items()]
        for answer in await admin.alter_configs(changes):
            for code, message, *_ in answer.resources:
                if code:
                    raise for_code(code)(message)
    return sorted(wanted)
