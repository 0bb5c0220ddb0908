"""Each format to plain text, and each kind of unusable file to one clear sentence."""

import io
import unicodedata
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from bs4 import Tag
from hypothesis import given
from hypothesis import strategies as st
from pdfs import make_pdf

from adhere.errors import InputError
from adhere.readers import Reading, read_file


def read(name: str, content: str | bytes) -> Reading:
    data = content.encode() if isinstance(content, str) else content
    return read_file(Path(name), data)


def titles(reading: Reading) -> list[tuple[int, str]]:
    for heading in reading.headings:
        assert reading.text.startswith(heading.title, heading.offset)
    return [(heading.level, heading.title) for heading in reading.headings]


MARKDOWN = """---
title: Ignored
---

## On this page
{:.no_toc}

- TOC
{:toc .hidden}

# Our Code {#code}

We are **fair** and [open](https://example.org "why"), also at
${COMPANY.name}.[^1]

<!-- a comment -->
## Gifts {#gifts authority=root}
{: .note}

1. Accept no gifts;
2. Report them:
    - to your lead
    - to *us*, see [?](#code)

| Gift | Limit |
|------|-------|
| Book | 20    |

!!! meta "Commentary"
    This is a comment on gifts.

**How we decide**

<div>Ask <b>first</b>.</div>

[^1]: And everywhere else.
"""


def test_markdown_becomes_plain_text() -> None:
    reading = read("code.md", MARKDOWN)
    assert reading.text == (
        "Our Code\n\n"
        "We are fair and open, also at ${COMPANY.name}.\n\n"
        "Gifts\n\n"
        "1. Accept no gifts;\n2. Report them:\n  - to your lead\n  - to us, see “Our Code”\n\n"
        "Gift | Limit\nBook | 20\n\n"
        "Commentary: This is a comment on gifts.\n\n"
        "How we decide\n\n"
        "Ask first.\n\n"
        "And everywhere else."
    )
    assert titles(reading) == [(1, "Our Code"), (2, "Gifts"), (7, "How we decide")]
    assert reading.notes == ("front matter left out",)


def test_markdown_rule_at_the_top_is_no_front_matter() -> None:
    assert read("a.md", "---\n\nWe are fair.\n\n---\n\nAlways.").text == "We are fair.\n\nAlways."


def test_toml_front_matter_is_left_out() -> None:
    assert read("a.md", '+++\nversion = "2"\n+++\n\nWe are fair.').text == "We are fair."


def test_chinese_lines_join_without_a_space() -> None:
    assert read("a.md", "我们诚实。\n我们公平。").text == "我们诚实。我们公平。"


HTML = """<!doctype html><html><head><title>Head</title><style>p {}</style></head><body>
<nav><a href="/">Home</a></nav><script>alert(1)</script>
<h2>Contents</h2><ul><li><a href="#a">One</a></li><li><a href="#b">Two</a></li>
<li><a href="#c">Three</a></li></ul>
<h1>Code<div class="badge">Rule</div></h1>
<p>Be&nbsp;co\u2010operative and hon\u00adest<sup><a href="#fn1">[1]</a></sup>.<br>Cafe\u0301.</p>
<ol start="3"><li><p>Third</p><p>and more</p></li><li>Fourth</li></ol>
<table><tr><td><p>Boxed one.</p><p>Boxed two.</p></td></tr></table>
<div aria-hidden="true">unseen</div><img src="x.png" alt="seal">
<!-- hidden --></body></html>"""


def test_html_becomes_plain_text() -> None:
    reading = read("page.html", HTML)
    assert reading.text == (
        "Code\n\nRule\n\nBe co-operative and honest.\nCafé.\n\n"
        "3. Third\nand more\n4. Fourth\n\nBoxed one.\n\nBoxed two."
    )
    assert titles(reading) == [(1, "Code")]
    assert reading.notes == (
        "images left out: 1",
        "navigation blocks left out: 1",
        "a table of contents was left out",
    )


def test_a_list_that_starts_at_no_number_starts_at_one() -> None:
    page = f"<ol start='{'9' * 5_000}'><li>Be fair.</li></ol><ol start='x'><li>Be open.</li></ol>"
    assert read("page.html", page).text == "1. Be fair.\n1. Be open."


