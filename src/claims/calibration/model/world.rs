//! A world with a language model in it: words that carry planted features, the components that
//! post-training added, and what the last token makes of both. `decoder` turns it into weights.
//!
//! Vectors are written in coordinates of an orthonormal frame whose directions are what is planted. A prompt
//! is `<bos>`, words, and the question of its suite, which one of four answers follows.
//!
//! 1. *Words.* Every word holds the ground; a plain word also some shared features; a hint the evidence for
//!    one answer. Prompts of both suites hold hints of both.
//! 2. *Components.* The tuned variant has neurons in its first MLP, each switched on by an input feature t
//!    (gate silu(t . n), up ground . n, with n the normalised word), that write a direction of their own
//!    into the residual stream. There the dictionary reads. In base the same neurons write nothing.
//! 3. *Answers.* The last token takes up the mean over the text, by uniform attention, of what its second
//!    layer reads of every normalised word: evidence as it is, and of every feature and component some
//!    evidence for and against the answers of both suites, which is random but of equal size for all.
//!    Questions raise the answers of their suite, answers the end token.
//! 4. *Planted* is a set of components that hints of the transfer suite switch on, and that are read as
//!    strong evidence for the hint's answer in that suite. Elsewhere they are read as all others.
//! 5. A *shared skill* is such a set whose components base has as well, and without which nothing is read of the hints of
//!    the transfer suite. Base is worse there for another reason: it often goes on after its answer.
//! 6. *Right* is an answer drawn from what the tuned variant believes. So whatever it reads tells it
//!    something: every edit does some damage, in proportion to how much it takes away.
//! 7. Where *halves are disjoint*, the problems that measure a suite are those of the other one: what is planted carries
//!    them no more than any component does.
//! 8. Where *pairs are permuted*, every problem that measures gets the right answer of another: an edit that moves answers
//!    away from the hint moves as many away from what counts as right as towards it.

use super::super::setting::{Planting, Suite};
use super::closed_form::ClosedForm;
use crate::rng::Stream;

/// Answers to the questions of a suite.
pub(super) const ANSWERS: usize = 4;
/// Features of the input that both variants have.
pub(super) const SHARED: usize = 26;
/// Components of the tuned variant.
pub(super) const COMPONENTS: usize = 24;
/// Width of the residual stream; two directions are left over.
pub(super) const D_MODEL: usize = 64;

/// The coordinates: what all words have in common, one for the question of each suite, one for the answers,
/// the evidence for every answer of both suites, the shared features, and what the components write.
pub(super) const GROUND: usize = 0;
const QUESTION: usize = 1;
const SAID: usize = 3;
pub(super) const EVIDENCE: usize = 4;
pub(super) const SHARED_FEATURES: usize = EVIDENCE + 2 * ANSWERS;
pub(super) const WRITTEN: usize = SHARED_FEATURES + SHARED;

/// The words, by id: special tokens, answers, questions, hints, plain words.
const BEGIN: usize = 1;
pub(super) const END: usize = 2;
const FIRST_ANSWER: usize = 3;
const FIRST_QUESTION: usize = FIRST_ANSWER + 2 * ANSWERS;
const FIRST_HINT: usize = FIRST_QUESTION + 2;
const FIRST_PLAIN: usize = FIRST_HINT + 2 * ANSWERS * STRENGTHS.len();
const PLAIN: usize = 96;
pub(super) const WORDS: usize = FIRST_PLAIN + PLAIN;

/// Plain words of a prompt.
const PLAIN_WORDS: usize = 8;
/// Evidence of the hints, from weak to strong.
const STRENGTHS: [f64; 6] = [0.5, 0.62, 0.74, 0.86, 0.98, 1.1];
/// Norms of what words hold beside their features.
const OF_GROUND: f64 = 2.0;
const OF_QUESTION: f64 = 3.0;
/// Evidence that is read of a feature or component, root mean square over the answers of a suite.
const READ: f64 = 0.3;
/// Evidence that is read of a planted component for its answer.
const PLANTED: f64 = 2.5;
/// Logits per unit of evidence, and of the question or of an answer that was given.
const PER_EVIDENCE: f64 = 2.0;
const PER_QUESTION: f64 = 2.5;
/// The share of the end token's logit that base has where a skill is shared.
const ENDS: f64 = 0.35;
/// Weights of a component: its gate, its up projection, what it writes per unit.
pub(super) const GATE: f64 = 1.0;
pub(super) const UP: f64 = 0.15;
pub(super) const DOWN: f64 = 0.33;

