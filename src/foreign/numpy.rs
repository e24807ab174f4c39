//! Arrays of NumPy (`.npy`, in archives `.npz`): a magic, a header that is a Python dictionary, and the numbers.

use super::archive::Archive;
use super::numbers::decode;
use crate::error::{At, Error, Result};
use safetensors::Dtype;
use std::path::Path;

/// A named array.
pub(crate) type Array = (String, Vec<usize>, Vec<f32>);

/// All arrays of an archive.
pub(crate) fn read(path: &Path) -> Result<Vec<Array>> {
    let mut archive = Archive::open(path, "write them with numpy.savez or numpy.savez_compressed")?;
    let mut arrays = Vec::new();
    for member in archive.names() {
        let bytes = archive.read(&member)?;
        let name = member.strip_suffix(".npy").unwrap_or(&member).to_owned();
        let (shape, values) = parse(&bytes).at(format!("array `{name}`")).at(path.display())?;
        arrays.push((name, shape, values));
    }
    Ok(arrays)
}

fn parse(bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>)> {
    let damaged = || Error::work("not an array of NumPy");
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(damaged)?;
    let (version, rest) = rest.split_at_checked(2).ok_or_else(damaged)?;
    let wide = version[0] > 1;
    let (length, rest) = rest.split_at_checked(if wide { 4 } else { 2 }).ok_or_else(damaged)?;
    let length = length.iter().rev().fold(0usize, |length, byte| length << 8 | usize::from(*byte));
    let (header, data) = rest.split_at_checked(length).ok_or_else(damaged)?;
    let header = std::str::from_utf8(header).map_err(|_| damaged())?;
    let field = |name: &str| -> Result<&str> {
        let after = header.split_once(&format!("'{name}':")).map(|(_, after)| after.trim_start());
        after.ok_or_else(|| Error::work(format!("the header lacks `{name}`")))
    };
    let kind = field("descr")?.trim_start_matches('\'').split('\'').next().unwrap_or_default();
    let dtype = match kind {
        "<f4" => Dtype::F32,
        "<f8" => Dtype::F64,
        "<f2" => Dtype::F16,
        "<i4" => Dtype::I32,
        "<i8" => Dtype::I64,
        other => return Err(Error::work(format!("type `{other}` is not supported"))),
    };
    let fortran = field("fortran_order")?.starts_with("True");
    let shape = field("shape")?.trim_start_matches('(').split(')').next().unwrap_or_default();
    let shape = shape
        .split(',')
        .map(str::trim)
        .filter(|size| !size.is_empty())
        .map(|size| size.parse().map_err(|_| Error::work(format!("`{size}` is no size"))))
        .collect::<Result<Vec<usize>>>()?;
    let values = decode(dtype, data)?;
    if shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size)) != Some(values.len()) {
        return Err(Error::work(format!("expected the numbers of shape {shape:?}, found {}", values.len())));
    }
    match (&shape[..], fortran) {
        (&[rows, _], true) => Ok((shape.clone(), transposed(&values, rows))),
        (_, true) if shape.len() > 2 => {
            Err(Error::work("more than two axes in Fortran order are not supported"))
        }
        _ => Ok((shape, values)),
    }
}

/// The transpose of a `[rows, columns]` matrix.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn array(header: &str, values: &[f32]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    #[test]
    fn both_orders_are_read_and_damage_is_an_error() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = array(header, &values);
        assert_eq!(parse(&rows).unwrap(), (vec![2, 3], values.to_vec()));
        let columns = array(&header.replace("False", "True"), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(parse(&columns).unwrap(), (vec![2, 3], values.to_vec()));
        for cut in 0..rows.len() {
            assert!(parse(&rows[..cut]).is_err(), "cut at {cut}");
        }
        let huge = array(&header.replace("(2, 3)", "(4611686018427387904, 4611686018427387904)"), &values);
        assert!(parse(&huge).is_err());
    }
}
