"""Mail templates of the Java service, in the syntax of this one as far as that is mechanical (M9)."""

import re
from dataclasses import dataclass
from typing import Final

from jinja2 import Environment, TemplateSyntaxError

_NAME: Final = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*"
_INTERPOLATION: Final = re.compile(rf"\$\{{\s*\(?({_NAME})\)?(!(?:\"([^\"]*)\"|'([^']*)')?)?\s*\}}")
_COMMENT: Final = re.compile(r"<#--.*?-->", re.DOTALL)
_CONDITION: Final = re.compile(rf"<#(if|elseif)\s+\(?({_NAME})\)?(\?\?|\?has_content)\s*>")
_LIST: Final = re.compile(rf"<#list\s+({_NAME})\s+as\s+([A-Za-z_][A-Za-z0-9_]*)\s*>")
_FIXED: Final = (
    ("<#else>", "{% else %}"),
    ("</#if>", "{% endif %}"),
    ("</#list>", "{% endfor %}"),
)
_LEFT: Final = re.compile(r"<[#@/]*[#@]|\$\{|\?\?")
"""What only FreeMarker understands."""
_JINJA: Final = ("{{", "{%", "{#")


@dataclass(frozen=True, slots=True)
class ConvertedTemplate:
    """A mail template of the Java service."""

    code: str
    text: str
    converted: bool
    """False: the text is still FreeMarker's."""


def convert(code: str, content: str) -> ConvertedTemplate:
    """Return the template in Jinja's syntax, or as it is if a part of it has no plain counterpart."""
    text = _jinja_of(content)
    if text is None:
        return ConvertedTemplate(code, content, converted=False)
    return ConvertedTemplate(code, text, converted=True)


def _jinja_of(content: str) -> str | None:
    if any(mark in content for mark in _JINJA):
        return None
    text = _COMMENT.sub("", content)
    text = _CONDITION.sub(_condition, text)
    text = _LIST.sub(r"{% for \2 in \1 %}", text)
    for ours, theirs in _FIXED:
        text = text.replace(ours, theirs)
    text = _INTERPOLATION.sub(_value, text)
    if _LEFT.search(text):
        return None
    try:
        Environment(autoescape=True).parse(text)
    except TemplateSyntaxError:
        return None
    return text


def _condition(found: re.Match[str]) -> str:
    keyword = "if" if found[1] == "if" else "elif"
    test = f"{found[2]} is defined and {found[2]} is not none"
    return f"{{% {keyword} {test if found[3] == '??' else found[2]} %}}"


def _value(found: re.Match[str]) -> str:
    name, default = found[1], found[2]
    if not default:
        return f"{{{{ {name} }}}}"
    text = found[3] if found[3] is not None else found[4] or ""
    if "'" in text and '"' in text:
        return found[0]  # stays FreeMarker's, and so does the whole template
    quote = '"' if "'" in text else "'"
    return f"{{{{ {name} | default({quote}{text}{quote}, true) }}}}"
