"""Small tags every page uses. `{% load face %}`, then:

{% icon "server" %}               an icon of static/vendor/icons.svg, hidden from screen readers
{% when order.at %}               "3 minutes ago", the exact time on hover; kept fresh by app.js
{% copy fingerprint %}            a button that copies the text
{{ field|styled }}                a form widget with Tabler's classes and ARIA attributes
{% query page=2 %}                the current query string with these parameters changed
"""

from datetime import datetime
from typing import Any

from django import forms, template
from django.contrib.humanize.templatetags.humanize import naturaltime
from django.forms.boundfield import BoundField
from django.templatetags.static import static
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

register = template.Library()


@register.simple_tag
def icon(name: str, extra: str = "") -> SafeString:
    return format_html(
        '<svg class="icon {}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        extra,
        static("vendor/icons.svg"),
        name,
    )


@register.simple_tag
def when(moment: datetime | None, default: str = "") -> SafeString | str:
    if moment is None:
        return default
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}" data-relative>{}</time>',
        moment.isoformat(timespec="seconds"),
        formats.date_format(local, "DATETIME_FORMAT") + local.strftime(" %Z"),
        naturaltime(moment),
    )


@register.simple_tag
def copy(text: Any, label: str = "") -> SafeString:
    return format_html(
        '<button type="button" class="btn btn-action copy" data-copy="{}" aria-label="{}"'
        ' title="{}">{}</button>',
        text,
        label or gettext("Copy"),
        label or gettext("Copy"),
        icon("copy"),
    )


def css_class(widget: forms.Widget) -> str:
    """Tabler's class for a widget."""
    if isinstance(widget, forms.Select | forms.SelectMultiple):
        return "form-select"
    if isinstance(widget, forms.CheckboxInput | forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "form-check-input"
    return "form-control"


@register.filter
def styled(field: BoundField) -> SafeString:
    attrs: dict[str, Any] = {}
    widget = field.field.widget
    classes = [css_class(widget), widget.attrs.get("class", "")]
    if field.errors:
        classes.append("is-invalid")
    attrs["class"] = " ".join(name for name in classes if name)
    if isinstance(widget, forms.Textarea):
        attrs.setdefault(
            "rows", widget.attrs.get("rows") if widget.attrs.get("rows") != "10" else 4
        )
        attrs.setdefault("cols", None)
    return field.as_widget(attrs={key: value for key, value in attrs.items() if value is not None})


@register.filter
def choices_of(field: BoundField) -> list[Any]:
    """The radios or checkboxes of a `group` field, with Tabler's class."""
    field.field.widget.attrs["class"] = "form-check-input"
    return list(field)


@register.filter
def kind_of(field: BoundField) -> str:
    """`check`, `group` (radios and several checkboxes) or `line`."""
    widget = field.field.widget
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "group"
    return "check" if isinstance(widget, forms.CheckboxInput) else "line"


@register.simple_tag(takes_context=True)
def query(context: template.Context, **changes: Any) -> str:
    parameters = context["request"].GET.copy()
    for name, value in changes.items():
        parameters.pop(name, None)
        if value not in (None, ""):
            parameters[name] = str(value)
    return "?" + parameters.urlencode()
