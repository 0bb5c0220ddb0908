"""The words that begin a part of a rule, by language; `adhere.parts` says what each key is."""

from collections.abc import Mapping

_GOAL = r"(?:ensure|make\ sure|help|protect|safeguard|guarantee|prevent|avoid|preserve|promote)"
_LEAVE = r"(?:approval|consent|permission|authori[sz]ation|leave|clearance|agreement)"
_FOLK = r"""(?:members?|employees?|staff|team|managers?|supervisors?|directors?|officers?
    |executives?|personnel|contractors?|consultants?|suppliers?|vendors?|partners?|customers?
    |clients?|guests?|visitors?|persons?|people|individuals?|users?|volunteers?|workers?
    |colleagues?|child|children|parents?|citizens?|m[ae]n|wom[ae]n|human\ beings?|committee|board
    |council|department|participants?|contributors?|maintainers?|moderators?|leaders?
    |organi[sz]ers?|administrators?|coach(?:es)?|captains?|masters?|crew|hands?|passengers?
    |nurses?|doctors?|patients?|teachers?|students?|players?|drivers?|owners?|tenants?
    |residents?|applicants?|candidates?|speakers?|attendees?|researchers?|developers?|operators?
    |agents?|assistants?|representatives?|trustees?|treasurers?|chair|president|judges?|states?)"""
_NOT_A_NAME = r"""(?!(?:if|when|where|while|because|since|that|although|though|as|for|in|on|at|of
    |to|by|from|with|without|unless|until|but|and|or|nor|not|only|no|even|so|how|why|what|who
    |which|whether|before|after|then|we|you|they|he|she|it|this|remember|believe|think|let|treat
    |make|help|please|tell|ask|see)\b)"""
_ONE = rf"""(?:we|you|everyone|everybody|anyone|anybody
    |(?:(?:all|every|each|any|the|an?|our|your|both|such)\ (?:{_NOT_A_NAME}(?!{_FOLK}\b)[\w-]+\ )?)?
    (?:{_NOT_A_NAME}(?-i:[A-Z])[\w'’-]*\ ){{0,3}}{_FOLK})\b"""
_ENGLISH_WHO = rf"""{_ONE}(?:\ (?:and|or)\ {_ONE})*
    (?:\ (?:of|in|at|on|from|who|whose|with|under|charged)\ [^,;:]{{1,80}}+)?"""
_PASSIVE = r"""(?:\ (?:not|never|also|only|always))*\ be\ (?:\w+ly\ )?(?:\w+ed|subject|given|held
    |kept|made|paid|told|sent|taken|done|seen|shown|left|put|set|built|brought|bought|chosen|found|heard
    |known|lent|lost|met|read|sold|taught|understood|written|bound|born
    |drawn|driven)\b"""

_SO_THAT = r"so\ that(?!\ [^,;:]*\b(?:might|could|was|were|had)\b)"
"""Else it tells an outcome and not a purpose."""
_ENGLISH_VERB = r"""must | be | shall | should | may | can | cannot | will | need\ not
    | (?:is|are)\ (?:not\ )?(?:expected|required|responsible|entitled|free|obliged|allowed)
    | (?:has|have)\ (?:the\ right|(?:an?\ |the\ )?(?:duty|duties|obligation|responsibility)|to)
    | prohibit\w* | forbid\w* | aims? | strives? | endeavou?rs? | want | wish"""
