//! Conditions in a batch against the same alone, and against edits written token by token.

use super::super::small;
use super::*;
use crate::interventions::{
    CodeBank, Edit, Head, HeadWriter, Intervention, Position, Positions, Reading, Reference, View, Writer,
};
use crate::model::{
    BlockPoint, Completion, Gradients, HookPoint, HookSite, Hooks, Prompt, SampleSettings, sample,
    sample_model,
};
use crate::progress::Observer;
use crate::tasks::{Problem, Suite};

const RECEIVER: usize = 1;

fn problems(count: usize) -> Vec<Problem> {
    Suite::parse("general_points").unwrap().problems(1).into_iter().take(count).collect()
}

fn prompts(readout: &Readout, problems: &[Problem]) -> Vec<Prompt> {
    let tokenizer = readout.model(RECEIVER).unwrap().tokenizer().unwrap();
    let prompt = |problem: &Problem| Prompt { tokens: problem.tokens(tokenizer).unwrap(), key: problem.key };
    problems.iter().map(prompt).collect()
}

fn settings() -> SampleSettings {
    SampleSettings { samples: 2, max_new_tokens: 12, seed: 5, batch_rows: 1000, ..SampleSettings::default() }
}

fn edited(readout: &Readout, edit: Edit, dose: f32, set: &[u32]) -> Condition {
    let reference = Reference { means: vec![0.2; small::FEATURES], percentiles: vec![1.0; small::FEATURES] };
    let bank = CodeBank::new(1, vec![vec![(0, 0.5), (3, 1.0)], vec![(1, 2.0)]]);
    let writer =
        Writer::new(&edit, dose, set, "rl", readout.dictionary().unwrap(), &reference, &bank).unwrap();
    let dictionary = readout.dictionary().ok().cloned();
    let edited = Intervention::written(readout.hook(), Reading::Joint, writer, dictionary);
    Condition::edited(edit.to_string(), edited)
}

/// A condition that edits heads of the receiver, with the base as donor.
fn headed(edit: Edit, dose: f32, heads: &[Head]) -> Condition {
    let means = heads.iter().map(|head| (*head, vec![0.1; small::D_MODEL / 2])).collect();
    let writer = HeadWriter::new(&edit, dose, heads, (RECEIVER, Some(0)), &means).unwrap();
    Condition::edited(format!("heads {edit} {dose}"), Intervention::of_heads(writer))
}

/// The readout of one variant swapped into base's place.
fn swapped() -> Reading {
    Reading::Of(View::Swap { variant: RECEIVER, into: vec![0] })
}

fn all() -> Vec<u32> {
    (0..small::FEATURES as u32).collect()
}

/// Completions by condition, when all (problem, condition) pairs are rows of one batch.
fn together(
    readout: &Readout,
    conditions: &[Condition],
    problems: &[Problem],
) -> (Vec<Vec<Completion>>, Vec<Tallies>) {
    let mut rows = Vec::new();
    let mut repeated = Vec::new();
    for (problem, prompt) in problems.iter().zip(prompts(readout, problems)) {
        for condition in 0..conditions.len() {
            rows.push(Start { condition, key: problem.key, prompt: prompt.tokens.len() });
            repeated.push(prompt.clone());
        }
    }
    let mut lockstep = source(readout, RECEIVER, conditions.into(), &rows).unwrap();
    let completions = sample(&mut *lockstep, &repeated, &settings(), &Observer::silent()).unwrap();
    let mut by_condition = vec![Vec::new(); conditions.len()];
    for completion in completions {
        let (problem, condition) =
            (completion.prompt / conditions.len(), completion.prompt % conditions.len());
        by_condition[condition].push(Completion { prompt: problem, ..completion });
    }
    let mut tallies = vec![Tallies::default(); conditions.len()];
    for (start, found) in rows.iter().zip(lockstep.tallies()) {
        tallies[start.condition].add(found);
    }
    (by_condition, tallies)
}

#[test]
fn an_edit_that_writes_nothing_leaves_every_bit() {
    for layer in [0, 2] {
        let readout = small::readout(layer);
        let problems = problems(3);
        let model = readout.model(RECEIVER).unwrap();
        let plain =
            sample_model(model, &prompts(&readout, &problems), &settings(), &Observer::silent()).unwrap();
        let conditions = [
            Condition::baseline(),
            edited(&readout, Edit::Zero, 0.0, &all()),
            edited(&readout, Edit::Transplant("rl".into()), 1.0, &all()),
            edited(&readout, Edit::Zero, 1.0, &[]),
        ];
        let (found, mut tallies) = together(&readout, &conditions, &problems);
        let all_heads: Vec<Head> = (0..3).flat_map(|layer| [0, 1].map(|head| Head { layer, head })).collect();
        let idle = [headed(Edit::Zero, 0.0, &all_heads), headed(Edit::Scale, 1.0, &all_heads)];
        let (heads, idle_tallies) = together(&readout, &idle, &problems);
        tallies.extend(idle_tallies);
        for (completions, condition) in found.iter().chain(&heads).zip(conditions.iter().chain(&idle)) {
            assert_eq!(*completions, plain, "{} at layer {layer}", condition.name);
        }
        assert!(tallies.iter().all(|tallies| tallies.untestable().is_some()));
    }
}

