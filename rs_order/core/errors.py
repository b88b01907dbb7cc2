"""Why a use case that a person asked for was not carried out.

The REST side gives each its status (rest.md 4.2). Texts are part of the contract where rest.md 4.4 or
domain.md 17 has them.

UseCaseRejected
├── NotFound               there is no such order, file, selection, setting
├── ForbiddenToCaller      somebody else's
├── EmptyBasket            there is nothing to order, or no basket at all
├── EmptySelection         a search found no file that can be ordered
├── InvalidInput           well-formed, but not allowed to say this
│   └── LabelRejected       too long, or taken
├── FilterAndProcess       a dataset has either a file filter or a process
├── TooManyItems           a process, or a search, takes no more
├── ProcessUnusable        rs-processing says of a process nothing that can be used
├── TooManyLines           an uploaded file is too long
├── UnreadableUpload       an uploaded file isn't text
├── CatalogSearchFailed    the catalog refused the search, or failed
└── ActionRejected          the order's status, or the caller, doesn't allow the action
"""

from collections.abc import Sequence


class UseCaseRejected(Exception):
    """Base of what use cases refuse; the text is for the user."""

    code = "refused"


class NotFound(UseCaseRejected):
    code = "not-found"


class ForbiddenToCaller(UseCaseRejected):
    code = "forbidden"


class EmptyBasket(UseCaseRejected):
    code = "empty-basket"

    def __init__(self) -> None:
        super().__init__("Basket is empty")


class EmptySelection(UseCaseRejected):
    code = "empty-selection"

    def __init__(self) -> None:
        super().__init__("This selection contains no file that can be ordered")


class InvalidInput(UseCaseRejected):
    """What was sent can be read, but breaks rules; one message for each."""

    code = "invalid-input"

    def __init__(self, *messages: str) -> None:
        super().__init__(", ".join(messages))
        self.messages: Sequence[str] = messages


class LabelRejected(InvalidInput):
    """The message is ``TOO_MANY_CHARACTERS_IN_LABEL`` or ``LABEL_NOT_UNIQUE_FOR_OWNER``."""

    code = "label-refused"


class FilterAndProcess(UseCaseRejected):
    code = "filter-and-process"

    def __init__(self) -> None:
        super().__init__("Impossible to have file filters and processing on the same dataset")


class TooManyItems(UseCaseRejected):
    code = "too-many-items"


class ProcessUnusable(UseCaseRejected):
    """What rs-processing says of a process can't be read, or it refuses to say anything."""

    code = "process-unusable"


class TooManyLines(UseCaseRejected):
    code = "too-many-lines"

    def __init__(self, most: int) -> None:
        super().__init__(f"Input file exceed max lines limit ({most})")


class UnreadableUpload(UseCaseRejected):
    code = "unreadable-upload"


class CatalogSearchFailed(UseCaseRejected):
    code = "catalog-search-failed"

    def __init__(self) -> None:
        super().__init__(
            "Error applying search queries. Please correct your requests. "
            "Maybe your queries contains unknown attributes"
        )


class ActionRejected(UseCaseRejected):
    """The message is one of the codes of rest.md 4.4."""

    code = "action-refused"