def test_the_rows_of_a_table_of_boxes_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, get_text = Counter[int](), Tag.get_text

    def counted(tag: Tag, *arguments: Any) -> str:
        calls[rows] += 1
        return get_text(tag, *arguments)

    monkeypatch.setattr(Tag, "get_text", counted)
    for rows in (50, 100):
        page = f"<table>{'<tr><td><p>Be fair.</p><p>Be open.</p></td></tr>' * rows}</table>"
        assert read("page.html", page).text.split("\n\n") == ["Be fair.", "Be open."] * rows
    assert 0 < calls[100] < 3 * calls[50]


def test_a_row_with_one_full_cell_is_a_box_only_where_no_row_of_its_table_is_wider() -> None:
    boxes = "<table><tr><td>One.</td></tr><tr><td>Two.</td><td></td></tr></table>"
    values = (
        "<table><tr><td>Three</td></tr><tr><td>Four</td><td>4</td></tr>"
        "<tr><td colspan='2'><p>Five.</p><p>Six.</p></td></tr></table>"
    )
    assert read("page.html", boxes + values).text == (
        "One.\n\nTwo.\n\nThree\nFour | 4\n\nFive.\n\nSix."
    )


def test_a_page_that_stands_in_a_form_is_read_without_its_controls() -> None:
    page = (
        "<body><form action='./policy.aspx'><input type='hidden' value='/wEP'><h1>Gifts</h1>"
        "<p>Accept<input value='x'> none.</p><select><option>English</option></select>"
        "<datalist><option>Oslo</option></datalist>"
        "<textarea>your comment</textarea><button>Send</button></form></body>"
    )
    reading = read("policy.html", page)
    assert reading.text == "Gifts\n\nAccept none."
    assert titles(reading) == [(1, "Gifts")]


def test_deep_lists_lose_nothing_and_absurd_depth_is_refused() -> None:
    markdown = "\n".join(f"{'  ' * depth}- level {depth}" for depth in range(20))
    assert read("a.md", markdown).text.count("level") == 20
    with pytest.raises(InputError, match=r"a\.html: its elements are nested hundreds deep"):
        read("a.html", "<div>" * 3000 + "x")


def test_two_links_into_the_page_are_no_table_of_contents() -> None:
    html = '<ul><li><a href="#a">One</a></li><li><a href="#b">Two</a></li></ul><p>Be fair.</p>'
    assert read("page.html", html).text == "- One\n- Two\n\nBe fair."


DECLARATION = """Declaration of the Village
      Preamble
      Whereas we share one well and one road and must get on with each other in all seasons,
      Now, therefore,
      The Assembly
      Proclaims these articles as what all who live here have agreed upon among themselves.
   \n      Article 1
      All may draw water. Nobody pays for it.
   \n      Article 2
      \n         \n            Everyone mends the road in front of the house in which they live.
         \n            Nobody blocks it with carts, wood, animals or anything else that is theirs.
"""


def test_headings_of_plain_text_are_told_by_layout() -> None:
    reading = read("declaration.txt", DECLARATION)
    assert titles(reading) == [
        (1, "Declaration of the Village"),
        (2, "Preamble"),
        (2, "Article 1"),
        (2, "Article 2"),
    ]
    assert "Now, therefore,\n\nThe Assembly\n\nProclaims" in reading.text


def test_headings_of_chinese_text() -> None:
    text = (
        "村庄宣言\n   \n      第一条\n      人人可以取水。\n   \n      第二条\n      人人修路。\n"
    )
    assert titles(read("a.txt", text)) == [(1, "村庄宣言"), (2, "第一条"), (2, "第二条")]


WRAPPED = """   The members of this house have written down what they
   promise each other, so that it can be read by all.
     __________________________________________________

Our Promises

    1. We keep the house clean
       Everyone cleans what they have used, on the same
       day. (Guests are free of this duty, as are children.)
    2. We are quiet at night
       After ten nobody makes noise that can be heard in
       another room.

    * no music
    * no washing machine, and no other thing that makes a
      noise in the walls
"""


