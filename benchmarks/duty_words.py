"""Do plain words of duty agree with a reader? `duty_words.py FOLDER [TEACHER]`.

FOLDER holds the documents that `duty_marks.json` marks (by hash: they are not ours to copy).
Prints, for each, how often the words alone agree with the reader's mark and, with a teacher's
address, how often the teacher agrees alone and where the words outrank it.
"""

import json
import sys
from pathlib import Path

from adhere.candidates import Sentence, candidates
from adhere.clauses import NOTHING, read_value
from adhere.duty import plain_duty
from adhere.engines import open_engine
from adhere.ingest import ingest
from adhere.progress import NoProgress
from adhere.prompts import Prompts
from adhere.records import Sampling, record_id
from adhere.settings import IngestSettings
from adhere.teacher import Teacher

MARKS = json.loads(Path(__file__).with_name("duty_marks.json").read_text())["documents"]


def marked(path: Path) -> tuple[str, dict[Sentence, str]]:
    """The document's language, and its marked sentences with their marks."""
    [document], passages = ingest([path], IngestSettings(), NoProgress())
    found = candidates(passages, {document.id: document.language})
    marks = MARKS[path.name]
    return document.language, {
        one: marks[record_id(one.text)] for one in found if record_id(one.text) in marks
    }


def told(sentences: list[Sentence], address: str) -> list[str]:
    """What the teacher says of each sentence, as the clauses stage asks it."""
    teacher = Teacher(open_engine(address), Prompts(), NoProgress())
    sampling = Sampling(max_tokens=6, stop=("\n",))
    requests = {
        one: teacher.prompts.request("value", sampling, sentence=one.text, passage=one.passage.text)
        for one in sentences
    }
    replies = teacher.ask(requests, "value")
    return [value(replies[one].text) for one in sentences]


def value(reply: str) -> str:
    try:
        return read_value(reply)[0] or NOTHING
    except ValueError:
        return "unreadable"


def main(folder: Path, address: str | None) -> None:
    read = {name: marked(folder / name) for name in MARKS}
    every = [one for _, marks in read.values() for one in marks]
    said = dict(zip(every, told(every, address), strict=True)) if address else {}
    print(
        "| document | language | marked | words speak | and agree | teacher | words, then teacher |"
    )
    print("|---" * 7 + "|")
    for name, (language, marks) in read.items():
        words = {one: plain_duty(one.text, language) for one in marks}
        speak = [one for one in marks if words[one]]
        right = sum(words[one] == marks[one] for one in speak)
        alone = sum(said.get(one) == mark for one, mark in marks.items())
        both = sum((words[one] or said.get(one)) == mark for one, mark in marks.items())
        teacher = (f"{alone}", f"{both}") if said else ("–", "–")
        print(
            "|",
            " | ".join((name, language, f"{len(marks)}", f"{len(speak)}", f"{right}", *teacher)),
            "|",
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
