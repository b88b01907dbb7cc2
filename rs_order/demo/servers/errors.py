"""Errors while servers are found, started or controlled.

ServersError
├── ServersMissingError    this machine can't run the servers, and may not install them
├── ServerStartError       a server was found, but doesn't come up
│   └── EndedAtStartError  it ended by itself
├── InstallError           apt-get did not install it
└── NotOursError           asked to stop an external server
"""


class ServersError(Exception):
    """A database or broker can't be used. The text says what to do next."""


class ServersMissingError(ServersError):
    """This machine has no way to run a server."""


class ServerStartError(ServersError):
    """A server was started or given, but does not answer."""


class EndedAtStartError(ServerStartError):
    """A server ended before it served, often because another program took its port."""


class InstallError(ServersError):
    """The packages of the servers could not be installed."""


class NotOursError(ServersError):
    """A server that is given by URL belongs to its owner and is never stopped."""