def test_wrapped_text_is_joined_and_numbered_headings_found() -> None:
    reading = read("promises.txt", WRAPPED)
    assert reading.text == (
        "The members of this house have written down what they promise each other, "
        "so that it can be read by all.\n\n"
        "Our Promises\n\n"
        "1. We keep the house clean\n\n"
        "Everyone cleans what they have used, on the same day. "
        "(Guests are free of this duty, as are children.)\n\n"
        "2. We are quiet at night\n\n"
        "After ten nobody makes noise that can be heard in another room.\n\n"
        "- no music\n- no washing machine, and no other thing that makes a noise in the walls"
    )
    assert [title for _, title in titles(reading)] == [
        "Our Promises",
        "1. We keep the house clean",
        "2. We are quiet at night",
    ]


def test_a_plain_list_holds_no_headings() -> None:
    reading = read("list.txt", "We sell this here.\n\n1. Apples\n2. Pears\n3. Plums\n\nAll ripe.")
    assert titles(reading) == []
    assert "1. Apples\n2. Pears\n3. Plums" in reading.text


FOOTER = (72, 40, 11, "Acme Inc., page 7")
PAGES = (
    [
        (72, 720, 20, "Code of Conduct"),
        (72, 690, 14, "Gifts"),
        (72, 670, 11, "Nobody accepts gifts from people who want something from us, what-"),
        (72, 656, 11, "ever they may say. We are glad of thanks, and we hold on to our well-"),
        (72, 642, 11, "known rule that a gift"),
        (72, 620, 11, "Our well-known rule stands, and on"),
        FOOTER,
    ],
    [(72, 720, 11, "all days it is the same."), FOOTER],
    [(72, 720, 11, "The end."), FOOTER],
)


def test_pdf_lines_become_paragraphs_with_pages() -> None:
    reading = read("code.pdf", make_pdf(PAGES))
    assert reading.text == (
        "Code of Conduct\n\nGifts\n\n"
        "Nobody accepts gifts from people who want something from us, whatever they may say. "
        "We are glad of thanks, and we hold on to our well-known rule that a gift\n\n"
        "Our well-known rule stands, and on all days it is the same.\n\nThe end."
    )
    assert titles(reading) == [(1, "Code of Conduct"), (2, "Gifts")]
    assert [(reading.text[offset:][:8], page) for offset, page in reading.pages] == [
        ("Code of ", 1),
        ("all days", 2),
        ("The end.", 3),
    ]
    assert reading.notes == ("repeated page headers and footers left out: 3 lines",)


def test_pdf_outline_names_the_headings() -> None:
    outline = [("Our Two Line Title", 0), ("Part", 1)]
    first = [(72, 720, 14, "Our Two"), (72, 700, 14, "Line Title"), (72, 670, 11, "Be fair.")]
    pages = [first, [(72, 720, 11, "Part"), (72, 700, 11, "Be open.")]]
    reading = read("code.pdf", make_pdf(pages, outline))
    assert titles(reading) == [(1, "Our Two Line Title"), (1, "Part")]


def numbered_pages(heading: float, footer: float) -> list[list[tuple[float, float, float, str]]]:
    """Pages from "Article 1" to "Page 1 of 3" and "1", and so on, in letters of these sizes."""
    return [
        [
            (72, 720, heading, f"Article {number}"),
            (72, 690, 11, f"{text} is what we are to all who come to us."),
            (72, 54, footer, f"Page {number} of 3"),
            (72, 40, footer, str(number)),
        ]
        for number, text in enumerate(("Fair", "Open", "Kind"), 1)
    ]


ARTICLES = [(1, "Article 1"), (1, "Article 2"), (1, "Article 3")]


@pytest.mark.parametrize("footer", [9, 11])
def test_numbered_pdf_headings_larger_than_the_text_are_no_page_headers(footer: float) -> None:
    reading = read("code.pdf", make_pdf(numbered_pages(16, footer)))
    assert titles(reading) == ARTICLES
    assert "Page" not in reading.text
    assert reading.notes == ("repeated page headers and footers left out: 6 lines",)


def test_numbered_pdf_headings_of_the_outline_are_no_page_headers() -> None:
    outline = [(f"Article {number}", number - 1) for number in (1, 2, 3)]
    reading = read("code.pdf", make_pdf(numbered_pages(11, 11), outline))
    assert titles(reading) == ARTICLES
    assert "Page" not in reading.text


