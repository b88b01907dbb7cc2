"""What features share: steps, responses, links, settlement, capacity, retry policies."""