_ENGLISH = {
    "reason": rf"""(?<=,\ )because(?!\ of\b) | (?<=,\ ){_SO_THAT} | in\ order\ that
        | to\ the\ end\ that | lest | for\ the\ (?:simple\ )?reason\ that
        | (?<=,\ )(?:given\ that|inasmuch\ as)
        | (?<=,\ )since\ (?:it|we|they|there|this|these|those|you|no|such|many|most|all)""",
    "purpose": _SO_THAT,
    "cause": rf"""(?<!not\ )(?<!only\ )(?<!just\ )(?<!simply\ )(?<!merely\ )because(?!\ of\b)
        | in\ order\ to\ {_GOAL} | (?<=,\ )to\ {_GOAL}""",
    "opening": rf"""because | (?:in\ order\ )?to\ {_GOAL} | given\ (?:that|the|our)
        | in\ (?:view|light|recognition)\ of | in\ the\ interests?\ of
        | since\ (?:it|we|they|there|this|these|those|you|no|such|many|most|all)""",
    "exception": r"""unless | except(?:ing)? | with\ the\ exceptions?\ of
        | (?:(?<=,\ )|(?<=\()|\A)(?:save\ (?:for|where|when|as|in|with|that|by|to|if)|other\ than)
        """,
    "leave": rf"""without\ (?:[\w'’-]+\ ){{0,5}}?{_LEAVE} | without\ prior\ [\w-]+
        | in\ the\ absence\ of\ (?:[\w'’-]+\ ){{0,5}}?{_LEAVE}
        | (?<!none\ )(?<!no\ )(?<!rather\ )other\ than""",
    "stop": r"nor | in\ which\ case | even\ (?:if|when|though)",
    "and": r"and | but | so | then",
    "start": rf"""the | an? | all | any | each | every\w* | any(?:one|body) | no | nobody | nothing
        | we | you | they | he | she | it | this | that | these | those | our | your | their | its
        | such | both | some | only | never | there | with\ re(?:gard|spect)\ to
        | (?:(?-i:[A-Z])[\w-]*\ ){{0,2}}{_FOLK}""",
    "verb": _ENGLISH_VERB,
    "subject": rf"""(?:(?:[^;:]*:\ )|(?:however|additionally|furthermore|moreover|therefore|further
        |accordingly|likewise|finally|specifically|also|in|at|on|if|when\w*|where\w*|while|as|for
        |to|by|from|with|within|without|unless|except|save|because|since|after|before|during|upon
        |under|once|until|given|regardless)\b[^;:]*?,\ )?(?:no\ (?!one|person|body))?
        (?P<who>{_ENGLISH_WHO}(?:,\ (?:and\ |or\ )?{_ENGLISH_WHO})*)
        (?:,\ (?:upon|without|as|in|with|where|when|if|including|alone|either|at|on|during|after
        |before|unless|except|save|other\ than)\b[^;:]*,)?
        (?:\ (?:also|therefore|always|then|each|all|both))?""",
    "modal": rf"""(?:must|shall|should|may|can|cannot|need\ not|will\ (?:not|never)
        |(?:is|are)\ (?:not\ )?(?:expected|required|responsible|entitled|free|obliged|allowed)
        |(?:has|have)\ (?:the\ right|(?:an?\ |the\ )?(?:duty|duties|obligation|responsibility)|to)
        |aims?|strives?|endeavou?rs?|want|wish)\b(?!{_PASSIVE})""",
    "next": r"""This\ is\ (?:because|so\ that|(?:in\ order\ )?to)\b
        | The\ (?:purpose|reason|aim)\ (?:of|for)\ th(?:is|ese)\b""",
}

_FRENCH_GOAL = r"(?:assurer|garantir|protéger|préserver|éviter|prévenir|favoriser|sauvegarder)"
_FRENCH_ONE = r"""(?:nous|vous|chacune?|quiconque|(?:tou(?:te|s|tes|t)\ )?
    (?:(?:les?|la|nos|une?|des|chaque|notre)\ |l['’])?(?:personnes?|individus?|membres?|êtres?
    |employée?s?|salariée?s?|collaborat(?:eur|rice)s?|agents?|dirigeante?s?|responsables?
    |fournisseurs?|partenaires?|clients?|invitée?s?|visiteurs?|hommes?|femmes?|enfants?|parents
    |citoyens?|États|entraîneurs?|barreurs?|bénévoles?|participante?s?))"""
_FRENCH_VERB = r"""(?:ne\ |n['’])?(?:doit|doivent|devez|devons|devra|devront|peut|peuvent|pouvez
    |pouvons|pourra|pourront) | (?:a|ont|avez|avons)\ (?:(?:le|un)\ )?droit
    | (?:est|sont|êtes|sommes)\ (?:tenue?s?|libres?) | ser(?:a|ont) | est | sont"""
