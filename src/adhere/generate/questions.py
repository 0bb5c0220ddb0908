"""situations -> questions: sampled, checked, and sampled again with another seed while no good."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from adhere.embedding import Embed
from adhere.generate.plan import EXCEPTED, WRONGS, Situation, without_exceptions
from adhere.generate.replies import drop, failed, names, places, runs, said
from adhere.generate.stance import Asked, Stance, stances
from adhere.records import Clause, Dropped, Passage, Request, Sampling
from adhere.settings import GenerateSettings
from adhere.teacher import Teacher
from adhere.text import words

_QUESTION_MARKS = ("?", "？", "؟")
_MARKS = (*_QUESTION_MARKS, "か。")


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

    @property
    def words(self) -> frozenset[str]:
        """Every word of the passages, as it is written."""
        return frozenset(re.findall(r"\w+", " ".join(one.text for one in self.passage_of.values())))

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
        return " ".join(self.passage_of[clause.passage].body.split())

    def contrary(self, situation: Situation) -> str | None:
        """The clause turned round; where a case falls under its exception, the clause without it.

        None for a clause that has neither: nothing tells what it decides.
        """
        if situation.kind == EXCEPTED:
            return without_exceptions(situation.clause)
        return self.opposites.get(situation.clause.id)

    def asked(self, situation: Situation, question: str) -> Asked:
        """The question beside the clause and its contrary, for its stance.

        Raises ValueError for a clause without a contrary, of which nothing closed is asked.
        """
        contrary = self.contrary(situation)
        if contrary is None:
            raise ValueError(f"clause {situation.clause.id} has no contrary")
        return Asked(
            statement=situation.clause.statement,
            opposite=contrary,
            question=question,
            language=self.language(situation.clause),
        )

    def language(self, clause: Clause) -> str:
        """Of the clause's document, ISO 639-1."""
        return self.language_of[clause.document]

    def place(self, clause: Clause) -> str:
        """Where the clause stands, for a question that must make sense without the text."""
        headings = self.passage_of[clause.passage].path(clause.start, clause.end)
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
    would stay untested are tried as often again, and at last the plainest one is taken.
    """
    found: list[Question] = []
    idle: list[Question] = []
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
        again = attempt >= settings.attempts
        near, off = relevant(asked, embed, settings.min_relevance, by_part=again)
        good, others = at_stake(near, source, teacher, settings)
        found += good
        idle += others
        rejected += [*unasked, *off]
        settled = {tries[question.situation] for question in good}
        open_situations = [one for one in open_situations if one not in settled]
    clear = _clearest(_untested(open_situations, found), idle)
    rejected += [_not_at_stake(question) for question in idle if question not in clear]
    return [*found, *clear], rejected


def _untested(situations: Sequence[Situation], found: Sequence[Question]) -> list[Situation]:
    """The probes among the situations whose clause has no probe yet."""
    tested = {one.situation.clause.id for one in found if one.situation.use == "probe"}
    return [one for one in situations if one.use == "probe" and one.clause.id not in tested]


def _clearest(untested: Sequence[Situation], idle: Sequence[Question]) -> list[Question]:
    """Of each untested clause, the question whose answer is plainest, if one is plain.

    Where a clause says what everybody holds ("No one shall be held in slavery"), the teacher
    answers alike when it is turned round: little turns, and yet the answer is the clause's.
    """
    best: dict[str, Question] = {}
    for question in idle:
        clause, stance = question.situation.clause.id, question.stance
        if question.situation.use != "probe" or not stance or not stance.plain:
            continue
        known = best.get(clause)
        if not known or not known.stance or stance.leaning > known.stance.leaning:
            best[clause] = question
    wanted = {situation.clause.id for situation in untested}
    return [question for clause, question in best.items() if clause in wanted]


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
            kind=situation.kind,
            opening=prompts.render("situation", language[situation], kind=situation.kind),
        )
        for situation in situations
    }
    replies = teacher.ask(requests, "questions")
    worked = {one: prompts.bare("question", one) for one in set(language.values())}
    examples = {one: runs(text) for one, text in worked.items()}
    strange = {one: places(text) - source.words for one, text in worked.items()}
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
        elif sum(map(text.count, _QUESTION_MARKS)) > 1:
            dropped.append(drop(situation.clause, "several questions at once", text))
        elif (
            runs(text) & examples[language[situation]] - runs(situation.clause.statement)
            or names(text) & strange[language[situation]]
        ):
            dropped.append(drop(situation.clause, "echo of a worked example", text))
        else:
            questions.append(Question(situation, text, request))
    return questions, dropped


def relevant(
    questions: Sequence[Question], embed: Embed, floor: float, *, by_part: bool = False
) -> tuple[list[Question], list[Dropped]]:
    """Drop questions whose embedding is less than `floor` (cosine) from their clause's.

    `by_part` takes the nearest of the clause and its parts: a short question is about one of
    the things that a sentence of sixty words says, and far from all of them together.
    """
    if not questions:
        return [], []
    statements = dict.fromkeys(question.situation.clause.statement for question in questions)
    texts = {one: [one, *(_parts(one) if by_part else ())] for one in statements}
    flat = list(dict.fromkeys(chain.from_iterable(texts.values())))
    vectors = dict(zip(flat, embed(flat), strict=True))
    kept: list[Question] = []
    dropped: list[Dropped] = []
    asked = embed([question.text for question in questions])
    for question, own in zip(questions, asked, strict=True):
        clause = question.situation.clause
        similarity = max(float(vectors[text] @ own) for text in texts[clause.statement])
        if similarity >= floor:
            kept.append(question)
        else:
            detail = f"{similarity:.2f}: {question.text}"
            dropped.append(drop(clause, "question off the clause", detail))
    return kept, dropped


def _parts(statement: str) -> list[str]:
    """What stands between a clause's commas and semicolons, where that is more than a word."""
    parts = [part.strip() for part in re.split(r"[,;:，；：、،؛]\s*", statement)]
    return [part for part in parts if len(words(part)) > 3]


def at_stake(
    questions: Sequence[Question], source: Source, teacher: Teacher, settings: GenerateSettings
) -> tuple[list[Question], list[Question]]:
    """Closed questions with their stance: those that the clause decides, and the others.

    A question goes when turning the clause round moves the teacher's leaning between yes
    and no by less than the least turn of its kind, or the clause does not bring it to its
    side; one that could not be scored has no stance. Open questions are all kept.
    """
    asked = {
        question: source.asked(question.situation, question.text)
        for question in questions
        if question.situation.closed
    }
    found = stances(asked, teacher)
    kept: list[Question] = []
    others: list[Question] = []
    for question in questions:
        weighed = replace(question, stance=found.get(question))
        decided = question not in asked or _decided(weighed, settings)
        (kept if decided else others).append(weighed)
    return kept, others


def _decided(question: Question, settings: GenerateSettings) -> bool:
    """Whether the clause decides it; a wrong that the clause calls one needs less of a turn."""
    stance = question.stance
    if stance is None or stance.leaning <= 0:
        return False
    wrong = question.situation.kind == WRONGS and stance.negative
    return stance.turn >= (settings.min_turn_of_wrongs if wrong else settings.min_turn)


def _not_at_stake(question: Question) -> Dropped:
    clause, stance = question.situation.clause, question.stance
    if stance is None:
        return drop(clause, "could not be scored", question.text)
    return drop(clause, "not at stake", f"{stance.turn:.1f}: {question.text}")
