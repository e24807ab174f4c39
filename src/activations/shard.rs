//! One shard: a safetensors file of activations and what is known of each token.

use super::manifest::{ElementType, Part, ShardEntry, TokenMeta};
use crate::error::{At, Error, Result, io};
use crate::foreign;
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorView};
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Encodes values for the disk.
pub(super) fn encode(values: &[f32], element: ElementType) -> Vec<u8> {
    match element {
        ElementType::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
        ElementType::Bf16 => values.iter().flat_map(|value| bf16::from_f32(*value).to_le_bytes()).collect(),
        ElementType::F16 => values.iter().flat_map(|value| f16::from_f32(*value).to_le_bytes()).collect(),
    }
}

/// Decodes bytes of the disk.
pub(super) fn decode(bytes: &[u8], element: ElementType) -> Vec<f32> {
    let words = || bytes.as_chunks::<2>().0.iter();
    match element {
        ElementType::F32 => bytes.as_chunks::<4>().0.iter().map(|word| f32::from_le_bytes(*word)).collect(),
        ElementType::Bf16 => {
            words().map(|word| f32::from_bits(u32::from(u16::from_le_bytes(*word)) << 16)).collect()
        }
        ElementType::F16 => {
            let halves: Vec<f16> = words().map(|word| f16::from_le_bytes(*word)).collect();
            let mut values = vec![0.0; halves.len()];
            halves.convert_to_f32_slice(&mut values);
            values
        }
    }
}

pub(super) fn dtype(element: ElementType) -> Dtype {
    match element {
        ElementType::F32 => Dtype::F32,
        ElementType::Bf16 => Dtype::BF16,
        ElementType::F16 => Dtype::F16,
    }
}

pub(super) fn element_type(dtype: Dtype) -> Option<ElementType> {
    match dtype {
        Dtype::F32 => Some(ElementType::F32),
        Dtype::BF16 => Some(ElementType::Bf16),
        Dtype::F16 => Some(ElementType::F16),
        _ => None,
    }
}

/// Writes one shard under a partial name and renames it when it is whole.
pub(super) fn write(
    dir: &Path,
    file: &str,
    activations: &[u8],
    element: ElementType,
    vector_shape: [usize; 2],
    tokens: &[TokenMeta],
) -> Result<ShardEntry> {
    let count = tokens.len();
    let words = |value: &dyn Fn(&TokenMeta) -> u32| -> Vec<u8> {
        tokens.iter().flat_map(|meta| value(meta).to_le_bytes()).collect()
    };
    let (ids, positions) = (words(&|meta| meta.token), words(&|meta| meta.position));
    let examples = words(&|meta| meta.example);
    let parts: Vec<u8> = tokens.iter().map(|meta| meta.part.code()).collect();
    let view = |dtype, shape: Vec<usize>, bytes| {
        TensorView::new(dtype, shape, bytes)
            .map_err(|error| Error::work(format!("shard cannot be written: {error}")))
    };
    let tensors = [
        ("activations", view(dtype(element), vec![count, vector_shape[0], vector_shape[1]], activations)?),
        ("token", view(Dtype::U32, vec![count], &ids)?),
        ("position", view(Dtype::U32, vec![count], &positions)?),
        ("example", view(Dtype::U32, vec![count], &examples)?),
        ("part", view(Dtype::U8, vec![count], &parts)?),
    ];
    let (partial, path) = (dir.join(format!("{file}.partial")), dir.join(file));
    // Straight to the file: a second copy of the shard would double what a capture holds.
    safetensors::serialize_to_file(tensors, None, &partial)
        .map_err(|error| Error::work(format!("shard cannot be written: {error}")).at(partial.display()))?;
    let blake3 = checksum(&partial)?;
    let bytes = std::fs::metadata(&partial).map_err(|error| io("inspect", &partial, error))?.len();
    std::fs::rename(&partial, &path).map_err(|error| io("rename", &partial, error))?;
    Ok(ShardEntry { file: file.to_owned(), tokens: count, bytes, blake3 })
}

