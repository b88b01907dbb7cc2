"""The statement and the limits of each promise, which ``docs/promises.md`` shows above its tests."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Promise:
    title: str
    text: str
    """Its statement and its limits, as Markdown."""


PROMISES: Final = {
    1: Promise(
        "No false done",
        """\
An order is DONE only when storage has confirmed every file of it, and a file is DOWNLOADED only when
all of its bytes were sent with the right size and checksum.

Limits:

- Nobody confirms an external file: it is available from the start, and its download shows whether it exists.
  A file that a process makes is confirmed by rs-processing.
- DONE says that files can be downloaded. A download that fails later makes it DONE_WITH_WARNING once no file
  is left to download, and this is not announced.
- Sent means accepted by the connection. Bytes that a gateway or the client loses afterwards count as sent.
- Storage may lose a file after its confirmation. The download then fails, and the file is in error with
  its reason.
- A file whose checksum has a kind that Python's standard library doesn't know is checked by its size
  only.
- Late: while storage, the catalog or the database fails, an order ends later, never earlier.""",
    ),
    2: Promise(
        "Nothing lost",
        """\
What was acknowledged, or answered with a success, takes effect, even if any process, RabbitMQ or
PostgreSQL is killed in the next moment.

Limits:

- It needs a PostgreSQL with `synchronous_commit = on`, and the durable queues and persistent messages
  of the platform.
- A request over HTTP whose answer got lost may have taken effect. Look before you repeat it.
- A message that can't be handled isn't lost: it is a dead letter until an operator replays or discards
  it.
- A log line, a metric or a check of health isn't a promise: they may be lost.
- Late because something failed. The work goes on after at most:
  - a process dies that did a step which it had written itself (grant, completion, schedule), or was
    about to: 10 s after the row was written or its lease was last extended, and one second more for each
    100 steps that waited before it in that process. Then the relay of another instance publishes it.
  - a process dies between a commit and its publications: 6 s. The relays of others check once a second,
    or every six seconds while nothing leaves.
  - an instance freezes with locks of rows, or with a partition of the outbox: 8 s. Then the database ends
    its transaction. 11 s if a statement was under way: then the check of another instance ends it. 33 s if
    the result of that statement was too long to be sent at once.
  - an instance hangs (connections of the database or of the broker, its event loop): 10 s. Then other
    instances get its messages.
  - the database or the broker can't be reached: until it can, and then up to 15 s.
  - the broker confirms nothing: 30 s for each attempt.
  - a peer's queue refuses messages: up to 2 min after it accepts them again.
  - another service doesn't answer: about a minute after it answers again. After
    `RS_ORDER_REMOTE_DEADLINE` the request or the order fails.
  - storage forgets a request: `RS_ORDER_STORAGE_REASK_MINUTES`, then twice as long each time, up to 6
    h.
  - the broker loses a step that it had confirmed (a purged queue, a lost disk): about half an hour.
    Then the [reconciler](topics/reconciler.md) writes it again.

  These times begin when an instance runs that can do the work. A backlog before it adds its own time.""",
    ),
    3: Promise(
        "Nothing twice",
        """\
A message that comes again has no second effect, and a response that is sent again has its first
`message_id`.

Limits:

- Seen twice: a peer receives a message again if a process dies or a connection breaks between
  publication and confirm, if another queue of the exchange refuses it, or if the request was sent
  again. The `message_id` is the same.
- Seen twice: storage may be asked again for files that it hasn't answered.
- Seen twice: rs-processing, which has no ids of requests, may get a batch twice if a process dies before it
  has stored the batch's id. Executions are requested for one of them.
- Seen twice: a dead letter, if a process dies before it acknowledges the message. The two have different
  letter ids.
- Seen twice by the service itself: a step, after a crash, or if its lease couldn't be deleted. The second
  time does nothing.
- An HTTP request has no id. A client that repeats one whose answer got lost may get the answer that a second
  request deserves, for example that the basket is empty.
- Seen twice: a mail, if its server accepted it and the process died before it was recorded.
- A request that is sent again after `RS_ORDER_INBOX_RETENTION_DAYS` is a new request.""",
    ),
    4: Promise(
        "In order",
        """\
Responses to one order arrive in the order of its transitions.

Limits:

- It holds for the first arrival of each message. A repetition, with its first `message_id`, may come
  after later messages.
- Responses to different orders have no order among each other. Neither have an order's responses, its mails,
  the notifications to operators and the requests to storage and rs-processing.
- It is the order in which the broker gets them. A peer with several consumers must keep it itself.
- A refused message holds back what follows in its order, and nothing else.""",
    ),
    5: Promise(
        "Waiting is a row",
        """\
An order that waits for tapes, for a due time or for its owner costs rows of the database: no task, no
connection, no unacknowledged message.

Limits:

- Late: what is due while no instance runs happens when one is started.
- Late: a row leaves when it is due, if a relay has seen it before. Otherwise the next check finds it: after a
  second, or after six while nothing is due.
- An order that could go on isn't waiting. Up to 200 steps of each kind wait in the memory of the process that
  wrote them until a worker is free. Their rows are in the outbox, so that others do them if it dies.""",
    ),
    6: Promise(
        "Any instance, any message",
        """\
Every instance can handle every message and every request. Instances are started, killed and replaced at
any time.

Limits:

- A download that runs over a killed instance breaks; its client starts again.
- Late: an instance that can't work keeps its messages for up to ten seconds: nine if its database hangs, six
  if its broker connection is half open or its event loop is blocked. It comes back by itself. A loop that
  is blocked for a minute ends the process, and its supervisor starts it again.
- While the event loop is blocked, health doesn't answer at all: a probe sees that by its own timeout.
- What an instance keeps in memory may be old: connected tenants and maintenance for five seconds, labels of
  datasets for five minutes. Rate limits count each process by itself.
- Clocks of instances may differ by some seconds. Due times, expiry dates and retries move by this
  difference.
- Old and new versions run side by side after the `before` migrations, and until the `after` migrations
  are applied.
- The test of an upgrade applies the migrations of an imagined next version while instances are replaced
  under load. It doesn't run two released versions.
- When an instance gets SIGTERM, a client may see that its idle connection is closed, and connects to
  another instance.""",
    ),
    7: Promise(
        "Tenants never meet",
        """\
No row, message, response, file or cache entry of one tenant reaches another.

Limits:

- Tenants share the capacity of the service, of PostgreSQL and of RabbitMQ: a busy tenant may make
  others late.
- They share one role of the database. The service chooses the schema, and the database wouldn't refuse a
  wrong one.
- Operators with the role INSTANCE_ADMIN, the log and the metrics see all tenants.""",
    ),
    8: Promise(
        "Cost follows the change",
        """\
The cost of an event depends on what it changes, not on the size of its order or of the archive.

Limits:

- The reconciler reads every unfinished order from time to time, in slices.
- A step costs up to one slice, which is about a thousand files or sub-orders, or one page of the catalog.
- A catalog that changes while it is read is read again, up to three times.
- A search of an administrator with a pattern for owners reads the list of orders.""",
    ),
}

PICTURE: Final = "pictures/fault-run.svg"
FAULT_RUN: Final = f"""\
## The fault run

`scripts/fault-run` takes a seed and draws from it what goes wrong while three instances with clocks ten
seconds apart serve forty orders of 500 files of three tenants, over AMQP and REST, with processes,
downloads, cancel requests, pauses and retries. It kills and freezes instances; kills, restarts and fills
the disks of PostgreSQL and RabbitMQ; makes PostgreSQL read-only; cuts, freezes and slows connections; lets
a peer's queue refuse messages; sends messages twice, late, backwards and in rubbish; and makes storage,
catalog, rs-processing and rs-admin silent, slow or wrong.

After the last fault everything must become final by itself. Then it checks that every order has the right
status, every file the state that the simulated storage gave it, every transition one response in its
order, and every counter the value of a recount; that the outbox is empty and nothing runs; that no tenant
has a row of another; and that only the rubbish became dead letters. A run that fails prints its seed, what
was injected when, and what differs. `--seed` repeats it, apart from the timing of processes.

![Injections and finished orders of one run]({PICTURE})

What it doesn't cover: two PostgreSQL servers with a failover, a cluster of RabbitMQ, a full disk below
PostgreSQL's log, wrong clocks of the database, and an upgrade between two released versions. A full disk
of PostgreSQL needs the right to mount a file system; without it, this fault is left out."""