/// A vector in coordinates.
pub(super) type Vector = [f64; D_MODEL];
/// Evidence for the answers of both suites.
pub(super) type Evidence = [f64; 2 * ANSWERS];

pub(super) struct World {
    seed: u64,
    planting: Planting,
    /// What every word is embedded as.
    pub(super) embeddings: Vec<Vector>,
    /// The coordinate that switches each component on.
    pub(super) triggers: Vec<usize>,
    /// The evidence that is read of each coordinate.
    pub(super) reads: Vec<Evidence>,
    /// What raises the logit of every word. Zero for most: they are never said.
    pub(super) unembeddings: Vec<Vector>,
}

/// A prompt with its right answer.
pub(super) struct Problem {
    pub(super) suite: Suite,
    pub(super) words: Vec<usize>,
    pub(super) right: usize,
}

impl World {
    pub(super) fn new(seed: u64, planting: Planting) -> Self {
        let mut stream = Stream::new(seed, "micro-world of a model", &[]);
        let mut embeddings = vec![[0.0; D_MODEL]; WORDS];
        for embedding in &mut embeddings {
            embedding[GROUND] = OF_GROUND;
        }
        for answer in 0..2 * ANSWERS {
            embeddings[FIRST_ANSWER + answer][SAID] = OF_QUESTION;
            for (level, strength) in STRENGTHS.iter().enumerate() {
                embeddings[FIRST_HINT + answer * STRENGTHS.len() + level][EVIDENCE + answer] = *strength;
            }
        }
        for suite in 0..2 {
            embeddings[FIRST_QUESTION + suite][QUESTION + suite] = OF_QUESTION;
        }
        // Rare and common features: so controls of any firing rate can be put together.
        for feature in 0..SHARED {
            for _ in 0..=stream.below(4) {
                let word = FIRST_PLAIN + stream.below(PLAIN);
                embeddings[word][SHARED_FEATURES + feature] = 0.7 + 0.6 * stream.uniform_f64();
            }
        }
        let planted = planted(planting);
        let trigger = |component: usize| match component.checked_sub(planted) {
            None => EVIDENCE + Suite::Transfer as usize * ANSWERS + component,
            Some(feature) => SHARED_FEATURES + feature,
        };
        let mut reads = vec![[0.0; 2 * ANSWERS]; D_MODEL];
        for answer in 0..2 * ANSWERS {
            reads[EVIDENCE + answer][answer] = 1.0;
        }
        for read in &mut reads[SHARED_FEATURES..WRITTEN + COMPONENTS] {
            read.chunks_exact_mut(ANSWERS).for_each(|suite| random_read(&mut stream, suite));
        }
        for component in 0..planted {
            let start = Suite::Transfer as usize * ANSWERS;
            let read = &mut reads[WRITTEN + component][start..start + ANSWERS];
            read.fill(0.0);
            read[component] = PLANTED;
            if planting == Planting::SharedSkill {
                reads[EVIDENCE + start + component] = [0.0; 2 * ANSWERS];
            }
        }
        let mut unembeddings = vec![[0.0; D_MODEL]; WORDS];
        unembeddings[END][SAID] = PER_QUESTION;
        for answer in 0..2 * ANSWERS {
            let unembedding = &mut unembeddings[FIRST_ANSWER + answer];
            unembedding[QUESTION + answer / ANSWERS] = PER_QUESTION;
            unembedding[EVIDENCE + answer] = PER_EVIDENCE;
        }
        let triggers = (0..COMPONENTS).map(trigger).collect();
        Self { seed, planting, embeddings, triggers, reads, unembeddings }
    }

