"""situations -> questions: sampled, checked, and sampled again with another seed while no good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from adhere.embedding import Embed
from adhere.generate.plan import WRONGS, Situation
from adhere.generate.replies import drop, failed, runs, said
from adhere.generate.stance import Asked, Stance, stances
from adhere.records import Clause, Dropped, Passage, Request, Sampling
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher

_MARKS = ("?", "？", "؟", "か。")


@dataclass(frozen=True, slots=True)
class Question:
    situation: Situation
    text: str
    request: Request
    stance: Stance | None = None
    """What the clause answers; None for an open question, or where that is not known."""


@dataclass(frozen=True, slots=True)
class Source:
    """What questions are asked about: clauses in their passages, and the same turned round."""

    passage_of: Mapping[str, Passage]
    language_of: Mapping[str, str]
    opposites: Mapping[str, str]

    @classmethod
    def of(
        cls,
        passages: Sequence[Passage],
        language_of: Mapping[str, str],
        opposites: Mapping[str, str],
    ) -> "Source":
        """`language_of`: document id -> its language; `opposites`: clause id -> turned round."""
        return cls({passage.id: passage for passage in passages}, language_of, opposites)

    def body(self, clause: Clause) -> str:
        """The clause's passage without its headings, on one line."""
        passage = self.passage_of[clause.passage]
        lines = [line for line in passage.text.split("\n") if line not in passage.headings]
        return " ".join(" ".join(lines).split())

    def asked(self, clause: Clause, question: str) -> Asked:
        """The question beside the clause and its opposite, for its stance."""
        return Asked(
            statement=clause.statement,
            opposite=self.opposites[clause.id],
            question=question,
            language=self.language(clause),
        )

    def language(self, clause: Clause) -> str:
        """Of the clause's document, ISO 639-1."""
        return self.language_of[clause.document]

    def place(self, clause: Clause) -> str:
        """Where the clause stands, for a question that must make sense without the text."""
        headings = self.passage_of[clause.passage].headings
        ends = dict.fromkeys((*headings[:1], *headings[-1:]))
        return ", ".join(ends) or "the document"


def find_questions(
    situations: Sequence[Situation],
    source: Source,
    teacher: Teacher,
    embed: Embed,
    settings: GenerateSettings,
) -> tuple[list[Question], list[Dropped]]:
    """A question for each situation, where one of `settings.attempts` samples is good.

    Good is a whole question that is near its clause and, if it is a closed one, at
    stake: turned round, the clause gives the other answer. The probes of a clause that
    would stay untested are tried as often again.
    """
    found: list[Question] = []
    rejected: list[Dropped] = []
    open_situations = list(situations)
    for attempt in range(2 * settings.attempts):
        if attempt == settings.attempts:
            open_situations = _untested(open_situations, found)
        tries = {
            replace(situation, seed=situation.seed + attempt): situation
            for situation in open_situations
        }
        asked, unasked = ask_questions(list(tries), source, teacher, settings)
        near, off = relevant(asked, embed, settings.min_relevance)
        good, idle = at_stake(near, source, teacher, settings)
        found += good
        rejected += [*unasked, *off, *idle]
        settled = {tries[question.situation] for question in good}
        open_situations = [one for one in open_situations if one not in settled]
    return found, rejected


def _untested(situations: Sequence[Situation], found: Sequence[Question]) -> list[Situation]:
    """The probes among the situations whose clause has no probe yet."""
    tested = {one.situation.clause.id for one in found if one.situation.use == "probe"}
    return [one for one in situations if one.use == "probe" and one.clause.id not in tested]


def ask_questions(
    situations: Sequence[Situation], source: Source, teacher: Teacher, settings: GenerateSettings
) -> tuple[list[Question], list[Dropped]]:
    """One sampled question for each situation."""
    prompts = teacher.prompts
    language = {one: source.language(one.clause) for one in situations}
    requests = {
        situation: prompts.request(
            "question",
            Sampling(
                max_tokens=64,
                temperature=settings.temperature,
                top_p=0.95,
                seed=situation.seed,
                stop=("\n",),
            ),
            language[situation],
            statement=situation.clause.statement,
            place=source.place(situation.clause),
            opening=prompts.render("situation", language[situation], kind=situation.kind),
        )
        for situation in situations
    }
    replies = teacher.ask(requests, "questions")
    examples = {one: runs(prompts.bare("question", one)) for one in set(language.values())}
    questions: list[Question] = []
    dropped: list[Dropped] = []
    for situation, request in requests.items():
        text = said(replies[situation])
        if not text:
            dropped.append(failed(situation.clause, "no question", replies[situation]))
        elif replies[situation].finish == "length":
            dropped.append(drop(situation.clause, "unfinished question", text))
        elif not text.rstrip('"”’»)').endswith(_MARKS):
            dropped.append(drop(situation.clause, "not a question", text))
        elif runs(text) & examples[language[situation]] - runs(situation.clause.statement):
            dropped.append(drop(situation.clause, "echo of a worked example", text))
        else:
            questions.append(Question(situation, text, request))
    return questions, dropped


def relevant(
    questions: Sequence[Question], embed: Embed, floor: float
) -> tuple[list[Question], list[Dropped]]:
    """Drop questions whose embedding is less than `floor` (cosine) from their clause's."""
    if not questions:
        return [], []
    clauses = embed([question.situation.clause.statement for question in questions])
    similarity = (embed([question.text for question in questions]) * clauses).sum(axis=1)
    near = [value >= floor for value in similarity]
    dropped = [
        drop(question.situation.clause, "question off the clause", f"{value:.2f}: {question.text}")
        for question, value, keep in zip(questions, similarity, near, strict=True)
        if not keep
    ]
    return [question for question, keep in zip(questions, near, strict=True) if keep], dropped


def at_stake(
    questions: Sequence[Question], source: Source, teacher: Teacher, settings: GenerateSettings
) -> tuple[list[Question], list[Dropped]]:
    """Give closed questions their stance; drop those that the clause does not decide.

    A question goes when turning the clause round moves the teacher's leaning between yes
    and no by less than the least turn of its kind, or the clause does not bring it to its
    side. Open questions pass as they are.
    """
    asked = {
        question: source.asked(question.situation.clause, question.text)
        for question in questions
        if question.situation.closed
    }
    found = stances(asked, teacher)
    kept: list[Question] = []
    dropped: list[Dropped] = []
    for question in questions:
        stance = found.get(question)
        clause = question.situation.clause
        if question not in asked:
            kept.append(question)
        elif stance is None:
            dropped.append(drop(clause, "could not be scored", question.text))
        elif stance.turn < _least_turn(question, stance, settings) or stance.leaning <= 0:
            dropped.append(drop(clause, "not at stake", f"{stance.turn:.1f}: {question.text}"))
        else:
            kept.append(replace(question, stance=stance))
    return kept, dropped


def _least_turn(question: Question, stance: Stance, settings: GenerateSettings) -> float:
    """In nats; a wrong that the clause calls one needs less."""
    if question.situation.kind == WRONGS and stance.negative:
        return settings.min_turn_of_wrongs
    return settings.min_turn
