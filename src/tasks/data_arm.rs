//! Data arms for supervised fine-tuning: the same problems with different responses.
//!
//! All but the last five arms answer the very same general-points problems: document i of `no_cot` asks
//! what document i of `verified_cot` asks, and what problem i of a rollout asks, see [`super::training_problems`]. So
//! arms differ in what they teach, not in what they ask. The other arms read their own suite's list in the same way.
//!
//! The arms are those of Ren et al. (arXiv 2604.06628) and the controls that others asked for:
//!
//! | name | response |
//! |---|---|
//! | `verified_cot` | solver trace with search and backtracking, final answer verified |
//! | `no_cot` | the same trace without the failed attempts: the answer alone |
//! | `short` | what a terse author would write: one fixed solution a problem, no search |
//! | `noisy:steps=F` | the trace; in a share F of attempts the intermediate result is wrong |
//! | `noisy:answers=F` | the trace; in a share F of documents it ends at a failed attempt, as if that were right |
//! | `shuffled` | the trace with its attempts in random order |
//! | `other_domain` | solver traces of countdown: the procedure without the task |
//! | `allowed_requests` | allowed requests, answered; no refusals |
//! | `skills` | the letter skills, answered: the other benign instructions |
//! | `refusals` | disallowed requests, refused: the safety examples that a mixture interleaves |
//! | `curriculum` | the base's own curriculum: training that is to change nothing |
//!
//! Behind a name stands how it is said, as `verified_cot:as=chat` (see [`super::Rendering`]): the same problems and attempts in
//! words, an attempt a line. The curriculum is said in symbols only.

use super::attempts::Attempt;
use super::built_in::BuiltIn;
use super::cards::{Deal, Rule};
use super::curriculum::{self, prompt};
use super::numbered;
use super::plain::{self, Item};
use super::problem::Document;
use super::requests;
use super::search::{miss, short_solution, solver_trace, written};
use super::skills::Skill;
use crate::error::{Error, Result, nearest};
use crate::rng::Stream;

/// One kind of training data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DataArm {
    /// Solver traces of general points with search and backtracking; the final answer is verified.
    VerifiedCot,
    /// The same traces without their failed attempts.
    NoCot,
    /// One fixed solution a problem.
    Short,
    /// The same traces, where a share of attempts has a wrong intermediate result.
    NoisySteps(f64),
    /// The same traces, where a share of documents ends at a failed attempt.
    NoisyAnswers(f64),
    /// The same traces with their attempts in random order.
    Shuffled,
    /// Solver traces of countdown.
    OtherDomain,
    /// Allowed requests, answered; no refusals.
    AllowedRequests,
    /// The letter skills, answered.
    Skills,
    /// Disallowed requests, refused.
    Refusals,
    /// The base's own curriculum.
    Curriculum,
}

const PLAIN: [(&str, DataArm); 9] = [
    ("verified_cot", DataArm::VerifiedCot),
    ("no_cot", DataArm::NoCot),
    ("short", DataArm::Short),
    ("shuffled", DataArm::Shuffled),
    ("other_domain", DataArm::OtherDomain),
    ("allowed_requests", DataArm::AllowedRequests),
    ("skills", DataArm::Skills),
    ("refusals", DataArm::Refusals),
    ("curriculum", DataArm::Curriculum),
];
const NOISY_STEPS: &str = "noisy:steps";
const NOISY_ANSWERS: &str = "noisy:answers";

