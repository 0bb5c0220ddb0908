"""Documents to passages: nothing lost, no sentence cut, headings kept."""

from pathlib import Path

import pytest
from fakes import Notes
from hypothesis import given
from hypothesis import strategies as st

from adhere.candidates import candidates
from adhere.errors import InputError
from adhere.ingest import ingest, split
from adhere.progress import NoProgress
from adhere.readers import Reading, read_file
from adhere.records import Document, Passage
from adhere.settings import IngestSettings
from adhere.text import sentence_spans, text_size

WORDS = st.sampled_from(
    ["be", "fair", "Mr. Li", "we", "1.5", "(so)", "人人", "诚实。", "«ja»", "no!"]
)
SENTENCE = st.lists(WORDS, min_size=1, max_size=25).map(" ".join).map("{}.".format)
PARAGRAPH = st.lists(SENTENCE, min_size=1, max_size=8).map(" ".join)
BLOCK = st.one_of(
    PARAGRAPH,
    st.lists(SENTENCE, min_size=1, max_size=5).map(
        lambda items: "\n".join(f"- {i}" for i in items)
    ),
    st.tuples(st.integers(1, 4), st.sampled_from(["Gifts", "Scope:", "Article. I.", "第一条"])).map(
        lambda heading: f"{'#' * heading[0]} {heading[1]}"
    ),
)
MARKDOWN = st.lists(BLOCK, min_size=1, max_size=14).map("\n\n".join)


def passages_of(markdown: str, size: int = 900) -> tuple[Document, Reading, list[Passage]]:
    reading = read_file(Path("a.md"), markdown.encode())
    document = Document(id="d", name="a.md", format="markdown", sha256="", text=reading.text)
    return document, reading, split(document, reading, size)


def ingest_folder(folder: Path, size: int = 900) -> tuple[list[Document], list[Passage]]:
    return ingest([folder], IngestSettings(passage_chars=size), NoProgress())


@given(MARKDOWN, st.integers(200, 1500))
def test_passages_cover_the_document_in_order_without_overlap(markdown: str, size: int) -> None:
    document, _, passages = passages_of(markdown, size)
    place = 0
    for passage in passages:
        assert document.text[place : passage.start].strip() == ""
        assert passage.start >= place
        assert document.text[passage.start : passage.end] == passage.text
        assert passage.text == passage.text.strip()
        place = passage.end
    assert document.text[place:].strip() == ""
    assert len({passage.id for passage in passages}) == len(passages)


@given(MARKDOWN, st.integers(200, 1500))
def test_no_sentence_is_cut_in_two(markdown: str, size: int) -> None:
    document, _, passages = passages_of(markdown, size)
    for start, end in sentence_spans(document.text, document.language):
        homes = [p for p in passages if p.start < end and start < p.end]
        assert len(homes) == 1


@given(MARKDOWN, st.integers(200, 1500))
def test_no_passage_ends_with_a_heading_that_text_follows(markdown: str, size: int) -> None:
    document, reading, passages = passages_of(markdown, size)
    for heading in reading.headings:
        end = heading.offset + len(heading.title)
        for passage in passages:
            if passage.end == end:
                assert document.text[end:].strip() == ""


ARTICLES = """# Charter

## Article 1

Everyone is free.

## Article 2

Nobody is a slave.

## Article 3

{long}

### Exceptions

None.
"""


def test_short_sections_share_a_passage_and_keep_their_headings() -> None:
    long = "Everyone may speak, and write, and be silent, as they see fit. " * 5
    _, _, passages = passages_of(ARTICLES.format(long=long))
    assert [passage.headings for passage in passages] == [
        ("Charter",),
        ("Charter", "Article 3"),
        ("Charter", "Article 3", "Exceptions"),
    ]
    assert passages[0].text == (
        "Charter\n\nArticle 1\n\nEveryone is free.\n\nArticle 2\n\nNobody is a slave."
    )
    assert passages[1].text.startswith("Article 3\n\nEveryone may speak")


