"""The parts that all AMQP consumers share: batches, isolation, parsing, steps."""