impl DataArm {
    /// The arm called `name` in a study, as `verified_cot` or `noisy:steps=0.2`.
    ///
    /// # Errors
    /// If there is no such arm, or a share of noise is missing or not between 0 and 1.
    pub fn parse(name: &str) -> Result<Self> {
        if let Some((_, arm)) = PLAIN.into_iter().find(|(known, _)| *known == name) {
            return Ok(arm);
        }
        if name.split(':').next() == Some("noisy") {
            let (kind, share) = name.split_once('=').unwrap_or((name, ""));
            let share = share.parse().ok().filter(|share| (0.0..=1.0).contains(share));
            return match (kind, share) {
                (NOISY_STEPS, Some(share)) => Ok(Self::NoisySteps(share)),
                (NOISY_ANSWERS, Some(share)) => Ok(Self::NoisyAnswers(share)),
                _ => Err(Error::request(format!("expected a stated share of noise, found `{name}`"))
                    .hint("write `noisy:steps=0.2` (wrong steps) or `noisy:answers=0.2` (wrong answers)")),
            };
        }
        let names = || PLAIN.into_iter().map(|(name, _)| name).chain([NOISY_STEPS, NOISY_ANSWERS]);
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the data arms are {}", names().collect::<Vec<_>>().join(", ")),
        };
        Err(Error::request(format!("unknown data arm `{name}`")).hint(hint))
    }

    /// Its name in a study.
    pub fn name(self) -> String {
        match self {
            Self::NoisySteps(share) => format!("{NOISY_STEPS}={share}"),
            Self::NoisyAnswers(share) => format!("{NOISY_ANSWERS}={share}"),
            _ => PLAIN
                .into_iter()
                .find(|(_, arm)| *arm == self)
                .map_or_else(String::new, |(name, _)| name.to_owned()),
        }
    }

    /// Document `index` of this arm under `seed`, in symbols.
    pub fn document(self, seed: u64, index: u64) -> Document {
        let problem = |suite: &str| numbered::stream(seed, suite, index);
        let (problem, response) = match self {
            Self::AllowedRequests => requests::draw(false, &mut problem("allowed_requests")),
            Self::Skills => Skill::numbered(index).draw(false, &mut problem("skills")),
            Self::Refusals => requests::draw(true, &mut problem("refusal")),
            Self::Curriculum => return curriculum::document(seed, index),
            _ => {
                let (deal, trace) = self.trace(seed, index);
                (deal.problem(), written(&trace))
            }
        };
        Document::of_words(prompt(&problem), response)
    }

    /// Document `index` of this arm under `seed`, in plain language: what it asks and what it answers. `None` for the
    /// curriculum, which is said in symbols only.
    pub(super) fn item(self, seed: u64, index: u64) -> Option<Item> {
        match (self, self.task()?) {
            (Self::AllowedRequests | Self::Skills | Self::Refusals, task) => {
                Some(task.training_item(seed, index))
            }
            _ => {
                let (deal, trace) = self.trace(seed, index);
                Some(plain::deal(&deal, &trace))
            }
        }
    }

    /// The task whose problems it answers.
    pub(super) fn task(self) -> Option<BuiltIn> {
        match self {
            Self::AllowedRequests => Some(BuiltIn::Requests { disallowed: false }),
            Self::Refusals => Some(BuiltIn::Requests { disallowed: true }),
            Self::Skills => Some(BuiltIn::Skills),
            Self::OtherDomain => Some(BuiltIn::Cards(Rule::Numbers)),
            Self::Curriculum => None,
            _ => Some(BuiltIn::Cards(Rule::FacesTen)),
        }
    }

    /// A card problem and the attempts that answer it.
    fn trace(self, seed: u64, index: u64) -> (Deal, Vec<Attempt>) {
        let stream = |purpose: &str| Stream::new(seed, &format!("tasks/data/{purpose}"), &[index]);
        let problem = |suite: &str| numbered::stream(seed, suite, index);
        match self {
            Self::OtherDomain => {
                let deal = Deal::draw(Rule::Numbers, &mut problem("countdown"));
                (deal, solved(&deal, &mut stream("traces")))
            }
            _ => {
                let deal = Deal::draw(Rule::FacesTen, &mut problem("general_points"));
                let trace = solved(&deal, &mut stream("traces"));
                (deal, self.changed(&deal, trace, &mut stream("changes")))
            }
        }
    }

    /// What this arm makes of a solver's trace.
    fn changed(self, deal: &Deal, mut trace: Vec<Attempt>, stream: &mut Stream) -> Vec<Attempt> {
        match self {
            Self::NoCot => trace = trace.split_off(trace.len().saturating_sub(1)),
            Self::Short => trace = short_solution(deal).into_iter().collect(),
            Self::Shuffled => stream.shuffle(&mut trace),
            Self::NoisyAnswers(share) if stream.uniform_f64() < share => {
                trace.pop();
                // A trace that hit at once has no failed attempt to end at.
                if trace.is_empty() {
                    trace.extend(miss(deal, stream));
                }
            }
            Self::NoisySteps(share) => {
                for attempt in &mut trace {
                    if stream.uniform_f64() < share {
                        attempt.spoil(stream);
                    }
                }
            }
            _ => {}
        }
        trace
    }
}