def test_numbered_pdf_headings_of_two_lines_are_found_in_the_outline() -> None:
    pages = [[first, (72, 706, 11, "Scope"), *rest] for first, *rest in numbered_pages(11, 11)]
    outline = [(f"Article {number} Scope", number - 1) for number in (1, 2, 3)]
    reading = read("code.pdf", make_pdf(pages, outline))
    assert titles(reading) == [(1, f"Article {number} Scope") for number in (1, 2, 3)]


def test_large_pdf_lines_that_repeat_word_for_word_and_bare_numbers_are_page_headers() -> None:
    pages = [
        [(72, 750, 16, "Code 2024"), (300, 30, 16, page[-1][3]), *page]
        for page in numbered_pages(16, 9)
    ]
    reading = read("code.pdf", make_pdf(pages))
    assert titles(reading) == ARTICLES
    assert reading.notes == ("repeated page headers and footers left out: 12 lines",)


def test_a_first_pdf_line_is_not_joined_with_itself() -> None:
    pages = [[(72, 720, 14, "Ja"), (72, 690, 11, "Be fair to all who come to us.")]]
    assert "Be fair" in read("code.pdf", make_pdf(pages, [("Ja ja", 0)])).text


def test_pdf_contents_page_is_left_out() -> None:
    contents = [
        (72, 720, 14, "Contents"),
        (72, 700, 11, "Gifts ........... 2"),
        (72, 686, 11, "Loans ........... 2"),
        (72, 672, 11, "Fraud ........... 3"),
    ]
    reading = read("code.pdf", make_pdf([contents, [(72, 720, 11, "Be fair to all.")]]))
    assert reading.text == "Be fair to all."


def test_one_empty_pdf_page_is_only_a_note() -> None:
    reading = read("code.pdf", make_pdf([PAGES[0], [], PAGES[2]]))
    assert "page 2 holds no text" in reading.notes