#[test]
fn a_row_alone_equals_the_row_in_a_batch_and_edits_change_what_is_said() {
    let readout = small::readout(1);
    let problems = problems(3);
    let direction = Writer::along(&Edit::AddDirection, 1.0, &[1.0; small::D_MODEL], RECEIVER).unwrap();
    let elsewhere = HookPoint::Block(2, BlockPoint::AttentionOut);
    let along = Intervention::written(elsewhere, Reading::Joint, direction, None).on(Positions::Response);
    let swap = |condition: Condition| {
        let Some(write) = condition.write().cloned() else { return condition };
        let edited = Intervention::written(write.hook, swapped(), write.writer, write.dictionary);
        Condition::edited(condition.name, edited)
    };
    let batches: [Vec<Condition>; 4] = [
        joint_conditions(&readout),
        vec![Condition::baseline(), Condition::edited("along", along)],
        vec![
            Condition::baseline(),
            swap(edited(&readout, Edit::Zero, 1.0, &[3, 5])),
            swap(edited(&readout, Edit::TwoSource("base".into()), 1.0, &all())),
        ],
        vec![
            Condition::baseline(),
            headed(Edit::Zero, 1.0, &[Head { layer: 0, head: 1 }]),
            headed(Edit::Mean, 1.0, &[Head { layer: 1, head: 0 }, Head { layer: 2, head: 0 }]),
            headed(Edit::Transplant("base".into()), 1.0, &[Head { layer: 2, head: 1 }]),
        ],
    ];
    for conditions in &batches {
        check_batch(&readout, &problems, conditions);
    }
}

fn joint_conditions(readout: &Readout) -> Vec<Condition> {
    vec![
        Condition::baseline(),
        edited(readout, Edit::Zero, 1.0, &all()),
        edited(readout, Edit::Zero, 1.0, &[3, 5]),
        edited(readout, Edit::Mean, 1.0, &[1, 2]),
        edited(readout, Edit::Resample, 1.0, &all()),
        edited(readout, Edit::Steer, 4.0, &[7]),
        edited(readout, Edit::Clamp, 4.0, &[7]),
        edited(readout, Edit::Transplant("base".into()), 1.0, &[0, 8, 9]),
        edited(readout, Edit::WholeDifference("sft".into()), 1.0, &[]),
        edited(readout, Edit::ErrorOnly("sft".into()), 1.0, &[]),
    ]
}

/// Every condition alone, on every problem alone, says what it says in the batch.
fn check_batch(readout: &Readout, problems: &[Problem], conditions: &[Condition]) {
    let (found, tallies) = together(readout, conditions, problems);
    for (index, condition) in conditions.iter().enumerate() {
        for (place, problem) in problems.iter().enumerate() {
            let (alone, _) =
                together(readout, std::slice::from_ref(condition), std::slice::from_ref(problem));
            let alone: Vec<(&Vec<u32>, &Vec<f32>)> = alone[0]
                .iter()
                .map(|completion| (&completion.tokens, &completion.log_probabilities))
                .collect();
            let batch: Vec<(&Vec<u32>, &Vec<f32>)> = found[index]
                .iter()
                .filter(|completion| completion.prompt == place)
                .map(|completion| (&completion.tokens, &completion.log_probabilities))
                .collect();
            assert_eq!(alone, batch, "{} on problem {place}", condition.name);
        }
        if index > 0 {
            assert_ne!(found[index], found[0], "{} does nothing", condition.name);
            assert_eq!(tallies[index].untestable(), None, "{}", condition.name);
        }
    }
}

