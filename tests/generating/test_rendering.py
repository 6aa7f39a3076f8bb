"""Templates: what is undefined or no code stops the writing, and nothing is escaped on the way."""

import jinja2
import pytest
from conftest import some

from pipeline.generating.rendering import environment, wrapped


def rendered(template: str, **variables: object) -> str:
    return environment().from_string(template).render(variables)


def test_code_is_written_as_it_is_and_blocks_leave_no_lines() -> None:
    text = rendered("{% if a %}\nint x = {{ a }} < 3 && {{ n }};\n{% endif %}\n", a="(y->z)", n=7)
    assert text == "int x = (y->z) < 3 && 7;\n"


def test_what_is_not_defined_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError, match="missing"):
        rendered("{{ missing }}")


@pytest.mark.parametrize("name", ["*/ int x", "a\nb", "a // b", "??/", "tab\t", "é"])
def test_a_name_has_to_pass_through_the_comment_filter(name: str) -> None:
    with pytest.raises(ValueError, match="not code"):
        rendered("/* {{ name }} */", name=name)
    comment = rendered("/* {{ name|comment }} */", name=name)
    assert comment.count("*/") == 1 and "\n" not in comment and comment.isascii()


def test_a_long_line_of_assembly_is_wrapped_between_its_arguments() -> None:
    line = "packed_steps " + ", ".join(str(-n) for n in range(1000, 1090))
    pieces = wrapped(line)
    assert " ".join(pieces) == line and max(map(len, pieces)) <= 100 and all(p.endswith(",") for p in some(pieces[:-1]))
    assert wrapped("leave 39") == ["leave 39"]
