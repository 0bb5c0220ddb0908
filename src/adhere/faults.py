"""What is wrong with a question or an answer by itself: the linters of curation.

What stands in the documents is never a fault: a hotline's number, a name, a word of theirs.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

PersonalData = Literal["e-mail address", "account or card number", "phone number"]

_LEANS: Mapping[str, str] = {
    "en": r"""\b(?:the|this|that)\ (?:text|passage|paragraph|sentence|excerpt|statement|above
        |following)\b | \b(?:this|the\ given)\ (?:rule|section|article|clause|document)\b
        | \baccording\ to\ the\b | \bthe\ rule\ (?:only|does(?:\ not|n't))\b""",
    "fr": r"""\b(?:ce|cet|cette|le\ présent|la\ présente)\ (?:texte|passage|paragraphe|phrase
        |extrait|énoncé|règle|article|clause|section|document)\b
        | \b(?:le|du|au)\ (?:texte|passage|paragraphe)\b
        | \bselon\ (?:le\ texte|la\ règle|l['’]article|le\ passage)\b
        | \bla\ règle\ ne\ (?:dit|parle|mentionne|précise)\b | \bci-dessus\b""",
    "es": r"""\b(?:este|esta|el\ presente|la\ presente)\ (?:texto|pasaje|párrafo|frase|fragmento
        |enunciado|regla|norma|artículo|cláusula|sección|documento)\b
        | \b(?:el|del|al)\ (?:texto|pasaje|párrafo)\b
        | \bsegún\ (?:el\ texto|la\ regla|la\ norma|el\ artículo|el\ pasaje)\b
        | \bla\ (?:regla|norma)\ (?:no|solo|sólo)\ (?:dice|habla|menciona|especifica)\b""",
    "de": r"""\b(?:diese[rsmn]?|der\ obige|die\ obige)\ (?:Text|Absatz|Abschnitt|Satz|Regel|Artikel
        |Klausel|Dokument)\b | \b(?:der|dem|im)\ Text\b | \blaut\ (?:Text|(?:der|dem)\ Regel)\b
        | \bdie\ Regel\ (?:sagt|erwähnt|spricht)\b""",
    "ar": r"""(?:هذا|هذه)\ (?:النص|الفقرة|القاعدة|البند|المقطع|العبارة|الوثيقة)
        | (?:وفقا?ً?|طبقا?ً?)\ (?:ل(?:لنص|لقاعدة|لفقرة)|لهذ[اه]\ ال\w+)
        | القاعدة\ (?:لا|لم)\ (?:تذكر|تقول|تنص)""",
    "zh": r"""(?:本|该|此|这段|这篇|上述|以上)(?:文本|段落|文字|句子|条文|规定|规则|条款)
        | (?:这|那)(?:条|项|一)(?:规定|规则|条款) | (?:上|前)文
        | 规定(?:里|中)?(?:没有|并未|未)(?:提|说|写)""",
    "ja": r"""(?:この|その|本|上記の)(?:規則|文章|条文|条項|文書|段落)
        | 規則(?:に|で)?は[^。]*(?:述べ|書かれ|触れ|言及)[^。]*(?:ない|ません)""",
}
"""By language: what speaks of a text that the reader does not have."""
_NEEDS_TEXT = re.compile("|".join(f"(?:{words})" for words in _LEANS.values()), re.I | re.X)
_OPENING = re.compile(r"\bSomeone (?:asks|gives|has|is|would|wants)\b[^.?!]*:", re.IGNORECASE)
_LABEL = re.compile(r"^([^\W\d_]{2,12})(?: ?[(（][^()（）]*[)）])?\s?[:：]", re.MULTILINE)
"""A worked example's line begins with one: `Rule (Charter, Article 4): ...`."""
_USUAL_LABELS = frozenset({"answer", "question", "rule", "text"})
"""A small teacher writes them in whatever language."""
_NAME = re.compile(r"(?=\b([A-Z][a-z]+ (?:of |the )*[A-Z][a-z]+)\b)")
"""Two capitalised words side by side; of a longer name, every two."""
_PLACE = re.compile(r"[(（]([^()（）,，،、{}]{3,})[,，،、]")
"""In whatever script: `(Charter of the Valley, Article 4)`."""
_MACHINE = re.compile(
    r"\bas an? (?:AI|artificial intelligence)\b|\blanguage model\b", re.IGNORECASE
)
_REFUSAL = re.compile(
    r"\bI(?:'m| am) (?:very |so |really )?sorry,? but I\b"
    r"|\bI(?: cannot| can't| can not| won't| will not|'m unable to|'m not able to"
    r"| am unable to| am not able to) (?:help|assist|answer|provide|fulfil|comply|discuss"
    r"|engage|respond|generate|offer|continue with|support (?:this|that|your))\b"
    r"|\blo siento, pero no puedo\b|\bdésolée?, mais je ne peux\b"
    r"|\btut mir leid, aber ich kann\b|抱歉，?(?:但)?我(?:不能|无法)|申し訳(?:あり|ござい)ませんが",
    re.IGNORECASE,
)
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_NUMBER = re.compile(r"(?<![\w.,+])[+(]{0,2}\d(?:[ ./()\u2010-\u2013-]{0,2}\d){6,18}(?![\w%])")
_NO_PHONE = re.compile(
    r"\d{1,3}(?:[ .,]000)+|\d{1,3}(?:[ .]\d{3})+"  # an amount
    r"|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}"  # a date
    r"|\d{4} ?[/\u2010-\u2013-] ?\d{4}"  # from year to year
    r"|[1-9]\d{6,8}|\d+0000"  # a plain number
)
_CARD_DIGITS = 13
"""The shortest card numbers, and longer than most telephone numbers (ISO/IEC 7812, E.164)."""
_FEWEST_WORDS = 3
_MOST_REPEATED = 0.4
"""Share of a text's word 3-grams that may be repetitions. Our choice, not measured."""


@dataclass(frozen=True, slots=True)
class Known:
    """What may stand in a row because it stands in the documents, and what may not."""

    text: str
    """Of all documents, in lower case."""
    scripts: frozenset[str]
    """Names of the documents' scripts."""
    names: frozenset[str] = frozenset()
    """The proper names of the prompts' worked examples that no document holds."""
    labels: frozenset[str] = _USUAL_LABELS
    """What the lines of the worked examples begin with, in lower case."""
    personal: frozenset[str] = frozenset()
    """The documents' e-mail addresses and numbers, as `_plain` writes them."""


def known(documents: Iterable[str], prompts: Iterable[str] = ()) -> Known:
    """What the texts of the documents and of the prompts say about rows made from them."""
    texts, shown = list(documents), list(prompts)
    text = "\n".join(texts).casefold()
    return Known(
        text=text,
        scripts=frozenset(script for one in texts for script in scripts(one)),
        names=frozenset(
            name
            for prompt in shown
            for name in (*_NAME.findall(prompt), *_PLACE.findall(prompt))
            if not _in(name, text)
        ),
        labels=_USUAL_LABELS.union(
            label.casefold() for one in shown for label in _LABEL.findall(one)
        ),
        personal=frozenset(_plain(found) for one in texts for _, found in _personal(one)),
    )


def fault(question: str, answer: str, known: Known) -> str | None:
    """What is wrong with a question and its answer by themselves, or None."""
    both = f"{question}\n{answer}"
    if needs_text(question) or _POINTS.search(question):
        return "question needs the text beside it"
    if needs_text(answer):
        return "answer speaks of the text"
    if _echoes(both, known):
        return "echo of the prompt"
    if any(not _in(found, known.text) for found in _MACHINE.findall(both)):
        return "speaks as a machine"
    if (refusal := _REFUSAL.search(_straight(answer))) and not _in(refusal[0], known.text):
        return "refusal"
    if found := next(iter(personal_data(both, known)), None):
        return f"personal data: {found[0]}"
    if min(_words(question), _words(answer)) < _FEWEST_WORDS:
        return "too short"
    if max(repetition(question), repetition(answer)) > _MOST_REPEATED:
        return "degenerate text"
    if not scripts(both) <= known.scripts:
        return "foreign script"
    if answer.strip().rstrip(".!?").casefold() in question.casefold():
        return "answer repeats the question"
    return None


_POINTS = re.compile(r"\b(?:this|these|such) (?:rights?|freedoms?|interference)\b", re.IGNORECASE)
"""A question that takes over from its clause what only the sentence before it explains."""


def needs_text(text: str) -> bool:
    """Whether it speaks of a text that its reader does not have, in one of our languages."""
    return bool(_NEEDS_TEXT.search(text))


def _echoes(text: str, known: Known) -> bool:
    if _OPENING.search(text) or any(_in(name, text.casefold()) for name in known.names):
        return True
    said = re.findall(r"([^\W\d_]+)\s?[:：]", text.casefold())
    # Without spaces a label has the end of the sentence before it on its front.
    return any(
        word in known.labels or (not word.isascii() and word.endswith(tuple(known.labels)))
        for word in said
    )


def personal_data(
    text: str, known: Known, *, allowed: bool = False
) -> list[tuple[PersonalData, str]]:
    """E-mail addresses, account, card and telephone numbers that no document holds.

    With `allowed`, those that a document does hold. By their form alone: an invented
    number is no less a number. Names of people are not looked for.
    """
    return [
        (kind, found)
        for kind, found in _personal(text)
        if (_plain(found) in known.personal) == allowed
    ]


def _personal(text: str) -> Iterator[tuple[PersonalData, str]]:
    for found in _EMAIL.findall(text):
        yield "e-mail address", found
    for found in _IBAN.findall(text):
        yield "account or card number", found
    for found in map(str.strip, _NUMBER.findall(_IBAN.sub(" ", text))):
        if len(re.findall(r"\d", found)) >= _CARD_DIGITS:
            yield "account or card number", found
        elif not _NO_PHONE.fullmatch(found):
            yield "phone number", found


def _plain(personal: str) -> str:
    """The same for every way of writing it: an address in lower case, a number's digits."""
    return personal.casefold() if "@" in personal else "".join(re.findall(r"[A-Z0-9]", personal))


def _in(words: str, text: str) -> bool:
    return words.casefold() in text


def _straight(text: str) -> str:
    return text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def repetition(text: str) -> float:
    """The share of word 3-grams (character 3-grams without spaces) that occurred before, 0 to 1."""
    units = text.casefold().split() if " " in text.strip() else list(text)
    grams = [tuple(units[place : place + 3]) for place in range(len(units) - 2)]
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def scripts(text: str) -> set[str]:
    """Names of the scripts of the letters that make up at least 2 % of the text."""
    letters = Counter(
        unicodedata.name(character, "UNKNOWN").split()[0]
        for character in text
        if character.isalpha()
    )
    return {script for script, count in letters.items() if count >= 0.02 * letters.total()}


def _words(text: str) -> int:
    """Words; for scripts without spaces, one for each two characters."""
    return max(len(text.split()), sum(map(_is_ideograph, text)) // 2)


def _is_ideograph(character: str) -> bool:
    return unicodedata.category(character) == "Lo"
