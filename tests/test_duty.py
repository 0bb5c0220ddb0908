"""Plain words of duty in seven languages, in sentences of our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adhere.duty import act, duties, plain_duty
from adhere.records import Polarity

LANGUAGES = ("en", "fr", "es", "de", "ar", "zh", "ja")


@pytest.mark.parametrize(
    ("sentence", "polarity"),
    [
        ("You must not accept gifts.", "forbidden"),
        ("Staff may never accept gifts.", "forbidden"),
        ("Nobody may row alone.", "forbidden"),
        ("No one shall be held in slavery.", "forbidden"),
        ("No captain may sail drunk.", "forbidden"),
        ("Nobody is punished for an honest report.", "forbidden"),
        ("Smoking is prohibited.", "forbidden"),
        ("Crew must rest.", "required"),
        ("The desk has to answer.", "required"),
        ("You are expected to help.", "required"),
        ("Guests may row twice.", "permitted"),
        ("May be used by anyone.", "permitted"),
        ("You MAY fork this code.", "permitted"),
        ("Everyone has the right to rest.", "permitted"),
        ("We aim to answer within a day.", "aspired to"),
        ("You may leave, but you must say so.", "permitted"),
        ("We aim to be fair, so you must not lie.", "aspired to"),
        ("The clinic is white.", None),
        ("This code was written in May.", None),
        ("May 2019 was wet, and since 1 May we have rowed.", None),
        ("They thanked nobody and woke no one's temper.", None),
        ("The mustard cannery is closed.", None),
    ],
)
def test_plain_words_of_duty(sentence: str, polarity: Polarity | None) -> None:
    assert plain_duty(sentence, "en") == polarity


def test_a_language_without_a_list_has_no_plain_words() -> None:
    assert plain_duty("You must not.", "fi") is None


@pytest.mark.parametrize(
    ("language", "sentence", "polarity"),
    [
        ("fr", "Il ne faut jamais ramer seul.", "forbidden"),
        ("fr", "Nul ne peut ramer seul.", "forbidden"),
        ("fr", "Il ne faut pas fumer dans le hangar.", "forbidden"),
        ("fr", "Les membres ne doivent pas prêter les bateaux.", "forbidden"),
        ("fr", "Aucun membre du club ne vend d’alcool.", "forbidden"),
        ("fr", "Il est interdit de fumer dans le hangar.", "forbidden"),
        ("fr", "Nous n’acceptons jamais d’argent.", "forbidden"),
        ("fr", "Les barreurs doivent porter un gilet.", "required"),
        ("fr", "Il faut signaler chaque dommage.", "required"),
        ("fr", "Les membres sont tenus de saluer les visiteurs.", "required"),
        ("fr", "Un invité peut ramer deux fois.", "permitted"),
        ("fr", "Chacun a, pendant la saison, le droit de ramer.", "permitted"),
        ("fr", "Vous n’êtes pas tenu de répondre.", "permitted"),
        ("fr", "Nous nous efforçons d’être justes.", "aspired to"),
        ("fr", "Le hangar est rouge.", None),
        ("fr", "Le petit canot dort sous la pluie.", None),
        ("es", "Nadie remará solo.", "forbidden"),
        ("es", "Los miembros no deben prestar las barcas.", "forbidden"),
        ("es", "No se aceptan regalos.", "forbidden"),
        ("es", "Ningún miembro podrá vender alcohol.", "forbidden"),
        ("es", "Está prohibido fumar.", "forbidden"),
        ("es", "Hay que anotar cada avería.", "required"),
        ("es", "El entrenador deberá llevar chaleco.", "required"),
        ("es", "Tenemos que saludar a los visitantes.", "required"),
        ("es", "Los invitados pueden remar dos veces.", "permitted"),
        ("es", "Todos los socios tienen pleno derecho a descansar.", "permitted"),
        ("es", "No tienes que contestar.", "permitted"),
        ("es", "Procuramos ser justos.", "aspired to"),
        ("es", "El cobertizo es rojo.", None),
        ("es", "La barca que no se hundió era azul.", None),
        ("de", "Niemand darf allein rudern.", "forbidden"),
        ("de", "Mitglieder dürfen die Boote des Vereins nicht verleihen.", "forbidden"),
        ("de", "Von Lieferanten dürfen wir keine Geschenke annehmen.", "forbidden"),
        ("de", "Rauchen ist verboten.", "forbidden"),
        ("de", "Die Gäste müssen eine Weste tragen.", "required"),
        ("de", "Jeder Schaden ist sofort zu melden.", "required"),
        ("de", "Der Trainer hat den Verein zu warnen.", "required"),
        ("de", "Gäste dürfen zweimal rudern.", "permitted"),
        ("de", "Jeder hat das Recht, sich zu beschweren.", "permitted"),
        ("de", "Gäste müssen nicht zahlen.", "permitted"),
        ("de", "Wir streben danach, gerecht zu sein.", "aspired to"),
        ("de", "Der Schuppen ist rot.", None),
        ("ar", "لا يجوز التجديف ليلا.", "forbidden"),
        ("ar", "يُحظر التدخين في المرفأ.", "forbidden"),
        ("ar", "ولا يعرض أي عضو للإهانة.", "forbidden"),
        ("ar", "يجب على المدرب ارتداء السترة.", "required"),
        ("ar", "وينبغي تسجيل كل ضرر.", "required"),
        ("ar", "لكل ضيف الحق في التجديف مرتين.", "permitted"),
        ("ar", "يجوز للضيف أن يجدف.", "permitted"),
        ("ar", "نسعى إلى أن نكون منصفين.", "aspired to"),
        ("ar", "المخزن أحمر.", None),
        ("zh", "任何人不得独自划船。", "forbidden"),
        ("zh", "严禁吸烟。", "forbidden"),
        ("zh", "我们从不接受现金。", "forbidden"),
        ("zh", "教练必须穿救生衣。", "required"),
        ("zh", "会员应当向访客问好。", "required"),
        ("zh", "客人可以划两次。", "permitted"),
        ("zh", "人人有权休息。", "permitted"),
        ("zh", "客人无需付费。", "permitted"),
        ("zh", "我们努力做到公平。", "aspired to"),
        ("zh", "供应商可以送货。", "permitted"),
        ("zh", "船库是红色的，可能很旧。", None),
        ("ja", "一人で漕いではなりません。", "forbidden"),
        ("ja", "喫煙は禁止されています。", "forbidden"),
        ("ja", "現金を受け取るべきではない。", "forbidden"),
        ("ja", "コーチは救命胴衣を着なければならない。", "required"),
        ("ja", "損傷はすべて記録するものとする。", "required"),
        ("ja", "客は二回漕ぐことができます。", "permitted"),
        ("ja", "会員は休む権利を有する。", "permitted"),
        ("ja", "客は支払う必要はありません。", "permitted"),
        ("ja", "私たちは公正であることを目指します。", "aspired to"),
        ("ja", "許可された客も救命胴衣を着なければならない。", "required"),
        ("ja", "艇庫は赤い。", None),
    ],
)
def test_plain_words_in_other_languages(
    language: str, sentence: str, polarity: Polarity | None
) -> None:
    assert plain_duty(sentence, language) == polarity


@given(st.sampled_from(LANGUAGES), st.text())
def test_any_text_has_a_polarity_or_none(language: str, text: str) -> None:
    assert plain_duty(text, language) in {"required", "forbidden", "permitted", "aspired to", None}


@pytest.mark.parametrize(
    ("language", "sentence", "rest"),
    [
        ("en", "Staff must not take gifts.", "Staff take gifts."),
        ("en", "Staff may take gifts.", "Staff take gifts."),
        ("es", "Los socios no deben remar solos.", "Los socios remar solos."),
        ("ja", "客は二回漕ぐことができる。", "客は二回漕ぐ る。"),
        ("fi", "You must rest.", "You must rest."),
        ("en", "You may not?", "You ?"),
        ("en", "must", "must"),
    ],
)
def test_an_act_is_what_duties_are_said_of(language: str, sentence: str, rest: str) -> None:
    assert act(sentence, language) == rest


def test_all_duties_of_a_sentence_in_their_order() -> None:
    assert duties("You may leave, but you must not run.", "en") == ["permitted", "forbidden"]
    assert duties("The clinic is white.", "en") == []