_FRENCH = {
    "reason": r"(?<=,\ )(?:parce\ qu\w*|car|puisqu\w*) | étant\ donné\ qu\w* | de\ peur\ qu\w*",
    "purpose": r"afin\ qu\w* | pour\ qu\w*",
    "cause": rf"parce\ qu\w* | (?:afin\ de|(?<=,\ )pour)\ {_FRENCH_GOAL}",
    "opening": rf"parce\ qu\w* | puisqu\w* | (?:afin\ de|pour)\ {_FRENCH_GOAL} | afin\ qu\w*",
    "exception": r"""à\ moins\ (?:qu\w*|de|d['’]) | (?<!et\ )sauf | excepté | hormis
        | à\ l['’]exception\ d\w+ | à\ l['’]exclusion\ d\w+""",
    "leave": r"""sans\ (?:\w+['’ ]){0,4}?(?:accord|autorisation|consentement|approbation
        |permission)""",
    "stop": r"ni | auquel\ cas | même\ si",
    "and": r"et | mais",
    "start": r"""les? | la | l['’]\w+ | une? | nul(?:le)? | personne | aucune? | tou\w+ | chaque
        | chacun | nous | vous | ils? | elles? | on | cette? | ces | nos | il""",
    "verb": _FRENCH_VERB,
    "subject": rf"""(?:(?:[^;:]*:\ )|(?:à|en|dans|pour|si|lorsqu\w*|quand|sauf|afin|toutefois
        |cependant)\b[^;:]*?,\ )?(?:aucune?\ )?(?P<who>{_FRENCH_ONE}(?:\ (?:et|ou)\ {_FRENCH_ONE})*
        (?:\ (?:d[eu]s?|d['’]|à|qui|accusée?)[^,;:]{{1,80}}+)?)
        (?:,\ (?:sans|en|dans|à|pendant|où|si)\b[^;:]*,)?""",
    "modal": r"""(?:(?:ne\ |n['’])?(?:doit|doivent|devez|devons|devra|devront|peut|peuvent|pouvez
        |pouvons|pourra|pourront)|(?:a|ont|avez|avons)\ (?:(?:le|un)\ )?droit
        |(?:est|sont|êtes|sommes)\ (?:tenue?s?|libres?))\b(?!(?:\ (?:pas|jamais|plus))*\ être\b)""",
    "next": r"C['’]est\ parce\ qu | (?:Le\ but|L['’]objectif)\ de\ cette\b",
}

_SPANISH_GOAL = r"(?:garantizar|asegurar|proteger|evitar|prevenir|preservar|promover|fomentar)"
_SPANISH_ONE = r"""(?:nosotr[oa]s|usted(?:es)?|(?:tod[oa]s?\ )?(?:(?:l[oa]s|el|la|cada|un[oa]?
    |nuestr[oa]s)\ )?(?:personas?|individuos?|miembros?|emplead[oa]s?|trabajador(?:es|as?)?
    |soci[oa]s?|director(?:es|as?)?|gerentes?|proveedor(?:es|as?)?|clientes?|invitad[oa]s?
    |visitantes?|hombres?|mujeres?|niñ[oa]s?|padres|ciudadan[oa]s?|Estados?|líderes
    |entrenador(?:es|as?)?|responsables?|voluntari[oa]s?|participantes?|administrador(?:es|as?)?))"""
_SPANISH_VERB = r"""(?:no\ )?(?:deb(?:e|en|erá|erán|emos)|pued(?:e|en)|podrán?|podemos)
    | (?:no\ )?tien(?:e|en)\ (?:\w+\ ){0,3}?(?:derechos?\b|que\b|la\ obligación) | será[n]? | se
        """
