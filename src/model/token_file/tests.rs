//! Token files as other programs write them.

use super::*;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

type Held<'a> = (&'a str, Dtype, Vec<usize>, Vec<u8>);

fn load(tensors: &[Held<'_>], vocabulary: usize) -> Result<TokenFile> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.safetensors");
    let views = tensors
        .iter()
        .map(|(name, kind, dims, data)| (*name, TensorView::new(*kind, dims.clone(), data).unwrap()));
    safetensors::serialize_to_file(views, None, &path).unwrap();
    TokenFile::load(&path, vocabulary)
}

fn long(name: &str, dims: [usize; 2], numbers: impl IntoIterator<Item = i64>) -> Held<'_> {
    (name, Dtype::I64, dims.to_vec(), numbers.into_iter().flat_map(i64::to_le_bytes).collect())
}

#[test]
fn a_token_that_is_none_is_named_with_its_place() {
    let refused = |held: Held<'_>| load(&[held], 10).unwrap_err().to_string();
    for (bad, found) in [(-1, "-1"), (10, "10"), (1 << 32, "4294967296"), ((1 << 32) + 3, "4294967299")] {
        let error = refused(long("input_ids", [2, 2], [1, 2, 3, bad]));
        assert!(error.contains("`input_ids`, row 1, column 1") && error.ends_with(found), "{error}");
    }
    let floats = |numbers: [f32; 2]| numbers.into_iter().flat_map(f32::to_le_bytes).collect::<Vec<u8>>();
    for bad in [2.5, f32::NAN, f32::INFINITY, 1e30] {
        let error = refused(("input_ids", Dtype::F32, vec![1, 2], floats([1.0, bad])));
        assert!(error.contains("row 0, column 1"), "{error}");
    }
    let whole = load(&[("input_ids", Dtype::F32, vec![1, 2], floats([1.0, 7.0]))], 10).unwrap();
    assert_eq!(whole.batch.row(0), [1, 7]);
    assert!(refused(("input_ids", Dtype::I64, vec![2], vec![0; 16])).contains("expected [rows, width]"));
    // What stands at padding is nobody's concern.
    let padded = [long("input_ids", [1, 3], [-100, 4, 5]), long("attention_mask", [1, 3], [0, 1, 1])];
    assert_eq!(load(&padded, 10).unwrap().batch.row(0), [4, 5]);
}

#[test]
fn masks_of_every_width_are_read_and_hold_nothing_but_truths() {
    let ids = || long("input_ids", [1, 3], [7, 8, 9]);
    for (kind, one) in
        [(Dtype::BOOL, 1), (Dtype::U8, 1), (Dtype::I8, 1), (Dtype::I16, 2), (Dtype::I32, 4), (Dtype::U64, 8)]
    {
        let data =
            [0u8, 1, 1].iter().flat_map(|truth| std::iter::once(*truth).chain(vec![0; one - 1])).collect();
        let read = load(&[ids(), ("attention_mask", kind, vec![1, 3], data)], 10).unwrap();
        assert_eq!(read.batch.row(0), [8, 9], "{kind:?}");
    }
    for bad in [2, -1, 255] {
        let error = load(&[ids(), long("attention_mask", [1, 3], [1, bad, 1])], 10).unwrap_err().to_string();
        assert!(error.contains("`attention_mask`, row 0, column 1: expected 0 or 1"), "{error}");
    }
    let half = [1f32, 0.5, 1.0].into_iter().flat_map(f32::to_le_bytes).collect();
    assert!(load(&[ids(), ("attention_mask", Dtype::F32, vec![1, 3], half)], 10).is_err());
    assert!(load(&[ids(), long("attention_mask", [1, 2], [1, 1])], 10).is_err());
}

#[test]
fn no_tensor_of_the_file_is_dropped_in_silence() {
    let ids = || long("input_ids", [2, 3], [0, 1, 2, 3, 4, 5]);
    let mask = || long("attention_mask", [2, 3], [1, 1, 1, 0, 1, 1]);
    let right = load(&[ids(), mask(), long("position_ids", [2, 3], [0, 1, 2, 9, 0, 1])], 10).unwrap();
    assert!(right.notes().is_empty());
    let wrong = load(&[ids(), mask(), long("position_ids", [2, 3], [0, 1, 2, 0, 1, 2])], 10).unwrap_err();
    assert!(wrong.to_string().contains("`position_ids`, row 1, column 1: expected 0"), "{wrong}");
    assert!(load(&[ids(), long("position_ids", [1, 3], [0, 1, 2])], 10).is_ok());
    assert!(load(&[ids(), long("position_ids", [1, 2], [0, 1])], 10).is_err());
    assert!(load(&[ids(), long("token_type_ids", [2, 3], [0, 0, 0, 1, 1, 1])], 10).is_err());
    let more = [
        ids(),
        long("loss_mask", [2, 3], [0; 6]),
        long("labels", [2, 3], [0; 6]),
        long("logits", [2, 3], [0; 6]),
    ];
    let notes = load(&more, 10).unwrap().notes().join("");
    assert!(notes.contains("labels, loss_mask") && !notes.contains("logits"), "{notes}");
}

#[test]
fn degenerate_shapes_are_read_or_refused() {
    assert!(load(&[long("input_ids", [2, 0], [])], 10).is_err());
    assert!(load(&[long("input_ids", [0, 2], [])], 10).is_err());
    assert_eq!(load(&[long("input_ids", [1, 1], [3])], 10).unwrap().batch.lengths(), [1]);
    let nothing = [long("input_ids", [1, 2], [1, 2]), long("attention_mask", [1, 2], [0, 0])];
    assert!(load(&nothing, 10).is_err());
    let empty = [long("input_ids", [2, 2], [1, 2, 3, 4]), long("attention_mask", [2, 2], [1, 1, 0, 0])];
    assert_eq!(load(&empty, 10).unwrap().batch.lengths(), [2, 0]);
}