/// The same logits as whole texts through the plain pass, with the delta computed token by token from
/// activations captured beforehand.
#[test]
fn lockstep_equals_the_edited_pass_over_the_whole_text() {
    let readout = small::readout(1);
    let conditions = [
        edited(&readout, Edit::Zero, 1.0, &[2, 3, 5, 8]),
        edited(&readout, Edit::Transplant("sft".into()), 1.0, &all()),
    ];
    let problem = &problems(1)[0];
    let prompt = prompts(&readout, std::slice::from_ref(problem))[0].tokens.clone();
    let response = [20u32, 70, 21, 9];
    let rows: Vec<Start> = (0..conditions.len())
        .map(|condition| Start { condition, key: problem.key, prompt: prompt.len() })
        .collect();
    let mut lockstep = source(&readout, RECEIVER, conditions.as_slice().into(), &rows).unwrap();
    let mut logits =
        lockstep.extend(&TokenBatch::new(&vec![prompt.clone(); conditions.len()]).unwrap()).unwrap();
    for token in response {
        logits = lockstep.extend(&TokenBatch::new(&vec![vec![token]; conditions.len()]).unwrap()).unwrap();
    }
    let logits = logits.to_vec2::<f32>().unwrap();

    let text: Vec<u32> = prompt.iter().copied().chain(response).collect();
    let batch = TokenBatch::new(std::slice::from_ref(&text)).unwrap();
    let joint = readout.joint(&batch).unwrap();
    let codes = readout.dictionary().unwrap().codes(&joint).unwrap();
    for (condition, found) in conditions.iter().zip(logits) {
        let mut deltas = vec![0.0; text.len() * small::D_MODEL];
        for (place, delta) in deltas.chunks_exact_mut(small::D_MODEL).enumerate().skip(1) {
            let (features, values) = codes.entries(place);
            let joint = &joint[place * 3 * small::D_MODEL..(place + 1) * 3 * small::D_MODEL];
            let at = Position { joint, features, values, key: [0; 3] };
            condition.writer().unwrap().delta(at, delta);
        }
        assert!(deltas.iter().any(|x| *x != 0.0));
        let shape = (1, text.len(), small::D_MODEL);
        let deltas = Tensor::from_vec(deltas, shape, &candle_core::Device::Cpu).unwrap();
        let edit = move |_: &HookSite, hidden: &Tensor| Ok((hidden + &deltas)?);
        let mut hooks = Hooks::none().edit(readout.hook(), Box::new(edit));
        let model = readout.model(RECEIVER).unwrap();
        let hidden = model.forward(&batch, None, &mut hooks, Gradients::Off).unwrap().unwrap();
        let expected = model.logits(&hidden).unwrap().squeeze(0).unwrap().to_vec2::<f32>().unwrap();
        let expected = expected.last().unwrap();
        let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-5, "{}: {worst}", condition.name);
    }
}

#[test]
fn an_edit_for_another_receiver_is_refused() {
    let readout = small::readout(1);
    let conditions = [edited(&readout, Edit::Zero, 1.0, &[1])];
    let start = |condition| [Start { condition, key: 1, prompt: 1 }];
    assert!(source(&readout, 0, conditions.as_slice().into(), &start(0)).is_err());
    assert!(source(&readout, RECEIVER, conditions.as_slice().into(), &start(1)).is_err());
    let nowhere = [headed(Edit::Zero, 1.0, &[Head { layer: 3, head: 0 }])];
    let error = source(&readout, RECEIVER, nowhere.as_slice().into(), &start(0)).err().unwrap();
    assert!(
        error.to_string().contains("there is no head 3.0 in `rl`\nhint: its layers are 0 to 2"),
        "{error}"
    );
}

/// A head that is zeroed while texts are read: the same cross-entropy as a plain pass with a zeroing hook.
#[test]
fn teacher_forcing_equals_the_plain_pass() {
    let readout = small::readout(1);
    let problem = &problems(1)[0];
    let prompt = prompts(&readout, std::slice::from_ref(problem))[0].tokens.clone();
    let texts = [
        GivenText { id: "a".into(), tokens: prompt.clone(), prompt: 3 },
        GivenText { id: "b".into(), tokens: prompt[..5].to_vec(), prompt: 3 },
    ];
    let head = Head { layer: 1, head: 1 };
    let zero = edited(&readout, Edit::Zero, 1.0, &all());
    let conditions = [Condition::baseline(), zero, headed(Edit::Zero, 1.0, &[head])];
    let found = forced(&readout, RECEIVER, &conditions, &texts, 2).unwrap();
    let model = readout.model(RECEIVER).unwrap();
    for (place, text) in texts.iter().enumerate() {
        for zeroed in [false, true] {
            let edit = move |_: &HookSite, value: &Tensor| {
                let mut rows = value.flatten_all()?.to_vec1::<f32>()?;
                let size = small::D_MODEL / 2;
                for token in rows.chunks_exact_mut(2 * size).skip(1).filter(|_| zeroed) {
                    token[size..].fill(0.0);
                }
                Ok(Tensor::from_vec(rows, value.dims(), value.device())?)
            };
            let mut hooks = Hooks::none().edit(HookPoint::Block(1, BlockPoint::Mixed), Box::new(edit));
            let batch = TokenBatch::new(std::slice::from_ref(&text.tokens)).unwrap();
            let hidden = model.forward(&batch, None, &mut hooks, Gradients::Off).unwrap().unwrap();
            let at: Vec<(usize, usize)> = (1..text.tokens.len()).map(|position| (0, position - 1)).collect();
            let log_p = model.token_log_probabilities(&hidden, &at, &text.tokens[1..]).unwrap();
            let log_p = log_p.log_probabilities.to_vec1::<f32>().unwrap();
            let expected = -log_p.iter().sum::<f32>() / log_p.len() as f32;
            let condition = if zeroed { 2 } else { 0 };
            let here = found.cross_entropy[condition][place];
            assert!((here - f64::from(expected)).abs() < 1e-5, "{here} {expected}");
        }
    }
    assert_ne!(found.cross_entropy[1], found.cross_entropy[0]);
    assert!(found.tallies[1].prompt.positions > 0 && found.tallies[1].response.positions > 0);
}
