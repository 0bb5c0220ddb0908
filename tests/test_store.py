"""The run folder: records over JSONL, folders that are whole or not there, manifests."""

from dataclasses import replace
from pathlib import Path

import pytest
from fakes import ORIGIN
from hypothesis import given
from hypothesis import strategies as st

from adhere.errors import InputError
from adhere.records import Dropped, Example, Probe
from adhere.store import (
    Manifest,
    content_key,
    count_reasons,
    folder_hashes,
    fresh_folder,
    read_manifest,
    read_records,
    read_summary,
    write_manifest,
    write_records,
)

PROBE = Probe(id="q", clause="c", kind="rule", question="May I?", reference="No.", origin=ORIGIN)
MANIFEST = Manifest(
    stage="sft",
    key="k",
    settings={"sft": {"epochs": 3.0}},
    inputs={"curate": "1"},
    outputs={"a.jsonl": "2"},
    counts={"rows": 2},
    dropped={"too long": 1},
    versions={"adhere": "0"},
    seconds=1.5,
    facts={"alarms": ["é"]},
)


@given(
    st.lists(
        st.builds(
            Example,
            id=st.text(),
            clause=st.text(),
            kind=st.text(),
            question=st.text(min_size=1).filter(str.strip),
            answer=st.text(min_size=1).filter(str.strip),
            origin=st.just(ORIGIN),
        ),
        max_size=3,
    )
)
def test_records_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Example]
) -> None:
    path = tmp_path_factory.mktemp("records") / "rows.jsonl"
    assert write_records(path, rows) == len(rows)
    assert read_records(path, Example) == rows


def test_letters_stay_readable_and_a_record_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_records(path, [replace(PROBE, question="Qué\nmás? 水")])
    assert path.read_text(encoding="utf-8").count("\n") == 1
    assert "水" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        '{"id": "q"}',
        '{"record_id": "r", "stage": "s", "reason": "x", "detail": "", "more": 1}',
        '{"record_id": 7, "stage": "s", "reason": "x"}',
    ],
)
def test_a_bad_line_is_named_with_its_file_and_number(tmp_path: Path, line: str) -> None:
    path = tmp_path / "dropped.jsonl"
    write_records(path, [Dropped(record_id="r", stage="s", reason="x")])
    path.write_text(path.read_text(encoding="utf-8") + line + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"dropped\.jsonl: line 2 is not a Dropped: .*Mend"):
        read_records(path, Dropped)


def test_an_impossible_record_is_a_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "probes.jsonl"
    write_records(path, [PROBE])
    path.write_text(path.read_text(encoding="utf-8").replace("No.", " "), encoding="utf-8")
    with pytest.raises(InputError, match=r"line 1 is not a Probe: .*empty text"):
        read_records(path, Probe)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows\.jsonl: not there; run the stage"):
        read_records(tmp_path / "rows.jsonl", Probe)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_file_in_another_encoding_is_named_with_the_remedy(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "clauses" / "dropped.jsonl"
    path.parent.mkdir()
    write_records(path, [Dropped(record_id="r", stage="s", reason="für")])
    path.write_text(path.read_text(encoding="utf-8"), encoding=encoding)
    with pytest.raises(InputError) as error:
        read_records(path, Dropped)
    assert str(error.value) == (
        f"{path}: not UTF-8 text. Save it as UTF-8, or delete the folder and run the stage again."
    )


def test_the_mark_that_notepad_puts_first_is_no_part_of_the_records(tmp_path: Path) -> None:
    path = tmp_path / "probes.jsonl"
    write_records(path, [PROBE])
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_records(path, Probe) == [PROBE]


@pytest.mark.parametrize("folder", ["review", "people"])
@pytest.mark.parametrize("content", [b"{", b"\xff"])
def test_nobody_is_told_to_delete_what_people_decided(
    tmp_path: Path, folder: str, content: bytes
) -> None:
    path = tmp_path / folder / "decisions.jsonl"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"decisions\.jsonl: .*keep the file") as error:
        read_records(path, Dropped)
    assert "or delete" not in str(error.value)


