"""Stage `ingest`: documents to passages.

Passages follow the headings: one a section where the section is neither very short
nor very long. Together they hold every word of the document, once and in order.
"""

import difflib
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import accumulate, pairwise
from pathlib import Path

from adhere.errors import InputError
from adhere.files import RUN_FILE, files_in, runs_in
from adhere.progress import Progress
from adhere.readers import FORMATS, Reading, read_file
from adhere.records import Document, Passage, distinct, record_id, shared_path
from adhere.settings import IngestSettings, RunSettings
from adhere.store import is_begun
from adhere.text import detect_language, sentence_spans, text_size

_SMALL = 200
"""Sections under this size are merged with small neighbours ..."""
_MERGED = 0.5
"""... up to this share of the size aimed for, so that each is still easy to find."""
_STRETCH = 1.25
"""How far a passage may go over the size aimed for, to keep a section whole."""
_AFTER_HEADING, _AFTER_LEAD_IN, _SENTENCE, _LINE, _PARAGRAPH = 100.0, 0.5, 0.6, 0.15, 0.0
"""What a break costs at each place, against a passage's squared relative distance from its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Section:
    """A heading line and the text under it, up to the next heading."""

    start: int
    body: int
    """Where the text under the heading starts."""
    end: int
    path: tuple[str, ...]
    size: int
    """Of the text under the heading; 0 for a heading that a subheading follows at once."""


def ingest(
    paths: Sequence[Path], settings: IngestSettings, progress: Progress
) -> tuple[list[Document], list[Passage]]:
    """Read files and folders (recursively, in order of name) and cut them into passages.

    A document that repeats another's text is left out, with a note on the one kept.
    Raises InputError where no path is given, and naming the first file that cannot be used.
    """
    if not paths:
        raise InputError(
            "no documents: `adhere run DOCUMENTS --out runs/NAME`, or name them in run.toml under "
            "`documents`."
        )
    files = _numbered(named for path in paths for named in _files(path, progress))
    documents: dict[str, Document] = {}
    passages: list[Passage] = []
    for path, name in progress.track(files, "documents", len(files)):
        document, reading = _read(path, name)
        if document.text in documents:
            kept = documents[document.text]
            note = f"{name} holds the same text and was left out"
            documents[document.text] = replace(kept, notes=(*kept.notes, note))
            progress.note(f"{kept.name}: {note}")
            continue
        documents[document.text] = document
        passages.extend(split(document, reading, settings.passage_chars))
    return list(documents.values()), passages


def require_documents(run: Path, documents: Sequence[Path]) -> None:
    """Raise InputError where one of the documents' folders is a run, or is this run's own.

    What a run writes would be read as what the documents say.
    """
    for path in documents:
        if is_begun(path):
            old = RunSettings.read(path / RUN_FILE).documents
            others = [str(one) for one in documents if not is_begun(one)] or ["NEW.md"]
            names = " ".join(dict.fromkeys([*old, *others]))
            raise InputError(
                f"{path}: is a run, and what it made is no document; to add a document to it: "
                f"`adhere run {names} --out {path}`."
            )
        if path.resolve() == run.resolve():
            raise InputError(
                f"{path}: is the run's own folder, and cannot be read for documents too; put them "
                "into a folder of their own, name the files one by one, or give another --out."
            )


def _files(path: Path, progress: Progress) -> list[tuple[Path, str]]:
    """(file, name) of each document at `path`."""
    if path.is_file():
        return [(path, path.name)]
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; {_nearest(path)}")
    for run in runs_in(path):
        progress.note(f"{run}: a run's folder, whose files were passed over")
    seen = files_in(path)
    known = [file for file in seen if file.suffix.lower() in FORMATS]
    if not known:
        raise InputError(
            f"{path}: the folder holds no documents. Put files of these kinds into it: "
            f"{', '.join(FORMATS)}."
        )
    if len(known) < len(seen):
        progress.note(f"{path}: {len(seen) - len(known)} files of other kinds passed over")
    return [(file, file.relative_to(path).as_posix()) for file in known]


def _numbered(files: Iterable[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Files whose names tell them apart: the second `a.md` is `a.md (2)`."""
    found: list[tuple[Path, str]] = []
    seen: Counter[str] = Counter()
    for path, name in files:
        seen[name] += 1
        found.append((path, f"{name} ({seen[name]})" if seen[name] > 1 else name))
    return found


def _nearest(path: Path) -> str:
    folder = path.parent
    names = [file.name for file in folder.iterdir()] if folder.is_dir() else []
    near = difflib.get_close_matches(path.name, names, n=3)
    if near:
        return f"did you mean {' or '.join(repr(str(folder / name)) for name in near)}?"
    return "check the spelling and the folder that you are in."


def _read(path: Path, name: str) -> tuple[Document, Reading]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror}).") from error
    reading = read_file(path, data)
    file_format, _ = FORMATS[path.suffix.lower()]
    document = Document(
        id=record_id(name, sha256(reading.text.encode()).hexdigest()),
        name=name,
        format=file_format,
        sha256=sha256(data).hexdigest(),
        text=reading.text,
        language=detect_language(reading.text),
        notes=reading.notes,
    )
    return document, reading


