"""The tests. What they run of the product is measured from its first import on, if that is asked for."""

from tests.support.executed_lines import measure_if_asked

measure_if_asked()
