"""The end that a signal asks for."""


class Interrupted(BaseException):
    """A signal asked us to stop; the message is its name. Raised by a signal handler, wherever the program is."""