def test_each_sentence_of_a_shared_passage_has_its_own_headings() -> None:
    long = "Everyone may speak, and write, and be silent, as they see fit. " * 5
    document, _, passages = passages_of(ARTICLES.format(long=long))
    slave = document.text.index("Nobody is a slave.")
    shared = passages[0]
    assert shared.path(slave, slave + 6) == ("Charter", "Article 2")
    assert shared.path(shared.start, shared.end) == ("Charter",)
    assert passages[1].path(passages[1].start, passages[1].end) == ("Charter", "Article 3")
    assert shared.body == "Everyone is free. Nobody is a slave."
    [lone] = passages_of("# Charter\n\n## Article 1\n\nEveryone is free.\n")[2]
    assert lone.headings == lone.path(lone.start, lone.end) == ("Charter", "Article 1")
    assert [sentence.text for sentence in candidates([shared], {shared.document: "en"})] == [
        "Everyone is free.",
        "Nobody is a slave.",
    ]


def test_long_sections_are_cut_evenly_between_paragraphs() -> None:
    paragraph = "We keep our word in small things and in great ones. " * 5
    _, _, passages = passages_of("# Word\n\n" + "\n\n".join([paragraph] * 6), size=600)
    assert [passage.headings for passage in passages] == [("Word",)] * 3
    assert [passage.text.count("\n\n") for passage in passages] == [2, 1, 1]


@given(MARKDOWN, st.integers(200, 1500))
def test_only_a_single_sentence_makes_a_passage_too_long(markdown: str, size: int) -> None:
    document, reading, passages = passages_of(markdown, size)
    titles = {heading.title for heading in reading.headings}
    for passage in passages:
        if text_size(passage.text) > 1.25 * size:
            body = [line for line in passage.text.splitlines() if line not in titles]
            assert len(sentence_spans("\n".join(body), document.language)) <= 1


def test_a_heading_stays_with_a_sentence_that_is_too_long() -> None:
    sentence = "We keep our word in small things and in great ones, " * 20 + "always."
    _, _, passages = passages_of(f"# Word\n\n{sentence}\n\n{sentence}", size=300)
    assert [passage.text.startswith("Word\n\nWe keep") for passage in passages] == [True, False]


def test_a_list_stays_with_the_line_that_leads_to_it() -> None:
    before = "We keep our word in small things and great. " * 6
    items = "\n".join(
        f"- never do thing number {number}, whatever it brings" for number in range(6)
    )
    _, _, passages = passages_of(f"{before}\n\nThese are our rules:\n\n{items}", size=300)
    assert [passage.text[:9] for passage in passages] == ["We keep o", "These are"]


def test_pages_are_those_of_the_passage_start() -> None:
    text = "One.\n\nTwo.\n\nThree."
    reading = Reading(text=text, headings=(), pages=((0, 1), (6, 2), (12, 3)))
    document = Document(id="d", name="a.pdf", format="pdf", sha256="", text=text)
    assert [passage.page for passage in split(document, reading, 900)] == [1]
    assert [passage.page for passage in split(document, reading, 4)] == [1, 2, 3]