_SPANISH = {
    "reason": r"(?<=,\ )(?:porque|pues|ya\ que|puesto\ que|dado\ que)",
    "purpose": r"para\ que | a\ fin\ de\ que",
    "cause": rf"""(?<!no\ )(?<!sólo\ )(?<!solo\ )porque
        | (?:a\ fin|con\ el\ fin)\ de\ {_SPANISH_GOAL}
        | (?<=,\ )para\ {_SPANISH_GOAL}""",
    "opening": rf"""porque | ya\ que | puesto\ que | dado\ que
        | (?:a\ fin\ de|con\ el\ fin\ de|para)\ {_SPANISH_GOAL} | para\ que""",
    "exception": r"""a\ menos\ que | a\ no\ ser\ que | (?<!\ba\ )(?<!\by\ )salvo | excepto
        | con\ (?:la\ )?excepción\ de | a\ excepción\ de""",
    "leave": r"""sin\ (?:\w+\ ){0,4}?(?:consentimiento|autorización|permiso|aprobación)""",
    "stop": r"ni | en\ cuyo\ caso | aunque",
    "and": r"y | e | pero",
    "start": r"""el | l[oa]s? | un[oa]? | nadie | ningún | tod[oa]s? | cada | nosotr[oa]s | se | no
        | debe\w* | pued\w+ | est[aeo]\w*""",
    "verb": _SPANISH_VERB,
    "subject": rf"""(?:(?:[^;:]*:\ )|(?:en|para|si|cuando|con|salvo|sin|a|además|asimismo)\b[^;:]*?
        ,\ )?(?:ningún\ |ninguna\ )?(?P<who>{_SPANISH_ONE}(?:\ (?:[yeou])\ {_SPANISH_ONE})*
        (?:\ (?:del?|en|con|a|que|acusada?)\ [^,;:]{{1,80}}+)?)
        (?:,\ (?:sin|en|con|a|cuando|como|durante)\b[^;:]*,)?""",
    "modal": r"""(?:(?:no\ )?(?:deb(?:e|en|erá|erán|emos)|pued(?:e|en)|podrán?|podemos)
        |tien(?:e|en)\ (?:\w+\ ){0,3}?(?:derechos?\b|que\b|la\ obligación))\b
        (?!(?:\ \w+)?\ ser\b)""",
    "next": r"Esto\ es\ (?:porque|para)\b | (?:El\ propósito|El\ objetivo)\ de\ esta\b",
}

_GERMAN_LEAVE = r"(?:Zustimmung|Genehmigung|Einwilligung|Erlaubnis|Einverständnis)"
_GERMAN_ONE = r"""(?:wir|sie|ihr|jede[rsm]?|jedermann|alle|(?:(?:alle|jede[rs]?|die|der|das|eine?
    |unsere?)\ )?(?:Personen?|Mensch(?:en)?|Mitglied(?:er)?|Mitarbeiter(?:innen|in)?|Beschäftigten?
    |Angestellten?|Führungskräfte|Lieferant(?:en)?|Partner|Kunden?|Gäste|Gast|Besucher|Trainer(?:in)?
    |Kind(?:er)?|Eltern|Staaten|Bürger|Männer|Frauen|Vorstand))"""
_GERMAN_VERB = r"""muss | müssen | darf | dürfen | soll(?:en|te|ten)? | kann | können
    | (?:hat|haben)\ (?:das\ )?(?:Recht|Anspruch) | (?:ist|sind)\ verpflichtet | ist | sind"""
_GERMAN = {
    "reason": r"(?<=,\ )(?:weil|denn|damit|da\ (?:er|sie|es|wir|dies\w*|die|der|das)\b)",
    "purpose": r"(?!)",
    "cause": r"(?<=,\ )um\ (?=[^,;:]*\ (?:zu\ (?:schützen|gewährleisten|vermeiden|verhindern|"
    r"wahren|fördern)|sicherzustellen))",
    "opening": r"weil | damit | um\ (?=[^,;:]*\ (?:zu\ (?:schützen|gewährleisten|vermeiden"
    r"|verhindern|wahren|fördern)|sicherzustellen))",
    "exception": r"""es\ sei\ denn | außer(?!\ (?:Kraft|Acht|Betrieb|Dienst|sich|dem|Frage|Haus\w*))
        | ausgenommen | sofern\ nicht | mit\ Ausnahme""",
    "leave": rf"ohne\ (?:\w+\ ){{0,3}}?{_GERMAN_LEAVE}",
    "stop": r"noch | in\ diesem\ Fall | auch\ wenn",
    "and": r"und | aber",
    "start": r"""muss | müssen | darf | dürfen | soll\w* | kann | können | ist | sind | hat | haben
        | gilt""",
    "verb": _GERMAN_VERB,
    "subject": rf"""(?:[^;:]*:\ )?(?:kein(?:e|er)?\ )?
        (?P<who>{_GERMAN_ONE}(?:\ (?:und|oder)\ {_GERMAN_ONE})*
        (?:\ (?:des|der|von|mit|in|im|aus)\ [^,;:]{{1,60}}+)?)""",
    "modal": r"""(?:muss|müssen|darf|dürfen|soll(?:en|te|ten)?|kann|können
        |(?:hat|haben)\ (?:das\ )?(?:Recht|Anspruch)|(?:ist|sind)\ verpflichtet)\b
        (?!.*\b(?:werden|worden)\b)""",
    "next": r"Das\ ist\ so,\ weil\b | (?:Der\ Zweck|Das\ Ziel)\ dieser\b",
}

