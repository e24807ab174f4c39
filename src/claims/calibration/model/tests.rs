//! The closed form against the decoder, plain and edited: the truth that intervals must cover is the model's.

use super::closed_form::ClosedForm;
use super::decoder::{Frame, VARIANTS, decoder, dictionary, hook};
use super::suites::{self, PROBLEMS};
use super::world::{ANSWERS, COMPONENTS, END, Problem, SHARED, World};
use super::{Method, Planting, Suite};
use crate::dictionaries::Dictionary;
use crate::experiments::{Condition, Readout, Start, source};
use crate::interventions::{CodeBank, Edit, Intervention, Reference, Writer};
use crate::model::{Gradients, Hooks, Model, TokenBatch};
use crate::tasks::Half;

const SEED: u64 = 5;

/// The prompt, one answer and the end.
fn text(problem: &Problem, answer: usize) -> Vec<u32> {
    let words = problem.words.iter().copied().chain([problem.answer(answer), END]);
    words.map(|word| word as u32).collect()
}

/// The probability of answer and end in hidden states of rows that are one problem's answers.
fn said(model: &Model, hidden: &candle_core::Tensor, problem: &Problem) -> [f64; ANSWERS] {
    let first = problem.words.len() - 1;
    std::array::from_fn(|answer| {
        let targets = [problem.answer(answer) as u32, END as u32];
        let found = model.token_log_probabilities(hidden, &[(answer, first), (answer, first + 1)], &targets);
        let log_p = found.unwrap().log_probabilities.to_vec1::<f32>().unwrap();
        log_p.into_iter().map(|x| f64::from(x).exp()).product()
    })
}

fn assert_close(found: [f64; ANSWERS], expected: [f64; ANSWERS]) {
    let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 1e-4, "{found:?} {expected:?}");
}

#[test]
fn the_closed_form_is_what_the_decoder_answers_plain_and_edited() {
    for planting in [Planting::Nothing, Planting::Transfer] {
        let world = World::new(SEED, planting);
        let frame = Frame::new(SEED);
        let models: Vec<(String, Model)> = VARIANTS
            .iter()
            .map(|name| ((*name).to_owned(), decoder(&world, &frame, *name == "tuned").unwrap()))
            .collect();
        let tuned = ClosedForm::new(&world, |_| true);
        let base = ClosedForm::new(&world, |_| false);
        let gone = |component: usize| component.is_multiple_of(3);
        let edited = ClosedForm::new(&world, |component| !gone(component));
        let readout = Readout::new(&models, Some(dictionary(&world, &frame).unwrap()), hook()).unwrap();
        let set: Vec<u32> =
            (0..COMPONENTS).filter(|c| gone(*c)).map(|component| (SHARED + component) as u32).collect();
        let nothing = (Reference::default(), CodeBank::default());
        let dictionary = readout.dictionary().unwrap();
        let writer = Writer::new(&Edit::Zero, 1.0, &set, "tuned", dictionary, &nothing.0, &nothing.1);
        let known = Some(dictionary.clone());
        let zeroed = Intervention::written(hook(), Default::default(), writer.unwrap(), known);
        let conditions = [Condition::edited("zero", zeroed)];
        let mut moved = 0.0f64;
        for index in 0..10 {
            let suite = Suite::BOTH[index % 2];
            let problem = world.problem("test", suite, index, &tuned);
            let rows: Vec<Vec<u32>> = (0..ANSWERS).map(|answer| text(&problem, answer)).collect();
            let batch = TokenBatch::new(&rows).unwrap();
            for ((_, model), closed) in models.iter().zip([&base, &tuned]) {
                let hidden =
                    model.forward(&batch, None, &mut Hooks::none(), Gradients::Off).unwrap().unwrap();
                assert_close(said(model, &hidden, &problem), closed.answers(&problem));
            }
            let starts = [Start { condition: 0, key: 0, prompt: problem.words.len() }; ANSWERS];
            let mut lockstep = source(&readout, 1, conditions.as_slice().into(), &starts).unwrap();
            let hidden = lockstep.hidden(&batch).unwrap();
            let expected = edited.answers(&problem);
            assert_close(said(&models[1].1, &hidden, &problem), expected);
            moved = moved.max((expected[problem.right] - tuned.answers(&problem)[problem.right]).abs());
        }
        assert!(moved > 0.02, "the edit does something: {moved}");
    }
}

#[test]
fn planted_components_carry_the_one_suite_and_not_the_other() {
    for planting in [Planting::Transfer, Planting::SharedSkill] {
        let world = World::new(SEED, planting);
        let tuned = ClosedForm::new(&world, |_| true);
        let without = ClosedForm::new(&world, |component| !world.planted().contains(&component));
        let [transfer, safety] = Suite::BOTH.map(|suite| without.effect(suite, &tuned));
        assert!(transfer < -0.15 && safety.abs() < 0.05, "{planting:?}: {transfer} {safety}");
    }
    let null = World::new(SEED, Planting::Nothing);
    assert!(null.planted().is_empty());
}

#[test]
fn the_dictionary_survives_its_files() {
    let made = dictionary(&World::new(SEED, Planting::Nothing), &Frame::new(SEED)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    made.save(folder.path()).unwrap();
    let read = Dictionary::load(folder.path()).unwrap();
    assert_eq!((made.spec(), made.weights()), (read.spec(), read.weights()));
}

#[test]
fn halves_are_apart_or_one_as_the_method_says() {
    let world = World::new(SEED, Planting::Nothing);
    let tuned = ClosedForm::new(&world, |_| true);
    for (method, shared) in [(Method::Sound, 0), (Method::HalvesMadeOne, PROBLEMS)] {
        let problems = suites::suite(&world, Suite::Safety, method, &tuned).unwrap().problems(1);
        let prompts = |half: Half| -> Vec<&str> {
            let on = problems.iter().filter(|problem| problem.half == half);
            on.map(|problem| problem.prompt.as_str()).collect()
        };
        let (select, measure) = (prompts(Half::Select), prompts(Half::Measure));
        assert_eq!((select.len(), measure.len()), (PROBLEMS, PROBLEMS));
        assert_eq!(measure.iter().filter(|prompt| select.contains(prompt)).count(), shared);
    }
}
