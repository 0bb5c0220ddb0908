"""Plain words of duty, by language: "must not", "a le droit de", "不得".

The first in a sentence decides its polarity, in Japanese, where the verb comes last, the
last. It outranks a small teacher, which takes "must" for "must not" (docs/decisions.md). The
lists are our own, from each language's grammar; a language without one leaves the word to
the teacher.

Of the words that begin at one place, forbidden comes first ("may not" before "may"),
then what denies a duty and so permits ("muss nicht"), then the others.
"""

import re
from collections.abc import Mapping

from adhere.records import Polarity

MARKS = re.compile("[\u0640\u064b-\u0652]")
"""Arabic vowel signs and stretching, which a writer may leave out."""

_ENGLISH = {
    "forbidden": r"""(?:must|may|shall|should|will|can)\ (?:not|never) | cannot | never
        | (?:nobody|no\ one|no\ person)(?=.*\ (?:may|shall|must|should|can|will|is)\b)
        | no\ \w+\ (?:may|shall|must) | prohibit\w* | forbid\w*""",
    "aspired": r"aims?\ to | striv\w+ | endeavou?r\w* | aspir\w+ | wish\ to | want\ to",
    "required": r"""must | shall | should | required? | requires | (?:is|are)\ expected | expects?
        | obligation | has\ to | have\ to | mandatory | responsib\w+ | duty | duties""",
    # The month of May permits nothing.
    "permitted": r"""(?<!\w\ )may(?!\ \d) | (?-i:may|MAY) | can | free\ to
        | (?:has|have)\ the\ right | entitled | need\ not""",
}

_FRENCH = {
    "forbidden": r"""(?:nul(?:le)?|personne)\ n(?:e\b|['’])
        | (?:aucune?|ni|pas\ une?)\ [^,;.]{1,60}?\ n(?:e\b|['’])
        | n(?:e\ |['’])(?:doi[st]|doivent|dev\w+|peu[tx]|peuvent|pouv\w+|pourr\w+|saur\w+|faut)
        | (?:ne\ |n['’])(?:sera|seront|est|sont)\ (?:\w+\ )?aucune?
        | (?:ne\ |n['’])(?:est|sont|sera|seront)\ pas\ (?:permis|autorisé|admis|toléré|accepté)\w*
        | n(?:e\ |['’])\w+\ jamais | jamais | interdi\w+ | prohib\w+ | proscri\w+ | défendus?""",
    "excused": r"""(?:ne\ |n['’])(?:est|sont|êtes|sommes)\ pas\ (?:tenue?s?|obligée?s?)
        | n['’](?:a|ont|avez|avons)\ pas\ (?:à|besoin\ de)""",
    "aspired": r"""vis(?:e|ent|ons)\ à | s['’]efforc\w+ | nous\ efforçons | aspir\w+ | souhait\w+
        | cherch(?:e|ent|ons)\ à | idéal\ commun""",
    "required": r"""doi[st] | doivent | dev(?:ons|ez|ra|ront|rai[st]|raient|rions|riez) | faut
        | obligat\w+ | obligé\w* | exig\w+ | requi\w+ | tenue?s?\ (?:de|d['’]|à) | responsab\w+
        | devoirs? | s['’]engag\w+\ à | engageons\ à | incomb\w+ | veill\w+\ à""",
    "permitted": r"""peu[tx] | peuvent | pouv(?:ons|ez) | pourr(?:a|ont|ez|ons|ai[st]|aient)
        | (?:a|ont|avez|avons)\ (?:\S+\ ){0,6}?(?:le\ |un\ |des\ )?droits?\b | droit\ (?:à|de|d['’])
        | libres?\ de | permis\w* | permet\w* | autoris\w+ | liberté\ (?:de|d['’])""",
}