_ARABIC = {
    "reason": r"(?<=،\ )لأن\w* | (?<=،\ )وذلك\ لأن\w*",
    "purpose": r"لكي | كيلا | لكيلا",
    "cause": r"لأن\w* | بغية | من\ أجل\ (?:ضمان|حماية)",
    "opening": r"من\ أجل\ (?:ضمان|حماية) | لضمان | لحماية",
    "exception": r"إلا(?!\ أن(?:\s|ه|ها)) | ما\ لم | باستثناء | ما\ عدا | فيما\ عدا | سوى",
    "leave": r"(?:دون|بدون|بغير)\ (?:\w+\ ){0,2}?(?:موافقة|موافقته|إذن|إذنه|رضا|رضاه)",
    "stop": r"(?!)",
    "and": r"و\w+",
    "start": r"يجب | يجوز | على | ل\w+ | لا | ينبغي | يحق",
    "verb": r"[يت]جب | [يت]جوز | ينبغي | يحق | [يت]مكن | (?:ال)?حق | لا | ليس",
    "subject": r"""(?:(?:(?:.*\ )?(?:[يت]جب|ينبغي|[يت]تعين)\ |[وف]?)على[ ]
        |(?:.*(?:يحق|يجوز)\ |[وف]?)ل)
        (?P<who>(?:كل|جميع|أي)\ (?:شخص|فرد|إنسان|عضو|الأعضاء|الناس|موظف|الموظفين|مواطن|مدرب
        |ضيف|طفل))""",
    "modal": r"\ ",
    "next": r"وذلك\ لأن",
}

_TO_COMMA = "[^，,。；;]"
_CHINESE = {
    "reason": rf"(?<=[，,。；;])因为{_TO_COMMA}+ | (?<=[，,])以免(?!受){_TO_COMMA}+",
    "purpose": rf"(?<=[，,])以(?:便|确保|保护|保障|维护|防止|避免){_TO_COMMA}+",
    "cause": r"(?!)",
    "opening": rf"""因为{_TO_COMMA}+(?=[，,]) | 由于{_TO_COMMA}+(?=[，,])
        | 为了?(?:确保|保护|保障|维护|防止|避免|促进){_TO_COMMA}+(?=[，,])""",
    "exception": rf"""除非{_TO_COMMA}+
        | (?!除此)除了?[^，,。；;除]{{2,40}}?(?:之外|以外|外)(?=[，,])(?!.*[还也亦并])""",
    "leave": rf"未经{_TO_COMMA}{{1,30}}?(?:同意|许可|批准|授权|允许)",
    "subject": r"""(?:[^。；;]*?[，,：:])?(?P<who>人人|任何人|每个?人|我们|您|你们?
        |(?:所有|全体|每[个位名]|任何)?(?:成员|员工|会员|职员|雇员|教练|客人|供应商|经理|主管|参与者
        |贡献者|(?:项目|社区)?(?:维护者|管理者|负责人)|管理员))(?:都|均|也|皆|一律)?""",
    "modal": rf"""(?:有权|必须|应当?|须|不得|不应|不能|可以|享有|有义务|有责任|需要?
        |有{_TO_COMMA}{{0,20}}?权利)(?!.{{0,4}}[被遭]|受|加以|迫?使(?!用))""",
    "next": r"这是因为 | 这是为了",
}

