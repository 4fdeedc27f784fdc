"""What becomes of a job."""

from enum import StrEnum


class Fate(StrEnum):
    """What became of a job, as /metrics counts it."""

    ANSWERED = "answered"
    REFUSED = "refused"  # another program, a shell character: answered UNKNOWN
    LATE = "late"  # older than its timeout when it came: answered UNKNOWN, not run
    UNREADABLE = "unreadable"  # failed: another key, or no job
    UNWANTED = "unwanted"  # nothing is to be answered: an event handler, a notification
