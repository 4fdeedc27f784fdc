"""Mod-Gearman: checks taken from the queues of a gearmand, answered into the queue that the core reads."""
