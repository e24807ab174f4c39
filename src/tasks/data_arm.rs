//! Data arms for supervised fine-tuning: the same problems with different responses.
//!
//! All but the last five arms answer the very same general-points problems: document i of `no_cot` asks
//! what document i of `verified_cot` asks. So arms differ in what they teach, not in what they ask.
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

use super::attempts::Attempt;
use super::cards::{Deal, Rule};
use super::curriculum::{self, prompt};
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

    /// Document `index` of this arm under `seed`.
    pub fn document(self, seed: u64, index: u64) -> Document {
        let stream = |purpose: &str| Stream::new(seed, &format!("tasks/data/{purpose}"), &[index]);
        let (problem, response) = match self {
            Self::AllowedRequests => requests::draw(false, &mut stream("allowed_requests")),
            Self::Skills => Skill::draw_any(&mut stream("skills")),
            Self::Refusals => requests::draw(true, &mut stream("refusals")),
            Self::Curriculum => return curriculum::document(seed, index),
            Self::OtherDomain => {
                let (deal, trace) = solved(Rule::Numbers, &mut stream("other_domain"));
                (deal.problem(), written(&trace))
            }
            _ => {
                let (deal, trace) = solved(Rule::FacesTen, &mut stream("verified_cot"));
                (deal.problem(), self.response(&deal, trace, &mut stream("changes")))
            }
        };
        Document { prompt: prompt(&problem), response }
    }

    /// What this arm makes of a solver's trace.
    fn response(self, deal: &Deal, mut trace: Vec<Attempt>, stream: &mut Stream) -> String {
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
        written(&trace)
    }
}

/// A problem of the training side that the solver solves within its limit, and the trace.
fn solved(rule: Rule, stream: &mut Stream) -> (Deal, Vec<Attempt>) {
    loop {
        let deal = Deal::draw(rule, stream);
        if let Some(trace) = solver_trace(&deal, stream) {
            return (deal, trace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::verify;

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