_SPANISH = {
    "forbidden": r"""nadie | ningun[ao] | ningún | tampoco\ se\ \w+rán? | (?<!que\ )no\ se\ \w+
        | no\ (?:se\ )?(?:deb\w+|pued\w+|podr\w+|podemos|ha\ de|han\ de)
        | no\ (?:está|están)\ (?:permitid|autorizad)[oa]s?
        | nada\ (?=.*\ (?:podrá|puede|deberá)\b) | nunca | jamás | prohib\w+ | inaceptables?""",
    "excused": r"no\ (?:tien\w+\ que|es\ necesario|es\ obligatorio|está\w*\ obligad[oa]s?)",
    "aspired": r"""aspir(?:a|an|amos|ar) | esf(?:uerz|orz)\w+ | procur(?:a|an|amos|ará|arán|aremos)
        | dese(?:a|an|amos) | nos\ proponemos | busca(?:mos|n)\b""",
    "required": r"""deb(?:e|en|emos|es|er[áé]\w*|ería\w*|eremos|er|eres) | tien\w+\ que
        | tenemos\ que | tendr\w+\ que | hay\ que | hab(?:rá|rán|rá\ de|rán\ de)\b
        | (?:ha|han|hemos)\ de | obligator\w+ | oblig\w+ | exig\w+ | requier\w+ | responsab\w+
        | se\ espera | compromete\w*""",
    "permitted": r"""pued\w+ | podr(?:á|án|emos|ía|ían) | podemos
        | tien\w+\ (?:\S+\ ){0,5}?derechos?\b | tendr\w+\ (?:\S+\ ){0,3}?derechos?\b
        | derecho\ (?:a|de)\b | libres?\ de | libertad\ de | permit\w+ | autoriz\w+""",
}

_GERMAN_NOT = r"(?=[^.;:,]*\b(?:nicht|nie|niemals|weder|kein\w*)\b)"
_GERMAN = {
    "forbidden": rf"""niemand(?=.*\b(?:darf|wird|soll\w*|kann|muss|ist)\b)
        | kein(?:e|er)?\ \w+\ (?:darf|dürfen|soll\w*|kann|können|wird)
        | (?:darf\w*|dürf\w+|soll\w*|kann|können){_GERMAN_NOT}
        | (?:ist|sind)\ (?:nicht|un)\ ?(?:erlaubt|gestattet|zulässig) | unzulässig
        | nie(?:mals)? | verboten | verbiet\w+ | untersag\w+""",
    "excused": rf"(?:muss|müssen|musst|müsst|brauch\w+){_GERMAN_NOT}",
    "aspired": r"streb\w+ | bemüh\w+ | zielen\ darauf | wollen | möchten | anstreb\w+",
    "required": r"""muss | müssen | musst | müsst | soll\w* | verpflicht\w+ | pflicht\w*
        | erforderlich\w* | verantwort\w+ | vorgeschrieben\w* | erwart\w+
        | (?:ist|sind|hat|haben)(?![^.;,]*\brecht\b)(?=[^.;,]*\bzu\ \w+en\b)""",
    "permitted": r"""darf | dürfen | darfst | dürft | kann | können | recht\ auf | anspruch
        | (?:hat|haben)(?=[^.;]*\brecht\b) | berechtigt | erlaubt | gestattet | steht\b.*\bfrei""",
}

_ARABIC = {
    "forbidden": r"""لا\ (?:يجوز|تجوز|يحق|ينبغي|يجب|يمكن|يسمح|يصح|يحل)
        | لا\ [يت]\w+\ (?:\w+\ )?(?:أي|أية|أحد|أحدا)\b | لا\ [يت]\w+(?=.*\ إلا)
        | لا\ [يت]\w+\ بهذا\ الحق | ليس\ (?:ل\w+|من)\ (?:حق|أن) | ليس\ .*\ يجوز | لن
        | [يت]حظر | محظور\w* | ممنوع\w* | [يت]منع | [يت]حرم | محرم\w*""",
    "excused": r"(?:لا|غير)\ (?:يلزم|ملزم\w*|يشترط)",
    "aspired": r"[يتن]سعى | [يتن]طمح | [يتن]هدف | نرغب | نود",
    "required": r"""[يت]جب | ينبغي | [يت]تعين | يتوجب | [يت]لزم | ملزم\w* | واجب\w*
        | لا\ بد | مطلوب\w* | إلزامي\w* | مسؤول\w* | على\ (?:كل|جميع)\ \w+""",
    "permitted": r"""(?:ال)?حق | يحق | [يت]جوز | [يت]مكن | [يت]سمح | مسموح\w* | حرية | له\ أن""",
}

