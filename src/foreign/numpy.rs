//! Arrays of NumPy (`.npy`, in archives `.npz`): a magic, a header that is a Python dictionary, and the numbers.

use super::archive::{Archive, Member};
use super::numbers::decode;
use crate::error::{At, Error, Result};
use safetensors::Dtype;
use std::path::Path;

/// A named array.
pub(crate) type Array = (String, Vec<usize>, Vec<f32>);

/// All arrays of an archive. What an array states that it holds is held against its length before it is unpacked.
pub(crate) fn read(path: &Path) -> Result<Vec<Array>> {
    let mut archive = Archive::open(path, "write them with numpy.savez or numpy.savez_compressed")?;
    let mut arrays = Vec::new();
    for member in archive.names() {
        let name = member.strip_suffix(".npy").unwrap_or(&member).to_owned();
        let array = archive.member(&member).and_then(Header::and_values);
        let (shape, values) = array.at(format!("array `{name}`")).at(path.display())?;
        arrays.push((name, shape, values));
    }
    Ok(arrays)
}

/// What stands before the numbers of an array.
struct Header {
    dtype: Dtype,
    /// Whether columns come before rows.
    fortran: bool,
    shape: Vec<usize>,
    /// How many numbers the shape has.
    count: usize,
}

fn damaged() -> Error {
    Error::work("not an array of NumPy")
}

impl Header {
    /// Reads a member: the header, and where it fits what is left, the numbers.
    fn and_values(mut member: Member<'_>) -> Result<(Vec<usize>, Vec<f32>)> {
        let start = member.take(8).map_err(|_| damaged())?;
        let version = start.strip_prefix(b"\x93NUMPY").and_then(|rest| rest.first()).ok_or_else(damaged)?;
        let length = member.take(if *version > 1 { 4 } else { 2 }).map_err(|_| damaged())?;
        let length = length.iter().rev().fold(0u64, |length, byte| length << 8 | u64::from(*byte));
        let header = member.take(length).map_err(|_| damaged())?;
        let header = Self::parse(std::str::from_utf8(&header).map_err(|_| damaged())?)?;
        let expected = (header.count as u64).checked_mul(bytes_of(header.dtype));
        if expected != Some(member.left()) {
            return Err(Error::work(format!(
                "expected the numbers of shape {:?}, found {} bytes",
                header.shape,
                member.left()
            )));
        }
        let values = decode(header.dtype, &member.rest()?)?;
        Ok(header.ordered(values))
    }

    fn parse(header: &str) -> Result<Self> {
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
        if fortran && shape.len() > 2 {
            return Err(Error::work("more than two axes in Fortran order are not supported"));
        }
        let count = shape
            .iter()
            .try_fold(1usize, |count, size| count.checked_mul(*size))
            .ok_or_else(|| Error::work(format!("shape {shape:?} has more numbers than can be counted")))?;
        Ok(Self { dtype, fortran, shape, count })
    }

    /// The numbers row by row.
    fn ordered(self, values: Vec<f32>) -> (Vec<usize>, Vec<f32>) {
        match self.shape[..] {
            [rows, _] if self.fortran => {
                let values = transposed(&values, rows);
                (self.shape, values)
            }
            _ => (self.shape, values),
        }
    }
}

/// The bytes of a number of one of the types that are read.
fn bytes_of(dtype: Dtype) -> u64 {
    match dtype {
        Dtype::F16 | Dtype::BF16 => 2,
        Dtype::F64 | Dtype::I64 => 8,
        _ => 4,
    }
}

/// The transpose of a `[rows, columns]` matrix.
fn transposed(values: &[f32], columns: usize) -> Vec<f32> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    (0..columns).flat_map(|column| (0..rows).map(move |row| values[row * columns + column])).collect()
}

#[cfg(test)]
mod tests {
    use super::read;
    use crate::error::Result;
    use std::path::Path;

