//! The languages that stories are told in: sentences with slots, names and things.

use super::{Plan, Step};

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::tasks) enum Language {
    English,
    German,
    Hindi,
    Swahili,
}

/// How a plan is told.
#[derive(Clone, Copy)]
pub(super) struct Story {
    /// Which pair of names.
    pub(super) names: usize,
    /// Which place and thing.
    pub(super) context: usize,
    pub(super) question_first: bool,
    /// The number in a sentence that does not matter.
    pub(super) irrelevant: Option<i64>,
}

/// The sentences of a language. The slots are {place}, {name}, {other}, {item} and {n}.
struct Sentences {
    /// Who acts, and who receives.
    names: [(&'static str, &'static str); 6],
    /// Places, and things of which there are many.
    contexts: [(&'static str, &'static str); 4],
    start: &'static str,
    get: &'static str,
    give: &'static str,
    times: &'static str,
    share: &'static str,
    question: &'static str,
    irrelevant: &'static str,
    close: &'static str,
}

const ENGLISH: Sentences = Sentences {
    names: [
        ("Anna", "Ben"),
        ("Clara", "David"),
        ("Emma", "Felix"),
        ("Grace", "Henry"),
        ("Ivy", "Jack"),
        ("Kate", "Leo"),
    ],
    contexts: [
        ("At the market", "apples"),
        ("On the farm", "eggs"),
        ("In the museum", "coins"),
        ("In the kitchen", "bananas"),
    ],
    start: "{place}, {name} has {n} {item}.",
    get: "{name} gets {n} more {item}.",
    give: "{name} gives {n} {item} to {other}.",
    times: "After that, {name} has {n} times as many {item} as before.",
    share: "{name} shares all {item} out into {n} equal heaps and keeps one heap.",
    question: "How many {item} does {name} have in the end?",
    irrelevant: "{other} owns {n} books.",
    close: "Work step by step, and end with the number in a box, as in \\boxed{7}.",
};

const GERMAN: Sentences = Sentences {
    names: [
        ("Anna", "Ben"),
        ("Clara", "Jonas"),
        ("Greta", "Felix"),
        ("Heike", "Otto"),
        ("Ida", "Karl"),
        ("Lena", "Max"),
    ],
    contexts: [
        ("Auf dem Markt", "Äpfel"),
        ("Auf dem Hof", "Eier"),
        ("Im Museum", "Münzen"),
        ("In der Küche", "Bananen"),
    ],
    start: "{place} hat {name} {n} {item}.",
    get: "{name} bekommt {n} {item} dazu.",
    give: "{name} gibt {other} {n} {item} ab.",
    times: "Danach hat {name} {n}-mal so viele {item} wie zuvor.",
    share: "{name} teilt alle {item} in {n} gleich große Haufen und behält einen Haufen.",
    question: "Wie viele {item} hat {name} am Ende?",
    irrelevant: "{other} besitzt {n} Bücher.",
    close: "Rechne Schritt für Schritt, und beende die Antwort mit der Zahl in einem Kasten, wie in \\boxed{7}.",
};

const HINDI: Sentences = Sentences {
    names: [
        ("राम", "सीता"),
        ("मोहन", "गीता"),
        ("अमित", "नेहा"),
        ("रवि", "प्रिया"),
        ("सुरेश", "मीना"),
        ("विजय", "रेखा"),
    ],
    contexts: [("बाज़ार में", "सेब"), ("खेत पर", "अंडे"), ("संग्रहालय में", "सिक्के"), ("रसोई में", "केले")],
    start: "{place} {name} के पास {n} {item} हैं।",
    get: "{name} को {n} {item} और मिले।",
    give: "{name} ने {other} को {n} {item} दिए।",
    times: "इसके बाद {name} के पास पहले से {n} गुना {item} हो गए।",
    share: "{name} ने सब {item} {n} बराबर ढेरियों में बाँटे और एक ढेरी अपने पास रखी।",
    question: "अंत में {name} के पास कितने {item} हैं?",
    irrelevant: "{other} के पास {n} किताबें हैं।",
    close: "कदम दर कदम हल करो और अंत में संख्या को डिब्बे में लिखो, जैसे \\boxed{७}।",
};

const SWAHILI: Sentences = Sentences {
    names: [
        ("Juma", "Asha"),
        ("Hamisi", "Zawadi"),
        ("Baraka", "Neema"),
        ("Salim", "Rehema"),
        ("Musa", "Amina"),
        ("Daudi", "Subira"),
    ],
    contexts: [("Sokoni", "matofaa"), ("Shambani", "mayai"), ("Dukani", "machungwa"), ("Jikoni", "maembe")],
    start: "{place}, {name} ana {item} {n}.",
    get: "{name} anapata {item} {n} mengine.",
    give: "{name} anampa {other} {item} {n}.",
    times: "Baada ya hapo, {name} ana {item} mara {n} ya idadi ya awali.",
    share: "{name} anagawa {item} yote katika mafungu {n} yaliyo sawa na kubaki na fungu moja.",
    question: "Mwishoni {name} ana {item} mangapi?",
    irrelevant: "{other} ana vitabu {n}.",
    close: "Fanya hatua kwa hatua, na umalize kwa kuandika nambari ndani ya kisanduku, kama \\boxed{7}.",
};

impl Language {
    /// All of them.
    #[cfg(test)]
    pub(super) const ALL: [Self; 4] = [Self::English, Self::German, Self::Hindi, Self::Swahili];

    /// Its code, as in names of suites.
    pub(in crate::tasks) fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::Hindi => "hi",
            Self::Swahili => "sw",
        }
    }

    fn sentences(self) -> &'static Sentences {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
            Self::Hindi => &HINDI,
            Self::Swahili => &SWAHILI,
        }
    }

    /// A number in the digits of the language.
    pub(super) fn digits(self, number: i64) -> String {
        let own = |letter: char| match (self, letter.to_digit(10)) {
            (Self::Hindi, Some(digit)) => char::from_u32(0x966 + digit).unwrap_or(letter),
            _ => letter,
        };
        number.to_string().chars().map(own).collect()
    }
}

/// A plan as a story with its question.
pub(super) fn told(language: Language, plan: &Plan, story: Story) -> String {
    let say = language.sentences();
    let (name, other) = say.names[story.names % say.names.len()];
    let (place, item) = say.contexts[story.context % say.contexts.len()];
    let fill = |sentence: &str, number: i64| {
        sentence
            .replace("{place}", place)
            .replace("{name}", name)
            .replace("{other}", other)
            .replace("{item}", item)
            .replace("{n}", &language.digits(number))
    };
    let mut sentences = vec![fill(say.start, plan.start)];
    for step in &plan.steps {
        sentences.push(match step {
            Step::Get(n) => fill(say.get, *n),
            Step::Give(n) => fill(say.give, *n),
            Step::Times(n) => fill(say.times, *n),
            Step::Share(n) => fill(say.share, *n),
        });
    }
    if let Some(number) = story.irrelevant {
        sentences.insert(sentences.len() / 2 + 1, fill(say.irrelevant, number));
    }
    let question = fill(say.question, 0);
    let place = if story.question_first { 0 } else { sentences.len() };
    sentences.insert(place, question);
    sentences.push(say.close.to_owned());
    sentences.join(" ")
}