def split(document: Document, reading: Reading, size: int) -> list[Passage]:
    """Passages of about `size` characters (wide ones count as three) that cover the document.

    A passage keeps to one section where it can; its heading lines are part of its
    text. Very short neighbouring sections share a passage. Long sections are cut
    between paragraphs, list items or sentences, in that order of preference.
    """
    sections = _sections(reading)
    sentences = sentence_spans(document.text, document.language)
    spans = [
        span
        for group in _groups(sections, size)
        for span in _cut(document.text, _within(sentences, group), group, size)
    ]
    return distinct(
        Passage(
            id=record_id("passage", document.name, document.text[start:end]),
            document=document.id,
            text=document.text[start:end],
            start=start,
            end=end,
            headings=_path(sections, start, end),
            page=_page(reading, start),
            sections=_several(sections, start, end),
        )
        for start, end in spans
    )


def _sections(reading: Reading) -> list[_Section]:
    stack: list[tuple[int, str]] = []
    marks: list[tuple[int, int, tuple[str, ...]]] = [(0, 0, ())]
    for heading in reading.headings:
        stack = [above for above in stack if above[0] < heading.level]
        stack.append((heading.level, heading.title.rstrip(":： ")))
        body = heading.offset + len(heading.title)
        marks.append((heading.offset, body, tuple(title for _, title in stack)))
    ends = [start for start, _, _ in marks[1:]] + [len(reading.text)]
    return [
        _Section(
            start=start,
            body=body,
            end=end,
            path=path,
            size=text_size(reading.text[body:end].strip()),
        )
        for (start, body, path), end in zip(marks, ends, strict=True)
        if reading.text[start:end].strip()
    ]


def _groups(sections: Sequence[_Section], size: int) -> list[list[_Section]]:
    """Sections that share passages: bare headings join what follows, small neighbours merge."""
    groups: list[list[_Section]] = []
    for section in sections:
        last = section is sections[-1]
        if groups and (
            groups[-1][-1].size == 0
            or (last and section.size == 0)
            or _merge(groups[-1], section, size)
        ):
            groups[-1].append(section)
        else:
            groups.append([section])
    return groups


def _merge(group: Sequence[_Section], section: _Section, size: int) -> bool:
    """Whether a small section joins a group of small sections under the same parent."""
    sizes = [part.size for part in group if part.size] + [section.size]
    return (
        section.path[:-1] == group[-1].path[:-1]
        and len(section.path) == len(group[-1].path)
        and min(sizes) > 0
        and max(sizes) < _SMALL
        and sum(sizes) <= _MERGED * size
    )


def _within(
    sentences: Sequence[tuple[int, int]], group: Sequence[_Section]
) -> list[tuple[int, int]]:
    start, end = group[0].start, group[-1].end
    return [span for span in sentences if start <= span[0] < end]


def _cut(
    text: str, sentences: Sequence[tuple[int, int]], group: Sequence[_Section], size: int
) -> list[tuple[int, int]]:
    """The cheapest way to cut at sentence ends, by dynamic programming over the sentences.

    Each passage costs the squared relative distance from `size`, each break what
    `_break_costs` says.
    """
    breaks = _break_costs(text, sentences, group)
    points = [point for span in sentences for point in span]
    totals = [0, *accumulate(text_size(text[a:b]) for a, b in pairwise(points))]
    begins, ends = totals[0::2], totals[1::2]
    best: list[tuple[float, int]] = [(0.0, 0)]
    for end in range(1, len(sentences) + 1):
        choices: list[tuple[float, int]] = []
        single = True
        for start in range(end - 1, -1, -1):
            part = ends[end - 1] - begins[start]
            single = single and (start == end - 1 or breaks[start + 1] == _AFTER_HEADING)
            if part > _STRETCH * size and not single:
                break
            choices.append((best[start][0] + (part / size - 1) ** 2 + breaks[start], start))
        best.append(min(choices))
    spans: list[tuple[int, int]] = []
    end = len(sentences)
    while end:
        start = best[end][1]
        spans.append((sentences[start][0], sentences[end - 1][1]))
        end = start
    return spans[::-1]


def _break_costs(
    text: str, sentences: Sequence[tuple[int, int]], group: Sequence[_Section]
) -> list[float]:
    """The cost of starting a passage at each sentence; nothing for the first."""
    costs = [0.0]
    bodies = [(section.start, section.body) for section in group]
    for (start, end), (following, _) in pairwise(sentences):
        gap = text[end:following].count("\n")
        cost = _SENTENCE if gap == 0 else _LINE if gap == 1 else _PARAGRAPH
        if text[end - 1] in ":：":
            cost += _AFTER_LEAD_IN
        if any(head <= start < body for head, body in bodies):
            cost = _AFTER_HEADING
        costs.append(cost)
    return costs


def _path(sections: Sequence[_Section], start: int, end: int) -> tuple[str, ...]:
    """The heading path that all text of a passage shares."""
    touched = [part for part in sections if part.start < end and start < part.end]
    paths = [part.path for part in touched if part.size] or [touched[-1].path]
    return shared_path(paths)


def _several(
    sections: Sequence[_Section], start: int, end: int
) -> tuple[tuple[int, tuple[str, ...]], ...]:
    """`Passage.sections`: those with a text of their own; none where there is only one."""
    touched = [part for part in sections if part.size and part.start < end and start < part.end]
    if len(touched) < 2:
        return ()
    return tuple((max(part.start - start, 0), part.path) for part in touched)


def _page(reading: Reading, start: int) -> int | None:
    place = bisect_right(reading.pages, start, key=lambda page: page[0]) - 1
    return reading.pages[place][1] if place >= 0 else None
