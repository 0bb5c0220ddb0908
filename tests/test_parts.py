"""A rule's reason, exceptions and people, in sentences of our own: said, or left empty."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.parts import Parts, cut_out, names_contact, parts, says_why
from adhere.records import Polarity

LANGUAGES = ("en", "fr", "es", "de", "ar", "zh", "ja", "fi")
POLARITIES: tuple[Polarity, ...] = ("required", "forbidden", "permitted", "aspired to")
PIECES = (
    "Members must rest",
    "nobody may row alone",
    "because the night is long",
    "so that all can see",
    "unless the coach agrees",
    "except on Sundays",
    "(other than flowers)",
    "without prior leave",
    "In the absence of approval",
    "les membres doivent ramer",
    "sauf le dimanche",
    "parce que la nuit est longue",
    "los socios no deben remar",
    "a menos que haya luz",
    "Gäste dürfen rudern",
    "es sei denn, es regnet",
    "يجب على كل عضو",
    "إلاّ إذا",
    "会员必须",
    "除非下雨",
    "会員は",
    "許可なしに",
)
JOINS = (" ", ", ", "; ", ": ", " -- ", "، ", "，", "、", "(", ")")


@pytest.mark.parametrize(
    ("sentence", "polarity", "rationale"),
    [
        ("Staff must not take gifts, because they bind.", "forbidden", "because they bind"),
        (
            "You must report it because the next crew trusts you.",
            "required",
            "because the next crew trusts you",
        ),
        (
            "You must ring, so that the desk can lock it.",
            "required",
            "so that the desk can lock it",
        ),
        ("To protect the seals, captains must slow down.", "required", "To protect the seals"),
        ("Because of this role, the directors must be open.", "required", "Because of this role"),
        (
            "Nobody may row alone, since no one would see it.",
            "forbidden",
            "since no one would see it",
        ),
        (
            "Stay so that everyone, whatever their rank, can speak.",
            "required",
            "so that everyone, whatever their rank, can speak",
        ),
        ("Rest, because hands tire, and the crew must not slip.", "required", "because hands tire"),
        ("Rest, because hands tire, unless it rains.", "required", "because hands tire"),
        ("Nobody is dismissed because they reported it.", "forbidden", ""),
        ("You must not discriminate because of race.", "forbidden", ""),
        ("A guest may be refused because he is drunk.", "permitted", ""),
        ("You may stay, but not because you must.", "permitted", ""),
        ("You must not split an order in order to avoid the limit.", "forbidden", ""),
        ("Managers are required to protect data.", "required", ""),
        ("In order to enter the vault, staff must ring.", "required", ""),
        ("Since 2010, members must rest.", "required", ""),
        ("The rules are long, so that some might be missed, and must be read.", "required", ""),
        ("Crew must rest.", "required", ""),
    ],
)
def test_reasons(sentence: str, polarity: Polarity, rationale: str) -> None:
    assert parts(sentence, "en", polarity).rationale == rationale


@pytest.mark.parametrize(
    ("sentence", "polarity", "exceptions"),
    [
        (
            "No loans are made unless the board approves them.",
            "forbidden",
            ("unless the board approves them",),
        ),
        (
            "We prohibit gifts, except for flowers; limit meals.",
            "forbidden",
            ("except for flowers",),
        ),
        (
            "A manager must not cut it, except for a rescue, and must then pay.",
            "forbidden",
            ("except for a rescue",),
        ),
        (
            "Nobody may own a share (other than a tiny one) in a rival.",
            "forbidden",
            ("other than a tiny one",),
        ),
        (
            "Crew shall not, without the leave of the board, sell it.",
            "forbidden",
            ("without the leave of the board",),
        ),
        ("Staff must not speak without prior approval.", "forbidden", ("without prior approval",)),
        ("Trials, except in fires, shall be by jury.", "required", ("except in fires",)),
        (
            "Except in storms, fires and floods, nobody may ring.",
            "forbidden",
            ("Except in storms, fires and floods",),
        ),
        (
            "In the absence of prior leave, members shall not sell.",
            "forbidden",
            ("In the absence of prior leave",),
        ),
        (
            "Nothing is sold, save with leave, unless it rains.",
            "forbidden",
            ("save with leave", "unless it rains"),
        ),
        ("You must save for old age.", "required", ()),
        ("Everyone must rest, without exception.", "required", ()),
        ("People may be photographed without their consent.", "permitted", ()),
        ("Someone other than the chair must approve it.", "required", ()),
        ("Nobody except the captain may sail.", "forbidden", ()),
        ("Crew must rest.", "required", ()),
    ],
)
def test_exceptions(sentence: str, polarity: Polarity, exceptions: tuple[str, ...]) -> None:
    assert parts(sentence, "en", polarity).exceptions == exceptions


@pytest.mark.parametrize(
    ("sentence", "binds"),
    [
        ("Team Members shall not seek loans.", "Team Members"),
        ("However, all Team Members must avoid it.", "all Team Members"),
        (
            "The directors, officers and members of the board must sign.",
            "The directors, officers and members of the board",
        ),
        (
            "Men and women of full age, without any limit, have the right to marry.",
            "Men and women of full age",
        ),
        ("Members who row alone must sign.", "Members who row alone"),
        ("If a guest falls ill, the coach must stay.", "the coach"),
        ("No supervisor shall solicit a loan.", "supervisor"),
        ("Members must not: take cash;", "Members"),
        ("We aim to be fair.", "We"),
        ("You may leave.", "You"),
        ("Nobody may row alone.", ""),
        ("No one shall be held in slavery.", ""),
        ("Children must be protected.", ""),
        ("Members may be excluded from the club.", ""),
        ("Every damage has to be entered.", ""),
        ("They should act like brothers.", ""),
        ("Members who may row alone must sign.", ""),
        ("The board believes members should rest.", ""),
        ("We expect members to rest.", ""),
        ("Members of the club must be told that they may leave.", ""),
        ("Because members must rest.", ""),
    ],
)
def test_people(sentence: str, binds: str) -> None:
    assert parts(sentence, "en", "required").binds == binds


@pytest.mark.parametrize(
    ("language", "sentence", "polarity", "expected"),
    [
        (
            "fr",
            "Les membres ne doivent pas ramer, car la nuit est longue.",
            "forbidden",
            Parts(binds="Les membres", rationale="car la nuit est longue"),
        ),
        (
            "fr",
            "Aucun membre ne peut vendre, sauf le dimanche.",
            "forbidden",
            Parts(binds="membre", exceptions=("sauf le dimanche",)),
        ),
        ("fr", "Les enfants doivent être protégés.", "required", Parts()),
        ("fr", "Nul ne sera renvoyé parce qu’il parle.", "forbidden", Parts()),
        (
            "es",
            "Los socios no deben remar, a menos que haya luz.",
            "forbidden",
            Parts(binds="Los socios", exceptions=("a menos que haya luz",)),
        ),
        (
            "es",
            "Toda persona tiene deberes, puesto que vive con otros.",
            "required",
            Parts(rationale="puesto que vive con otros"),
        ),
        ("es", "Los niños deben ser protegidos.", "required", Parts()),
        (
            "de",
            "Gäste dürfen nicht rudern, es sei denn, der Trainer ist da.",
            "forbidden",
            Parts(binds="Gäste", exceptions=("es sei denn, der Trainer ist da",)),
        ),
        (
            "de",
            "Mitglieder müssen Westen tragen, weil das Wasser kalt ist.",
            "required",
            Parts(binds="Mitglieder", rationale="weil das Wasser kalt ist"),
        ),
        ("de", "Kinder müssen geschützt werden.", "required", Parts()),
        ("de", "Die Regel tritt außer Kraft.", "required", Parts()),
        (
            "ar",
            "يجب على كل عضو أن يستريح، لأن الليل طويل.",
            "required",
            Parts(binds="كل عضو", rationale="لأن الليل طويل"),
        ),
        (
            "ar",
            "لا يُباع القارب إلاّ بموافقة المجلس.",
            "forbidden",
            Parts(exceptions=("إلاّ بموافقة المجلس",)),
        ),
        ("ar", "لا يجوز القبض على أي إنسان.", "forbidden", Parts()),
        (
            "zh",
            "未经教练同意，会员不得独自划船，因为夜里很黑。",
            "forbidden",
            Parts(binds="会员", exceptions=("未经教练同意",), rationale="因为夜里很黑"),
        ),
        ("zh", "任何人不得被奴役。", "forbidden", Parts()),
        ("zh", "除船只外，俱乐部还出租房屋。", "permitted", Parts()),
        (
            "ja",
            "会員は、許可なしに、艇を売ってはなりません。",
            "forbidden",
            Parts(binds="会員", exceptions=("許可なしに",)),
        ),
        (
            "ja",
            "コーチは、事故を防止するために、笛を持たなければならない。",
            "required",
            Parts(binds="コーチ", rationale="事故を防止するために"),
        ),
        ("ja", "子どもは守られなければならない。", "required", Parts()),
        ("fi", "You must rest, because hands tire.", "required", Parts()),
    ],
)
def test_other_languages(language: str, sentence: str, polarity: Polarity, expected: Parts) -> None:
    assert parts(sentence, language, polarity) == expected


SENTENCES = st.lists(
    st.tuples(st.sampled_from((*PIECES, "rest", "the board")), st.sampled_from(JOINS)), max_size=8
).map(lambda pairs: "".join(piece + join for piece, join in pairs))


@given(
    sentence=st.one_of(SENTENCES, st.text(max_size=80)),
    language=st.sampled_from(LANGUAGES),
    polarity=st.sampled_from(POLARITIES),
)
def test_every_part_is_the_sentences_own_words(
    sentence: str, language: str, polarity: Polarity
) -> None:
    found = parts(sentence, language, polarity)
    said = [part for part in (found.rationale, found.binds) if part]
    for part in (*said, *found.exceptions):
        assert part
        assert part in sentence
        assert part == part.strip(" .,;:")
    assert not any(found.rationale in part for part in found.exceptions if found.rationale)


@pytest.mark.parametrize(
    "unit",
    ["the members of the crew and ", "All Team Members, ", "unless (a, b), ", "because we must, "],
)
def test_a_long_sentence_takes_no_long_time(unit: str) -> None:
    parts("Warm up.", "en", "required")
    started = time.process_time()
    parts(unit * 60, "en", "required")
    assert time.process_time() - started < 1


@pytest.mark.parametrize(
    ("language", "sentence", "why"),
    [
        ("en", "This is because hands tire.", True),
        ("en", "The purpose of this rule is rest.", True),
        ("en", "The purpose of the service is rest.", False),
        ("en", "This is a rule.", False),
        ("de", "Der Zweck dieser Regel ist Ruhe.", True),
        ("zh", "这是因为夜里很黑。", True),
        ("fi", "This is because hands tire.", False),
    ],
)
def test_a_sentence_that_says_why(language: str, sentence: str, why: bool) -> None:
    assert says_why(sentence, language) is why


@pytest.mark.parametrize(
    ("sentence", "phrase", "left"),
    [
        ("No one may row, unless the coach agrees.", "unless the coach agrees", "No one may row."),
        ("Except in a storm, no one may row.", "Except in a storm", "No one may row."),
        ("No guest (except the captain) may row.", "except the captain", "No guest may row."),
        (
            "No one may, without leave, take a loan.",
            "without leave",
            "No one may take a loan.",
        ),
        ("除非有教练同意，任何人不得单独划船。", "除非有教练同意", "任何人不得单独划船。"),
    ],
)
def test_a_sentence_without_its_exception(sentence: str, phrase: str, left: str) -> None:
    assert cut_out(sentence, [phrase]) == left
    assert cut_out(sentence, []) == sentence


@pytest.mark.parametrize(
    ("sentence", "says"),
    [
        ("Report any concern to your manager.", True),
        ("If you are unsure, ask the Chief Legal Officer.", True),
        ("Members who see it should contact the committee.", True),
        ("Promptly report to the CLO any conduct believed to be a violation.", True),
        ("The CLO reports directly to the Audit Committee.", False),
        ("We report our results every year.", False),
        ("Always tell the truth.", False),
        ("Everyone has the right to ask questions.", False),
        ("Toute faute doit être signalée à la direction.", True),
        ("Chacun a le droit de parler.", False),
        ("Deberá informar al comité de ética.", True),
        ("Wer es sieht, meldet es der Leitung.", True),
        ("员工应向主管报告任何违规行为。", True),
        ("人人有权享有休息。", False),
        ("違反を見つけた者は上司に報告しなければならない。", True),
        ("يجب إبلاغ المدير بأي مخالفة.", True),
    ],
)
def test_whom_to_turn_to(sentence: str, says: bool) -> None:
    assert names_contact(sentence) == says