@pytest.mark.parametrize("content", [b"{", b"", b"[1]", '{"a": "é"}'.encode("cp1252")])
def test_a_broken_summary_is_named_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    assert read_summary(tmp_path) == {}
    path = tmp_path / "evaluate" / "summary.json"
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"summary\.json: not a JSON object: .*Mend it, or delete"):
        read_summary(tmp_path)


def test_a_fresh_folder_takes_its_name_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "sft"
    with fresh_folder(target) as folder:
        (folder / "new").write_text("1")
        assert not target.exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["sft", "new"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_exception_leaves_the_old_folder_and_no_partial(
    tmp_path: Path, error: type[BaseException]
) -> None:
    target = tmp_path / "sft"
    with fresh_folder(target) as folder:
        (folder / "old").write_text("1")

    def fail() -> None:
        with fresh_folder(target) as folder:
            (folder / "new").write_text("2")
            raise error

    with pytest.raises(error):
        fail()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["old", "sft"]


def test_the_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    for name in ("old", "new"):
        with fresh_folder(tmp_path / "sft") as folder:
            (folder / name).write_text("1")
    assert [path.name for path in (tmp_path / "sft").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["sft"]


def test_a_folder_without_a_name_of_its_own_is_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "sub").mkdir(parents=True)
    for here, target in (("mine/sub", ".."), ("mine", ".")):
        monkeypatch.chdir(tmp_path / here)
        with fresh_folder(Path(target)) as folder:
            (folder / "sub").mkdir()
        monkeypatch.chdir(tmp_path)
        assert [path.name for path in tmp_path.rglob("*")] == ["mine", "sub"]


def test_what_a_killed_process_left_is_swept_away_or_kept_to_resume(tmp_path: Path) -> None:
    partial = tmp_path / "sft.partial"
    for keep in (False, True):
        partial.mkdir()
        (partial / "left").write_text("1")
        with fresh_folder(tmp_path / "sft", keep_partial=keep) as folder:
            assert (folder / "left").exists() == keep


def test_a_stage_that_resumes_keeps_its_partial_folder_when_it_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with fresh_folder(tmp_path / "sft", keep_partial=True) as folder:
            (folder / "left").write_text("1")
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert (tmp_path / "sft.partial" / "left").exists()
    assert not (tmp_path / "sft").exists()


def test_bad_documents_leave_no_run_folder_behind(tmp_path: Path) -> None:
    def fail(run: Path) -> None:
        with fresh_folder(run / "ingest"):
            raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        fail(tmp_path / "runs" / "mine")
    assert not (tmp_path / "runs" / "mine").exists()


def test_a_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    assert read_manifest(tmp_path) is None
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(tmp_path) == MANIFEST


@pytest.mark.parametrize("text", ["", "{}", "[1]"])
def test_a_manifest_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert read_manifest(tmp_path) is None


def test_the_hashes_of_a_folder_leave_its_manifest_out(tmp_path: Path) -> None:
    (tmp_path / "adapter").mkdir()
    (tmp_path / "adapter" / "a").write_bytes(b"1")
    before = folder_hashes(tmp_path)
    write_manifest(tmp_path, MANIFEST)
    assert folder_hashes(tmp_path) == before
    assert list(before) == ["adapter/a"]
    (tmp_path / "adapter" / "a").write_bytes(b"2")
    assert folder_hashes(tmp_path) != before


def test_a_key_depends_on_content_and_not_on_the_order_of_names() -> None:
    assert content_key({"a": 1, "b": 2}) == content_key({"b": 2, "a": 1})
    assert content_key("ab", "c") != content_key("a", "bc")


def test_reasons_are_counted_most_frequent_first() -> None:
    drops = [Dropped(record_id="r", stage="s", reason=reason) for reason in "abbacb"]
    assert list(count_reasons(drops).items()) == [("b", 3), ("a", 2), ("c", 1)]