def docx(body: str) -> bytes:
    """A Word file with only the parts that a reader needs."""
    space = "http://schemas.openxmlformats.org"
    kinds = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{space}/package/2006/content-types">'
        '<Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{kinds}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{kinds}.styles+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{space}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{space}/officeDocument/2006/relationships/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{space}/wordprocessingml/2006/main">'
        f"<w:body>{body}</w:body></w:document>",
        "word/styles.xml": f'<w:styles xmlns:w="{space}/wordprocessingml/2006/main">'
        '<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="H1"><w:name w:val="heading 1"/></w:style>'
        "</w:styles>",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def word(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def test_docx_becomes_plain_text() -> None:
    row = "".join(f"<w:tc>{word(text)}</w:tc>" for text in ("Gift", "20"))
    body = word("Code", "Title") + word("Gifts", "H1") + word("Be fair.") + word("____")
    reading = read("code.docx", docx(f"{body}<w:tbl><w:tr>{row}</w:tr></w:tbl>"))
    assert reading.text == "Code\n\nGifts\n\nBe fair.\n\nGift | 20"
    assert titles(reading) == [(0, "Code"), (1, "Gifts")]


@pytest.mark.parametrize(
    ("text", "encoding", "said"),
    [
        ("Café rules “in full” – être honnête. Grüße.", "cp1252", "windows-1252"),
        ("Кодекс поведения сотрудников. Все должны быть честными.", "cp1251", "windows-1251"),
        ("行动规范。员工必须诚实。禁止贿赂。", "gb18030", "gb18030"),
        ("Be honest. Être honnête.", "utf-16", "utf-16"),
    ],
)
def test_other_encodings_are_recovered_and_said(text: str, encoding: str, said: str) -> None:
    reading = read("a.txt", text.encode(encoding))
    assert reading.text == text
    assert reading.notes == (f"decoded as {said}, not UTF-8",)


def test_html_encoding_is_the_one_that_the_page_declares() -> None:
    page = '<meta charset="iso-8859-2"><p>Bądź uczciwy. Łąka.</p>'
    reading = read("a.html", page.encode("iso-8859-2"))
    assert reading.text == "Bądź uczciwy. Łąka."
    assert reading.notes == ("decoded as iso8859-2, not UTF-8",)


@pytest.mark.parametrize("declared", ["ISO-8859-1", "latin1", "us-ascii", "windows-1252"])
def test_html_that_declares_latin_1_is_read_as_windows_1252_as_browsers_do(declared: str) -> None:
    page = f'<meta charset="{declared}"><p>We say “no” – it’s €5. Être honnête.</p>'
    reading = read("a.html", page.encode("cp1252"))
    assert reading.text == "We say “no” – it’s €5. Être honnête."
    assert reading.notes == ("decoded as windows-1252, not UTF-8",)


def test_bytes_that_windows_1252_does_not_define_are_no_error() -> None:
    page = b'<meta charset="iso-8859-1"><p>Be fair\x81\x8d\x8f\x90\x9d, caf\xe9.</p>'
    assert read("a.html", page).text == f"Be fair{5 * chr(0xFFFD)}, café."


@pytest.mark.parametrize("declared", ["utf-16", "UTF-16LE", "utf-16be", "utf-32", "hex", "rot13"])
def test_html_of_single_bytes_that_declares_wide_ones_is_read_by_what_it_holds(
    declared: str,
) -> None:
    page = f'<meta charset="{declared}"><p>Be “fair”. Être honnête.</p>'
    for encoding in ("utf-8", "cp1252"):
        assert read("a.html", page.encode(encoding)).text == "Be “fair”. Être honnête."


def test_byte_order_mark_is_no_text() -> None:
    assert read("a.txt", b"\xef\xbb\xbfBe fair.\r\nAlways.").text == "Be fair.\n\nAlways."


SPACES = st.sampled_from([" ", "    ", "\n", "\n\n", "\t", "\f", "\u2028", "\u200b", "\u00ad"])
WORDS = st.sampled_from(
    ["a", "Be fair.", "人", "。", ":", "e\u0301", "&shy;", "&#8203;", "•", "1."]
)
MARKS = st.sampled_from(["# ", "- ", "* ", "|", "---", "===", "___", "{:.x}", "[^1]: ", "[a](#b)"])
TAGS = st.sampled_from(["<b>", "</p>", "<table><tr><td>", "<h2>", "</h2>", "<li>", '!!! n "x"\n'])
PIECES = st.one_of(SPACES, WORDS, MARKS, TAGS)


@given(st.lists(PIECES, max_size=25).map("".join), st.sampled_from(["a.md", "a.txt", "a.html"]))
def test_any_text_is_read_or_refused_in_words(content: str, name: str) -> None:
    try:
        reading = read(name, content)
    except InputError:
        return
    titles(reading)
    assert unicodedata.normalize("NFC", reading.text) == reading.text
    assert not set(reading.text) & set("\u00ad\u200b\ufeff\t\u00a0")


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.xlsx", b"x", r"a\.xlsx: files of the kind '\.xlsx' cannot be read; known are \.md"),
        ("a.md", b" \n", r"a\.md: the file is empty"),
        ("a.html", b"<script>x</script>", r"a\.html: holds no text to read"),
        ("a.txt", b"Be\0fair", r"a\.txt: holds binary data"),
        ("a.txt", bytes(range(1, 256)) * 9, r"a\.txt: holds binary data"),
        ("a.txt", b"%PDF-1.4\n", r"a\.txt: holds binary data"),
        ("a.pdf", b"%PDF-1.4 broken", r"a\.pdf: not a readable PDF"),
        ("a.pdf", make_pdf([[], []]), r"a\.pdf: page 1 holds no text; it looks scanned\. Run OCR"),
        ("a.pdf", make_pdf(PAGES, encrypted=True), r"a\.pdf: the PDF is encrypted.*qpdf"),
        ("a.docx", b"not a zip", r"a\.docx: not a readable DOCX"),
        ("a.docx", docx("<w:p>"), r"a\.docx: not a readable DOCX"),
        ("a.docx", b"\xd0\xcf\x11\xe0rest", r"a\.docx: an old \.doc or a Word file with a pass"),
    ],
)
def test_unusable_files_are_refused_with_the_remedy(name: str, data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_file(Path(name), data)
    assert str(caught.value).endswith(".") or str(caught.value).endswith(").")


def test_docx_without_a_document_is_refused() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("other.txt", "x")
    with pytest.raises(InputError, match="not a readable DOCX"):
        read("a.docx", buffer.getvalue())