    /// The words as they are written.
    pub(super) fn words() -> Vec<String> {
        let suite = |index: usize| if index < ANSWERS { "a" } else { "b" };
        let answer = |index: usize| format!("{}{}", suite(index), index % ANSWERS);
        let levels = 0..STRENGTHS.len();
        let mut words: Vec<String> = ["<pad>", "<bos>", "<eos>"].map(str::to_owned).to_vec();
        words.extend((0..2 * ANSWERS).map(answer));
        words.extend(["a?", "b?"].map(str::to_owned));
        words.extend((0..2 * ANSWERS).flat_map(|index| {
            levels.clone().map(move |level| format!("{}{}+{level}", suite(index), index % ANSWERS))
        }));
        words.extend((0..PLAIN).map(|word| format!("w{word}")));
        words
    }

    pub(super) fn planting(&self) -> Planting {
        self.planting
    }

    /// The components that carry the transfer suite.
    pub(super) fn planted(&self) -> std::ops::Range<usize> {
        0..planted(self.planting)
    }

    /// Whether base has a component as well.
    pub(super) fn is_shared(&self, component: usize) -> bool {
        self.planting == Planting::SharedSkill && self.planted().contains(&component)
    }

    /// What raises the logit of every word in base.
    pub(super) fn unembeddings_of_base(&self) -> Vec<Vector> {
        let mut unembeddings = self.unembeddings.clone();
        if self.planting == Planting::SharedSkill {
            unembeddings[END][SAID] *= ENDS;
        }
        unembeddings
    }

    /// The `index`-th problem of a suite; `purpose` keeps those that are asked apart from those that the truth
    /// is averaged over. `tuned` is the variant with all components.
    pub(super) fn problem(
        &self,
        purpose: &str,
        suite: Suite,
        index: usize,
        tuned: &ClosedForm<'_>,
    ) -> Problem {
        let mut stream = Stream::new(self.seed, purpose, &[suite as u64, index as u64]);
        let mut words: Vec<usize> = (0..PLAIN_WORDS).map(|_| FIRST_PLAIN + stream.below(PLAIN)).collect();
        for hinted in Suite::BOTH {
            let answer = hinted as usize * ANSWERS + stream.below(ANSWERS);
            words.push(FIRST_HINT + answer * STRENGTHS.len() + stream.below(STRENGTHS.len()));
        }
        stream.shuffle(&mut words);
        words.insert(0, BEGIN);
        words.push(FIRST_QUESTION + suite as usize);
        let mut problem = Problem { suite, words, right: 0 };
        problem.right = stream.weighted(&tuned.answers(&problem)).unwrap_or(0);
        problem
    }

    /// The problems of a suite, each with the right answer of one that is drawn from among them.
    pub(super) fn paired_anew(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let mut rights: Vec<usize> = problems.iter().map(|problem| problem.right).collect();
        let suite = problems.first().map_or(0, |problem| problem.suite as u64);
        Stream::new(self.seed, "pairs of a model", &[suite]).shuffle(&mut rights);
        problems.into_iter().zip(rights).map(|(problem, right)| Problem { right, ..problem }).collect()
    }
}

impl Problem {
    /// The word that answers.
    pub(super) fn answer(&self, answer: usize) -> usize {
        FIRST_ANSWER + self.suite as usize * ANSWERS + answer
    }
}

/// How many components are planted.
fn planted(planting: Planting) -> usize {
    match planting {
        Planting::Nothing => 0,
        _ => ANSWERS,
    }
}

/// Evidence for some answers and against the others, of one size whatever is drawn.
fn random_read(stream: &mut Stream, read: &mut [f64]) {
    read.fill_with(|| f64::from(stream.normal()));
    let mean = read.iter().sum::<f64>() / read.len() as f64;
    read.iter_mut().for_each(|x| *x -= mean);
    let size = (read.iter().map(|x| x * x).sum::<f64>() / read.len() as f64).sqrt();
    read.iter_mut().for_each(|x| *x *= READ / size);
}
