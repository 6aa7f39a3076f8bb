"""Templates of the pages: a value is text, and a name that no template knows is an error."""

import jinja2
import pytest
from markupsafe import Markup

from pipeline.judging.report.environment import environment, styles


def test_a_value_is_text_in_which_nothing_is_invisible() -> None:
    template = environment().from_string("<p>{{ name }}</p>")
    assert template.render(name="<b>\u202e&") == "<p>&lt;b&gt;\\u202e&amp;</p>"
    assert template.render(name=Markup("a<wbr>b")) == "<p>a<wbr>b</p>" and template.render(name=3) == "<p>3</p>"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        environment().from_string("{{ other }}").render(name=1)


def test_style_sheets_are_joined_in_order() -> None:
    assert styles("style.css", "comparison.css") == styles("style.css") + styles("comparison.css")
    assert "</" not in styles("style.css", "comparison.css")
