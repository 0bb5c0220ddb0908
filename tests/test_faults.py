"""Every linter both ways: the fault that it is for, and the sound text that looks like one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.faults import fault, known, personal_data, repetition
from adhere.prompts import Prompts

DOCUMENT = known(
    [
        "Guests may ask crew@harbour.example or ring +44 20 7946 0958. "
        "Fees go to GB29 NWBK 6016 1331 9268 19."
    ],
    [Prompts().bare("question")],
)


@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        ("What does the text say of rest?", "Crew must rest.", "question needs the text beside it"),
        (
            "According to the code, may I rest?",
            "Crew must rest.",
            "question needs the text beside it",
        ),
        ("Can I invoke this right here?", "No, you may not.", "question needs the text beside it"),
        ("May I sit down now?", "As this passage says, rest.", "answer speaks of the text"),
        ("May I sit?", "No. The rule does not mention chairs.", "answer speaks of the text"),
        ("May I sit down now?", "You may. Question: may I row?", "echo of the prompt"),
        ("Can the Night Clinic treat me?", "You may go there.", "echo of the prompt"),
        ("I work for the harbour Line. May I?", "You may go there.", "echo of the prompt"),
        ("Does the Charter of the Valley hold?", "Yes, it does.", "echo of the prompt"),
        ("May I sit down now?", "As an AI, I cannot say.", "speaks as a machine"),
        ("May I sit down now?", "I'm sorry, but I can't help with that.", "refusal"),
        ("May I sit down now?", "I’m unable to provide advice on that.", "refusal"),
        ("¿Puedo sentarme ahora?", "Lo siento, pero no puedo responder.", "refusal"),
        ("May I sit down now?", "Ask jo@mail.com first.", "personal data: e-mail address"),
        ("May I ring (555) 123-4567 now?", "Yes, you may.", "personal data: phone number"),
        ("Rest?", "Yes, do rest at once.", "too short"),
        ("May I sit down now?", "Yes.", "too short"),
        ("May I sit down now?", "rest and rest and rest and rest and rest", "degenerate text"),
        ("May I sit down now?", "Да, отдыхайте сейчас же.", "foreign script"),
        ("Must I really rest at once?", "really rest at once", "answer repeats the question"),
    ],
)
def test_every_fault_is_seen(question: str, answer: str, reason: str) -> None:
    assert fault(question, answer, DOCUMENT) == reason


ROWS = ("question", "opposite", "answer")


@pytest.mark.parametrize(
    ("language", "question", "answer", "reason"),
    [
        ("fr", "Que dit ce texte du repos ?", "Il faut se reposer.", "question needs the text"),
        ("fr", "Puis-je m'asseoir ?", "Selon la règle, oui, asseyez-vous.", "answer speaks of"),
        ("fr", "Puis-je m'asseoir ?", "Oui. Réponse : asseyez-vous donc.", "echo of the prompt"),
        ("fr", "La Charte de la Vallée tient-elle ?", "Oui, elle tient.", "echo of the prompt"),
        ("es", "¿Puedo sentarme según esta norma?", "Sí, puede sentarse.", "question needs the"),
        ("es", "¿Puedo sentarme ahora?", "Sí. Pregunta: ¿puedo remar?", "echo of the prompt"),
        ("zh", "根据上述规定，我可以休息吗？", "可以，请您休息。", "question needs the text"),
        ("zh", "我现在可以休息吗？", "可以，请休息。问题：我可以划船吗？", "echo of the prompt"),
        ("ja", "この規則では休んでもよいですか？", "はい、休んでください。", "question needs the"),
        ("ja", "山谷の舟に乗れますか？", "谷の憲章によれば乗れます。", "echo of the prompt"),
        ("ar", "ماذا يقول هذا النص عن الراحة؟", "يجب أن يستريح الجميع.", "question needs the text"),
        ("ar", "هل يجوز لي أن أستريح؟", "نعم. السؤال: هل أجدف؟", "echo of the prompt"),
    ],
)
def test_faults_in_other_languages(language: str, question: str, answer: str, reason: str) -> None:
    prompts = [Prompts().bare(name, language) for name in ROWS]
    found = fault(question, answer, known([], prompts))
    assert found is not None
    assert found.startswith(reason)


@pytest.mark.parametrize(
    ("language", "question", "answer"),
    [
        ("fr", "Puis-je refuser de signer ?", "Oui, vous le pouvez, car nul n'y est obligé."),
        ("es", "¿Puedo negarme a firmar?", "Sí, puede negarse, porque nadie está obligado."),
        ("zh", "我可以学习日本文学吗？", "可以，人人有权自由学习。"),
        ("ja", "日本文化を学んでもよいですか？", "はい、学んでください。誰でも学べます。"),
        ("ar", "هل يجوز لي أن أرفض التوقيع؟", "نعم، لأن أحدا لا يجبر على ذلك."),
    ],
)
def test_sound_rows_in_other_languages(language: str, question: str, answer: str) -> None:
    prompts = [Prompts().bare(name, language) for name in ROWS]
    assert fault(question, answer, known([question + answer], prompts)) is None


def test_a_word_that_ends_as_a_label_is_none() -> None:
    assert fault("May I sit?", "Yes. In this context: sit down.", DOCUMENT) is None


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("May I sit down now?", "Yes, sit down, because tired hands slip."),
        ("Which text message may I send?", "Send the one that he agreed to."),
        ("I'm sorry, but I can't swim. May I row?", "I'm sorry, but you may not row alone."),
        ("Who helps me now?", "I cannot say it too often: write to crew@harbour.example."),
        ("May I ring the crew?", "Yes, ring +44-20-7946-0958."),
    ],
)
def test_a_sound_row_has_no_fault(question: str, answer: str) -> None:
    assert fault(question, answer, DOCUMENT) is None


def test_a_sound_row_in_another_script_has_no_fault() -> None:
    japanese = known(["乗組員は休まなければならない。ゲストはボートをこいでもよい。"])
    question, answer = "休憩してもいいですか。", "はい、疲れた手は滑るので休んでください。"
    assert fault(question, answer, japanese) is None


def test_a_document_about_machines_may_speak_of_them() -> None:
    about = known(["As an AI, Claude is a language model that says: I'm sorry, but I am one."])
    assert fault("What is Claude?", "It is a language model, as an AI is.", about) is None
    assert fault("May I sit?", "I'm sorry, but I am one of them.", about) is None
    assert fault("May I sit?", "I cannot help you with it.", about) == "refusal"


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("Write to Jo.Doe+x@mail.co.uk.", "e-mail address", "Jo.Doe+x@mail.co.uk"),
        ("Ring +1 (415) 555-0134 now", "phone number", "+1 (415) 555-0134"),
        ("Ring 0171/234567.", "phone number", "0171/234567"),
        ("Ring 555-0199 x", "phone number", "555-0199"),
        ("call 8005551234", "phone number", "8005551234"),
        ("My number is 123-45-6789.", "phone number", "123-45-6789"),
        ("card 4111 1111 1111 1111,", "account or card number", "4111 1111 1111 1111"),
        ("card 5500005555555559", "account or card number", "5500005555555559"),
        ("DE89 3704 0044 0532 0130 00", "account or card number", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_personal_data_is_found(text: str, kind: str, found: str) -> None:
    assert personal_data(text, DOCUMENT) == [(kind, found)]


@pytest.mark.parametrize(
    "text",
    [
        "crew@harbour.example, CREW@Harbour.example",
        "+44 20 7946 0958 and +44-20-7946-0958 and GB29NWBK60161331926819",
        "a gift of 1,000,000 or 1 000 000 or 2500000 euros, 37.5 degrees, 20-30 per cent",
        "on 2020-03-15 or 15.03.2020, from 1914-1918 or 1939 – 1945, Article 12 (3)",
        "between 10:00 and 12:30, about 40 of 60, rooms 101, 102, 103 and 104",
        "user @ home, ISO 27001, IPv4 and AB12",
    ],
)
def test_plain_numbers_and_what_the_document_says_are_no_personal_data(text: str) -> None:
    assert personal_data(text, DOCUMENT) == []


@given(st.text())
def test_what_a_document_holds_is_never_personal_data(text: str) -> None:
    assert personal_data(text, known([text])) == []


def test_repetition_is_the_share_of_repeated_trigrams() -> None:
    assert repetition("a b c d e") == 0
    assert repetition("a b a b a b a") == pytest.approx(1 - 2 / 5)
    assert repetition("one") == 0
    assert repetition("いいいいいい") > 0.5
