"""How the store can let a use case down.

StoreError
├── StoreUnavailable   the database can't be reached
└── StoreConflict      another unit of work was faster
"""


class StoreError(Exception):
    """The store did not carry a unit of work through; nothing of it stays."""

    code = "store-error"


class StoreUnavailable(StoreError):
    """The database can't be reached or is going down; the same work can be offered again later."""

    code = "store-unavailable"


class StoreConflict(StoreError):
    """Another unit of work was faster; the same work can be done again from its start at once."""

    code = "store-conflict"
