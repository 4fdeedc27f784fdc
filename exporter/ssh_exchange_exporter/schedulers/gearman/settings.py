"""What a worker needs to know of its configuration."""

from typing import NamedTuple

from ...configuration.schedulers import Gearman


class Server(NamedTuple):
    """Where a gearmand listens."""

    host: str
    port: int

    def __str__(self) -> str:
        """Return it as the configuration has it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Settings(NamedTuple):
    """Servers, queues, how many jobs at once; `key` None: the texts are not encrypted."""

    servers: tuple[Server, ...]
    queues: tuple[str, ...]
    key: str | None
    identifier: str
    most: int


def settings_of(given: Gearman, most: int) -> Settings:
    """Return the settings of a configuration, its key read anew; `most` stands where it names no number of jobs."""
    servers = tuple(Server(*address) for address in given.addresses)
    return Settings(servers, given.queues, given.key(), given.name, given.jobs or most)