    /// An archive of one stored member, written by hand.
    fn archive(members: &[(&str, &[u8], u32)]) -> Vec<u8> {
        let (mut bytes, mut directory) = (Vec::new(), Vec::new());
        for (name, content, size) in members {
            let mut sum = flate2::Crc::new();
            sum.update(content);
            let offset = bytes.len() as u32;
            let mut facts = vec![20, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            facts.extend(sum.sum().to_le_bytes());
            facts.extend((content.len() as u32).to_le_bytes());
            facts.extend(size.to_le_bytes());
            facts.extend((name.len() as u16).to_le_bytes());
            facts.extend([0, 0]);
            bytes.extend(b"PK\x03\x04");
            bytes.extend(&facts);
            bytes.extend(name.as_bytes());
            bytes.extend(*content);
            directory.extend(b"PK\x01\x02\x14\x00");
            directory.extend(&facts);
            directory.extend([0; 10]);
            directory.extend(offset.to_le_bytes());
            directory.extend(name.as_bytes());
        }
        let (start, count) = (bytes.len() as u32, members.len() as u16);
        bytes.extend(&directory);
        bytes.extend(b"PK\x05\x06\x00\x00\x00\x00");
        bytes.extend(count.to_le_bytes());
        bytes.extend(count.to_le_bytes());
        bytes.extend((directory.len() as u32).to_le_bytes());
        bytes.extend(start.to_le_bytes());
        bytes.extend([0, 0]);
        bytes
    }

    fn array(header: &str, values: &[f32]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        bytes
    }

    fn attempt(path: &Path, bytes: &[u8]) -> Result<Vec<super::Array>> {
        std::fs::write(path, bytes).unwrap();
        read(path)
    }

    #[test]
    fn both_orders_are_read_and_damage_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("params.npz");
        let parse = |bytes: &[u8]| -> Result<(Vec<usize>, Vec<f32>)> {
            let mut found = attempt(&path, &archive(&[("x.npy", bytes, bytes.len() as u32)]))?;
            let (_, shape, values) = found.remove(0);
            Ok((shape, values))
        };
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let rows = array(header, &values);
        assert_eq!(parse(&rows).unwrap(), (vec![2, 3], values.to_vec()));
        let columns = array(&header.replace("False", "True"), &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        assert_eq!(parse(&columns).unwrap(), (vec![2, 3], values.to_vec()));
        for cut in 0..rows.len() {
            assert!(parse(&rows[..cut]).is_err(), "cut at {cut}");
        }
        for shape in ["(4611686018427387904, 4611686018427387904)", "(1000000000, 1000)", "(2, 4)", "(6, -1)"]
        {
            assert!(parse(&array(&header.replace("(2, 3)", shape), &values)).is_err(), "{shape}");
        }
    }

    #[test]
    fn an_archive_is_held_to_what_its_length_allows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("params.npz");
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), }";
        let sound = array(header, &[0.0; 6]);
        let length = sound.len() as u32;
        assert_eq!(
            attempt(&path, &archive(&[("a", &sound, length), ("b", &sound, length)])).unwrap().len(),
            2
        );
        // A member that says it unpacks to 4 GB.
        let found = attempt(&path, &archive(&[("a", &sound, u32::MAX)])).unwrap_err().to_string();
        assert!(found.contains("64 times the bytes of the archive"), "{found}");
        // A member that says it is longer than it is, within what the archive may unpack to.
        let found = attempt(&path, &archive(&[("a", &sound, 100_000)])).unwrap_err().to_string();
        assert!(found.contains("expected the numbers of shape [6]"), "{found}");
        // Thirty names of one member.
        let mut bytes = archive(&[("a", &sound, length)]);
        let start = bytes.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        let end = bytes.windows(4).position(|four| four == b"PK\x05\x06").unwrap();
        let entry = bytes[start..end].to_vec();
        let tail = bytes.split_off(end);
        for name in b'b'..b'z' {
            let at = bytes.len();
            bytes.extend(&entry);
            bytes[at + entry.len() - 1] = name;
        }
        let size = (bytes.len() - start) as u32;
        let mut tail = tail;
        tail[8..10].copy_from_slice(&25u16.to_le_bytes());
        tail[10..12].copy_from_slice(&25u16.to_le_bytes());
        tail[12..16].copy_from_slice(&size.to_le_bytes());
        bytes.extend(tail);
        let found = attempt(&path, &bytes).unwrap_err().to_string();
        assert!(found.contains("lie on top of each other"), "{found}");
    }
}
