"""The frame of the AMQP consumers: batches, isolation, parsing, steps."""
