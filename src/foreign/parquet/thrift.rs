//! Thrift's compact protocol, read with limits: what is declared is there, or it is refused.

use crate::error::{Error, Result};

/// The deepest nesting of values. Parquet has seven levels.
const DEPTH: u32 = 24;

/// A value, without the kinds that nobody here asks for.
#[derive(Debug)]
pub(super) enum Thrift {
    Number(i64),
    List(Vec<Self>),
    Struct(Vec<(i16, Self)>),
    Other,
}

impl Thrift {
    /// The field of a struct with this number.
    pub(super) fn field(&self, number: i16) -> Option<&Self> {
        match self {
            // As polars reads it, the last of several counts.
            Self::Struct(fields) => {
                fields.iter().rev().find(|(found, _)| *found == number).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// A whole number that is a field.
    pub(super) fn number(&self, number: i16) -> Option<i64> {
        match self.field(number)? {
            Self::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// The items of a list that is a field; none if it is missing.
    pub(super) fn items(&self, number: i16) -> &[Self] {
        match self.field(number) {
            Some(Self::List(items)) => items,
            _ => &[],
        }
    }
}

/// Reads a struct, and says how many bytes it takes.
///
/// # Errors
/// If the bytes end before it, or it nests too deep.
pub(super) fn read(bytes: &[u8]) -> Result<(Thrift, usize)> {
    let mut reader = Reader { rest: bytes };
    let found = reader.structure(0)?;
    Ok((found, bytes.len() - reader.rest.len()))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| damaged("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn unsigned(&mut self) -> Result<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged("a number has too many digits"))
    }

    fn signed(&mut self) -> Result<i64> {
        let zigzag = self.unsigned()?;
        Ok((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
    }

    fn structure(&mut self, depth: u32) -> Result<Thrift> {
        let mut fields = Vec::new();
        let mut number = 0_i16;
        loop {
            let head = self.byte()?;
            if head & 0xf == 0 {
                return Ok(Thrift::Struct(fields));
            }
            number = match head >> 4 {
                0 => i16::try_from(self.signed()?).map_err(|_| damaged("a field has no such number"))?,
                step => number.checked_add(i16::from(step)).ok_or_else(|| damaged("too many fields"))?,
            };
            let value = match head & 0xf {
                1 => Thrift::Number(1),
                2 => Thrift::Number(0),
                kind => self.value(kind, depth + 1)?,
            };
            fields.push((number, value));
        }
    }

    fn value(&mut self, kind: u8, depth: u32) -> Result<Thrift> {
        if depth > DEPTH {
            return Err(damaged("its values nest too deep"));
        }
        Ok(match kind {
            1..=3 => Thrift::Number(i64::from(self.byte()? as i8)),
            4..=6 => Thrift::Number(self.signed()?),
            7 => {
                self.take(8)?;
                Thrift::Other
            }
            8 => {
                let length = self.unsigned()?;
                self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
                Thrift::Other
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = match head >> 4 {
                    15 => self.unsigned()?,
                    few => u64::from(few),
                };
                if count > self.rest.len() as u64 {
                    return Err(damaged("a list is declared longer than the file"));
                }
                Thrift::List((0..count).map(|_| self.value(head & 0xf, depth + 1)).collect::<Result<_>>()?)
            }
            11 => {
                let count = self.unsigned()?;
                let kinds = if count == 0 { 0 } else { self.byte()? };
                if count > self.rest.len() as u64 {
                    return Err(damaged("a map is declared longer than the file"));
                }
                for _ in 0..count {
                    self.value(kinds >> 4, depth + 1)?;
                    self.value(kinds & 0xf, depth + 1)?;
                }
                Thrift::Other
            }
            12 => self.structure(depth)?,
            _ => return Err(damaged("a value of no known kind")),
        })
    }
}

pub(super) fn damaged(what: &str) -> Error {
    Error::request(format!("not a Parquet file that can be read: {what}"))
}