/// The BLAKE3 hash of a whole file.
fn checksum(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let (file, _) = foreign::regular(path, u64::MAX)?;
    hasher.update_reader(file).map_err(|error| io("read", path, error))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// An open safetensors file whose tensors are read in parts.
#[derive(Debug)]
pub(super) struct Reader {
    file: File,
    path: PathBuf,
    metadata: Metadata,
    data: u64,
}

impl Reader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, length) = foreign::regular(path, u64::MAX)?;
        let bad = |what: String| {
            Error::work(format!("expected a safetensors file, {what}"))
                .hint("the file is cut off or of another format; capture or copy it again")
                .at(path.display())
        };
        let mut prefix = [0u8; 8];
        file.read_exact_at(&mut prefix, 0).map_err(|_| bad("found fewer than 8 bytes".to_owned()))?;
        let header = u64::from_le_bytes(prefix);
        if header.saturating_add(8) > length || header > foreign::DOCUMENT {
            return Err(bad(format!("found a header of {header} bytes in a file of {length}")));
        }
        let mut bytes = vec![0u8; (header + 8) as usize];
        file.read_exact_at(&mut bytes, 0).map_err(|error| io("read", path, error))?;
        let metadata: Metadata =
            serde_json::from_slice(&bytes[8..]).map_err(|error| bad(format!("found {error}")))?;
        let data = header + 8;
        let needed = data + metadata.data_len() as u64;
        if needed != length {
            return Err(bad(format!("which should have {needed} bytes but has {length}")));
        }
        Ok(Self { file, path: path.to_owned(), metadata, data })
    }

    /// Type and shape of a tensor.
    pub(super) fn describe(&self, name: &str) -> Result<(Dtype, Vec<usize>)> {
        match self.metadata.info(name) {
            Some(info) => {
                let (start, end) = info.data_offsets;
                let bits = info.shape.iter().product::<usize>().saturating_mul(info.dtype.bitsize());
                if end.saturating_sub(start).saturating_mul(8) != bits {
                    let what = format!("tensor `{name}` has the wrong size for its shape {:?}", info.shape);
                    return Err(Error::work(what).at(self.path.display()));
                }
                Ok((info.dtype, info.shape.clone()))
            }
            None => {
                let names = self.metadata.offset_keys().join("`, `");
                Err(Error::request(format!("expected a tensor `{name}`, found `{names}`"))
                    .at(self.path.display()))
            }
        }
    }

    /// Reads the bytes of rows `rows` of a tensor, `row_bytes` each.
    pub(super) fn rows(&self, name: &str, rows: Range<usize>, row_bytes: usize) -> Result<Vec<u8>> {
        self.describe(name)?;
        let start = self.metadata.info(name).map_or(0, |info| info.data_offsets.0);
        let mut bytes = vec![0u8; rows.len() * row_bytes];
        self.file
            .read_exact_at(&mut bytes, self.data + (start + rows.start * row_bytes) as u64)
            .map_err(|error| io("read", &self.path, error))?;
        Ok(bytes)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The BLAKE3 hash of the whole file.
    pub(super) fn checksum(&self) -> Result<String> {
        checksum(&self.path)
    }

    /// Reads what is known of tokens `rows`.
    pub(super) fn tokens(&self, rows: Range<usize>) -> Result<Vec<TokenMeta>> {
        let words = |name| -> Result<Vec<u32>> {
            let bytes = self.rows(name, rows.clone(), 4)?;
            Ok(bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word)).collect())
        };
        let (ids, positions, examples) = (words("token")?, words("position")?, words("example")?);
        let parts = self.rows("part", rows.clone(), 1)?;
        let rest = positions.into_iter().zip(examples).zip(parts);
        ids.into_iter()
            .zip(rest)
            .map(|(token, ((position, example), code))| {
                let part = Part::from_code(code)
                    .ok_or_else(|| Error::work(format!("expected a part of 0 to 3, found {code}")))
                    .at(self.path.display())?;
                Ok(TokenMeta { token, position, example, part })
            })
            .collect()
    }
}