def test_folders_are_read_in_order_without_hidden_and_other_files(tmp_path: Path) -> None:
    for name in ("b.md", "a/c.txt", ".hidden/d.md", ".e.md", "~$b.docx", "a/~$g.docx", "f.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"We are fair, says {name}.")
    notes = Notes()
    documents, passages = ingest([tmp_path], IngestSettings(), notes)
    assert [document.name for document in documents] == ["a/c.txt", "b.md"]
    assert [document.format for document in documents] == ["text", "markdown"]
    assert [passage.document for passage in passages] == [document.id for document in documents]
    assert notes.notes == [f"{tmp_path}: 1 files of other kinds passed over"]


@pytest.mark.parametrize("mark", ["run.toml", "cache.sqlite", ".lock"])
def test_what_a_run_in_the_folder_wrote_is_no_document_and_that_is_said(
    tmp_path: Path, mark: str
) -> None:
    rows = tmp_path / "runs" / "x" / "midtrain" / "rows.md"
    rows.parent.mkdir(parents=True)
    for path in (tmp_path / "b.md", tmp_path / "runs" / "c.md", rows):
        path.write_text(f"We are fair, says {path.name}.")
    (tmp_path / "runs" / "x" / mark).touch()
    (tmp_path / mark).touch()  # the folder asked for is read, whatever it holds
    notes = Notes()
    documents, _ = ingest([tmp_path], IngestSettings(), notes)
    assert [document.name for document in documents] == ["b.md", "runs/c.md"]
    said = f"{tmp_path}/runs/x: a run's folder, whose files were passed over"
    assert [note for note in notes.notes if "other kinds" not in note] == [said]


def test_ids_come_from_name_and_text(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.md").write_text("We are fair.")
    first, _ = ingest_folder(tmp_path / "one")
    second, _ = ingest_folder(tmp_path / "two")
    assert first == second
    (tmp_path / "two" / "a.md").write_text("We are kind.")
    changed, _ = ingest_folder(tmp_path / "two")
    assert changed[0].id != first[0].id


def test_documents_of_one_name_are_told_apart(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.md").write_text(f"We are fair.\n\nThis is {folder}.")
    paths = [tmp_path / "one" / "a.md", tmp_path / "two" / "a.md"]
    documents, passages = ingest(paths, IngestSettings(), NoProgress())
    assert [document.name for document in documents] == ["a.md", "a.md (2)"]
    assert len({passage.id for passage in passages}) == len(passages) == 2


def test_a_section_put_in_front_leaves_the_ids_of_those_behind() -> None:
    sections = [f"# {name}\n\n{name} is fair. {'Nobody is turned away. ' * 12}" for name in "ABC"]
    _, _, before = passages_of("\n\n".join(sections))
    _, _, after = passages_of("\n\n".join([f"# New\n\n{'We rest at noon. ' * 20}", *sections]))
    assert len(before) == 3
    assert [passage.id for passage in after[1:]] == [passage.id for passage in before]
    assert [passage.start for passage in after[1:]] != [passage.start for passage in before]


def test_the_same_words_twice_are_two_passages() -> None:
    section = f"We are fair. {'Nobody is turned away. ' * 12}"
    _, _, passages = passages_of(f"# One\n\n{section}\n\n# Two\n\n{section}\n", 300)
    assert len({passage.id for passage in passages}) == len(passages)


def test_a_repeated_document_is_kept_once_and_said(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("We are fair.")
    (tmp_path / "b.txt").write_text("We are fair.\n")
    documents, passages = ingest_folder(tmp_path)
    assert len(documents) == len(passages) == 1
    assert documents[0].notes == ("b.txt holds the same text and was left out",)


def test_language_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("Tous les êtres humains naissent libres et égaux en dignité.")
    assert ingest_folder(tmp_path)[0][0].language == "fr"


def test_missing_path_suggests_near_names(tmp_path: Path) -> None:
    (tmp_path / "policy.md").write_text("We are fair.")
    with pytest.raises(InputError, match=r"polcy\.md: no such file.*did you mean '.*policy\.md'\?"):
        ingest_folder(tmp_path / "polcy.md")
    with pytest.raises(InputError, match=r"no such file or folder; check the spelling"):
        ingest_folder(tmp_path / "nowhere" / "x.md")


def test_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"the folder holds no documents.*\.md.*\.docx"):
        ingest_folder(tmp_path)


def test_one_bad_file_stops_all_and_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("We are fair.")
    (tmp_path / "b.txt").write_bytes(b"\0\1\2")
    with pytest.raises(InputError, match=r"b\.txt: holds binary data"):
        ingest_folder(tmp_path)


def test_unreadable_suffix_given_by_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"a\.png: files of the kind '\.png'"):
        ingest_folder(tmp_path / "a.png")
