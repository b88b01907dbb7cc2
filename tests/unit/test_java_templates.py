"""Mail templates of the Java service are converted where that is mechanical (moving-in.md M9)."""

import pytest

from rs_order.moving_in.templates import convert


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Order ${order_label}", "Order {{ order_label }}"),
        ("${project!'none'}", "{{ project | default('none', true) }}"),
        ("a<#-- a comment -->b", "ab"),
        (
            "<#if orders_url??>${orders_url}<#else>-</#if>",
            "{% if orders_url is defined and orders_url is not none %}{{ orders_url }}{% else %}-{% endif %}",
        ),
        (
            "<#list orders as order>${order.label}</#list>",
            "{% for order in orders %}{{ order.label }}{% endfor %}",
        ),
    ],
    ids=["value", "default", "comment", "condition", "list"],
)
def test_plain_parts_are_converted(theirs: str, ours: str) -> None:
    """Values, defaults, conditions, lists and comments have a counterpart."""
    converted = convert("ORDER_CREATED_TEMPLATE", theirs)

    assert (converted.text, converted.converted) == (ours, True)


@pytest.mark.parametrize(
    "theirs",
    [
        "${order.creationDate?string('yyyy')}",
        "<#macro x></#macro>",
        "<@x/>",
        "<#if orders?size gt 1></#if>",
        "{{ Jinja's own mark }}",
        "<#if orders_url??>without an end",
    ],
    ids=["built-in", "macro", "call", "expression", "marks", "unclosed"],
)
def test_other_templates_stay_as_they_are(theirs: str) -> None:
    """A template is never converted by halves."""
    converted = convert("ORDER_CREATED_TEMPLATE", theirs)

    assert (converted.text, converted.converted) == (theirs, False)