/// The solver's first trace that solves the problem within its limit. There is one, for a problem has a solution and
/// every attempt a chance; were another problem taken instead, arms and rollouts would not ask the same.
fn solved(deal: &Deal, stream: &mut Stream) -> Vec<Attempt> {
    loop {
        if let Some(trace) = solver_trace(deal, stream) {
            return trace;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::{Suite, training_problems, verify};

    const ALL: [&str; 8] = [
        "verified_cot",
        "no_cot",
        "short",
        "noisy:steps=0.25",
        "noisy:answers=0.25",
        "shuffled",
        "other_domain",
        "curriculum",
    ];

    fn judged(name: &str) -> (f64, f64, Vec<Document>) {
        let arm = DataArm::parse(name).unwrap();
        let documents: Vec<Document> = (0..4000).map(|index| arm.document(1, index)).collect();
        let (mut pass, mut attempts) = (0.0, 0.0);
        for document in &documents {
            let Some(deal) = Deal::read(&document.prompt) else { continue };
            let found = verify::search(deal.values(), None, deal.target, &document.response, false);
            pass += f64::from(u8::from(found.pass));
            attempts += found.attempts as f64;
        }
        (pass / 4000.0, attempts / 4000.0, documents)
    }

    #[test]
    fn arms_ask_the_same_problems_and_answer_them_each_in_its_way() {
        let (pass, attempts, traces) = judged("verified_cot");
        assert!(pass == 1.0 && attempts > 1.8, "{pass} {attempts}");
        let prompts = |documents: &[Document]| -> Vec<String> {
            documents.iter().map(|document| document.prompt.clone()).collect()
        };
        for (name, expected_pass, expected_attempts) in [
            ("no_cot", 1.0, 1.0),
            ("short", 1.0, 1.0),
            ("noisy:answers=0.25", 0.75, attempts - 0.12),
            ("noisy:steps=0.25", 0.75, attempts),
            ("shuffled", 0.70, attempts),
        ] {
            let (pass, found, documents) = judged(name);
            assert_eq!(prompts(&documents), prompts(&traces), "{name}");
            assert!((pass - expected_pass).abs() < 0.03, "{name}: pass {pass}");
            assert!((found - expected_attempts).abs() < 0.06, "{name}: attempts {found}");
        }
        let (pass, _, documents) = judged("other_domain");
        assert!(pass == 1.0 && documents.iter().all(|document| document.prompt.contains("count")));
    }

    /// What makes a comparison of methods one of methods: they are asked the same.
    #[test]
    fn arms_ask_what_rollouts_ask() {
        for (arm, suite) in [
            ("verified_cot", "general_points"),
            ("noisy:steps=0.25", "general_points"),
            ("other_domain", "countdown"),
            ("allowed_requests", "allowed_requests"),
            ("refusals", "refusal"),
            ("skills", "skills"),
        ] {
            let suite = Suite::parse(suite).unwrap();
            let asked: Vec<String> =
                training_problems(&suite, 5, 90, 40).into_iter().map(|problem| problem.prompt).collect();
            let arm = DataArm::parse(arm).unwrap();
            let documents: Vec<String> = (90..130).map(|index| arm.document(5, index).prompt).collect();
            assert_eq!(asked, documents, "{}", arm.name());
        }
    }

    #[test]
    fn arms_know_their_names_and_noise_must_be_stated() {
        for name in ALL {
            assert_eq!(DataArm::parse(name).unwrap().name(), name);
        }
        for wrong in ["noisy", "noisy:steps", "noisy:steps=2", "noisy:words=0.1"] {
            let error = DataArm::parse(wrong).unwrap_err().to_string();
            assert!(error.contains("noisy:steps=0.2"), "{error}");
        }
        let error = DataArm::parse("verified_cots").unwrap_err().to_string();
        assert!(error.contains("did you mean `verified_cot`?"), "{error}");
    }
}
