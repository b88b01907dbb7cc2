"""What can go wrong while the servers are found, started or controlled.

ServersError
├── ServersMissingError    nothing to run them with, and nothing may be installed
├── ServerStartError       found, but it doesn't come up
│   └── EndedAtStartError  it gave up by itself
├── InstallError           apt-get did not install it
└── NotOursError           asked to stop a server that was only lent to us
"""


class ServersError(Exception):
    """A database or broker is not there to be used. The text says what to do next."""


class ServersMissingError(ServersError):
    """No way of finding a server succeeded on this machine."""


class ServerStartError(ServersError):
    """A server was started or given, but does not answer."""


class EndedAtStartError(ServerStartError):
    """A server ended by itself before it served; often because its port was taken meanwhile."""


class InstallError(ServersError):
    """The packages of the servers could not be installed."""


class NotOursError(ServersError):
    """Servers given by URL belong to somebody else and are never stopped."""
