"""Whose licence is whose."""

import pytest

from adhere.errors import InputError
from adhere.licences import read_licences
from adhere.records import Document

DOCUMENTS = [
    Document(id=name, name=name, format="markdown", sha256="", text="")
    for name in ("code.md", "code.md (2)", "a=b.md", "a")
]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["", "", "", ""]),
        (["cc0-1.0"], ["cc0-1.0"] * 4),
        (["code.md=mit"], ["mit", "", "", ""]),
        (
            ["code.md (2)=mit", "CC BY 4.0, the town"],
            ["CC BY 4.0, the town", "mit"] + ["CC BY 4.0, the town"] * 2,
        ),
        (["a=b.md=mit", "a=x=y"], ["", "", "mit", "x=y"]),
    ],
)
def test_a_licence_is_of_one_document_or_of_all_without_their_own(
    given: list[str], expected: list[str]
) -> None:
    assert list(read_licences(given, DOCUMENTS).values()) == expected


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            ["other.md=mit"],
            r"^--licence other\.md=mit: no document of that name; .* are code\.md, ",
        ),
        (["mit", "cc0-1.0"], r"^--licence cc0-1\.0: all documents had one already"),
        (["code.md=mit", "code.md=cc0-1.0"], r"code\.md had one already"),
    ],
)
def test_what_fits_no_document_or_comes_twice_is_refused(given: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_licences(given, DOCUMENTS)