_CHINESE = {
    "forbidden": r"""不(?:得|能|可|应|许|准|允许|要)(?!不|或缺|分割) | 禁止 | 严禁
        | 切勿 | 请勿 | [绝决从]不 | 无权 | 不当行为""",
    "excused": r"不必 | 无须 | 无需 | 不需要 | 不用",
    "aspired": r"努力 | 致力 | 力求 | 力争 | 旨在 | 争取 | 希望 | 追求 | 目的在于",
    "required": r"""必须 | 必需 | (?<![供反响适相效])应(?!有权|享有|用|对|邀|聘) | 务必 | 须
        | 需(?!要的|求) | 义务 | 要求(?!的) | 责任 | 负责(?!人) | 保证(?!的) | 承诺 | 只有""",
    "permitted": r"""有权 | 有[^,，。;；]{0,40}?权利 | 有资格 | 享有 | 享受 | 可以
        | 可(?![能是靠见致查]) | 得有 | 允许 | 准许 | 有\w*的?自由""",
}

_JAPANESE = {
    "forbidden": r"""(?:て|で)は(?:なら(?:ない|ず|ぬ)|なりません|いけ(?:ない|ません))
        | べき(?:では|で)(?:ない|ありません) | 禁止(?!事項) | 禁じ | できな[いく] | できません
        | (?:する|ある|れる|られる)ことは(?:ない|ありません) | 違反(?:となり|です|である)
        | (?:決して|一切).*(?:ない|ません|ず)""",
    "excused": r"(?:必要|義務)は(?:ない|ありません) | なくて(?:も)?(?:よい|いい|構わない)",
    "aspired": r"目指[しす] | 努め | 努力[しす] | 取り組んで | 望[みむん] | 心がけ",
    "required": r"""(?:なけれ|ね)ば(?:なら|なり)(?:ない|ず|ぬ|ません)? | なくては(?:なら|いけ)\w*
        | べき | ものと(?:する|し|します) | 必要が(?:ある|あり) | 求め(?:る|ます|られ)
        | 義務(?!教育) | 責任を負(?:う(?!可能性)|い) | 期待し | (?:て|で)ください | 必須""",
    "permitted": r"""権利 | ことができ | できる | できます
        | ても?(?:よい|いい|構わない|かまわない) | 許可さ | 認め(?:る|られ) | 自由に""",
}

_SPACED: Mapping[str, Mapping[str, str]] = {
    "en": _ENGLISH,
    "fr": _FRENCH,
    "es": _SPANISH,
    "de": _GERMAN,
}
_PREFIXED: Mapping[str, Mapping[str, str]] = {"ar": _ARABIC}
"""Words that "and" and "so" are written onto."""
_UNSPACED: Mapping[str, Mapping[str, str]] = {"zh": _CHINESE, "ja": _JAPANESE}
_VERB_LAST = {"ja"}


_POLARITY: Mapping[str, Polarity] = {
    "forbidden": "forbidden",
    "excused": "permitted",
    "aspired": "aspired to",
    "required": "required",
    "permitted": "permitted",
}


def _compiled(words: Mapping[str, str], before: str, after: str) -> re.Pattern[str]:
    kinds = "|".join(f"(?P<{kind}>{words[kind]})" for kind in _POLARITY if kind in words)
    return re.compile(f"{before}(?:{kinds}){after}", re.IGNORECASE | re.VERBOSE)


_DUTY = {
    **{code: _compiled(words, r"\b", r"\b") for code, words in _SPACED.items()},
    **{code: _compiled(words, r"\b[وف]?", r"\b") for code, words in _PREFIXED.items()},
    **{code: _compiled(words, "", "") for code, words in _UNSPACED.items()},
}


def plain_duty(sentence: str, language: str) -> Polarity | None:
    """The polarity of the first plain word of duty in a sentence, where it has one.

    `language` is an ISO 639-1 code; a language without a list has no plain words.
    """
    found = duties(sentence, language)
    return found[-1 if language in _VERB_LAST else 0] if found else None


def duties(sentence: str, language: str) -> list[Polarity]:
    """The polarities of all plain words of duty in a sentence, in their order."""
    pattern = _DUTY.get(language)
    found = pattern.finditer(_plain(sentence)) if pattern else ()
    return [_POLARITY[str(match.lastgroup)] for match in found]


def act(sentence: str, language: str) -> str:
    """A sentence without its words of duty: what "must", "must not" and "may" are said of.

    The whole sentence where nothing is left.
    """
    pattern = _DUTY.get(language)
    rest = pattern.sub(" ", _plain(sentence)) if pattern else sentence
    return " ".join(rest.split()) if re.search(r"\w", rest) else sentence


def _plain(sentence: str) -> str:
    return MARKS.sub("", sentence)