_JAPANESE = {
    "reason": r"""(?:\A|(?<=[、。]))[^、。は]+(?:ので|(?:守る|防ぐ|避ける|保つ
        |(?:確保|保護|防止|促進|維持)する)ため(?:に)?)(?=、)""",
    "purpose": r"(?!)",
    "cause": r"(?!)",
    "opening": r"(?!)",
    "exception": r"""(?:\A|(?<=[、。は]))[^、。は]+を除(?:き|いて)(?=、)
        | (?:\A|(?<=[、。は]))[^、。は]+(?:ない|ぬ)限り""",
    "leave": r"""(?:\A|(?<=[、。は]))[^、。は]*?(?:許可|承認|同意|承諾)
        (?:を得(?:ず|ない)|な(?:し|く))(?:に|して|で)?""",
    "subject": r"""(?:[^。]*?、)?(?P<who>[^、。は]{0,25}?(?:人|者|会員|社員|従業員|職員|メンバー
        |役員|取締役|管理職|パートナー|サプライヤー|取引先|客|コーチ|参加者|貢献者|私たち|我々))""",
    "modal": r"""は(?!.*(?:され|られ|れてはなら|れない))(?=.*(?:なければ|ならない|なりません|べき
        |ものとする|ことができ|権利|禁止|必要が|いけ|てください|求め))""",
    "next": r"これは.*ため(?:である|です) | なぜなら",
}

SPACED: Mapping[str, Mapping[str, str]] = {
    "en": _ENGLISH,
    "fr": _FRENCH,
    "es": _SPANISH,
    "de": _GERMAN,
    "ar": _ARABIC,
}
UNSPACED: Mapping[str, Mapping[str, str]] = {"zh": _CHINESE, "ja": _JAPANESE}

CONTACT: Mapping[str, str] = {
    "en": r"""\breport(?!s\ (?:directly\ )?to\b)\w*\b[^.;:]{0,80}?
        \bto\ (?:the|your|their|our|his|her|an?|any|(?-i:[A-Z]))
        | \b(?:contact|notify|inform|consult|alert|approach|speak\ (?:to|with)|talk\ (?:to|with)
        |turn\ to|reach\ out\ to|escalated?\ to|go\ to|tell|ask)
        \ (?:the|your|their|our|his|her|an?|any|one\ of)\ (?!truth|question|law\b)\w""",
    "fr": r"""\b(?:signal|avert|préven|inform|contact|consult|adress|rapport|parl)\w*\b[^.;:]{0,60}?
        \ (?:(?:à|au|aux|le|la|son|sa|votre|leur|notre|un|une)\ |l['’])
        (?:responsable|supérieur|hiérarchie|direction|comité|service|référent|conseil|équipe)""",
    "es": r"""\b(?:inform|avis|notific|contact|consult|denunci|dirig|comuni|report|habl)\w*\b
        [^.;:]{0,60}?\ (?:al?|con|con\ el)\ (?:(?:la|los|las|el|su|un|una)\ )?
        (?:responsable|superior|jef|direcci|comité|departamento|consejo|equipo|supervisor)""",
    "de": r"""\b(?:meld|informier|wend|benachrichtig|kontaktier|frag|sprech)\w*\b[^.;:]{0,60}?
        (?:Vorgesetzt|Führungskr|Abteilung|Ombuds|Leitung|Vorstand|Ausschuss|Team|Vertrauens)""",
    "ar": r"""(?:إبلاغ|ابلاغ|[أيت]بلغ|الاتصال\ ب|إخطار|استشارة|الرجوع\ إلى)\w*""",
    "zh": r"""向[^,，。；;]{1,20}?(?:报告|举报|汇报|反映|咨询|求助)
        | (?:联系|告知|通知|咨询)(?:您|你|其|我们)""",
    "ja": r"""[^、。]{1,20}?(?:に|へ)(?:報告|相談|連絡|通報|通知|問い合わせ)""",
}
"""Who is to be told, asked or turned to: what the question "whom do I tell?" needs."""
