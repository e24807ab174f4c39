//! PyTorch files (`.pt`): an archive with a pickle that describes tensors, and their numbers.
//!
//! A pickle is a program for a stack machine that may call any Python function. Here it is read as data: a call is
//! noted down and never made, and of all calls only that which rebuilds a tensor means anything. Objects lie in a
//! list and name each other by index, so that no nesting is too deep and what a pickle repeats costs nothing.

use super::archive::Archive;
use super::numbers::decode;
use crate::error::{At, Error, Result};
use safetensors::Dtype;
use std::collections::BTreeMap;
use std::path::Path;

/// Objects that one pickle may make. A dictionary makes a few hundred.
const MOST: usize = 1 << 20;

/// Numbers that tensors may have for a byte of the file. Compressed and shared ones have a few.
const REPEATS: u64 = 8;

/// A named tensor.
pub(crate) type Array = (String, Vec<usize>, Vec<f32>);

/// What a pickle is made of. Numbers that are indices name other objects.
#[derive(Clone, Debug)]
enum Object {
    /// None, a truth value, or a fraction: nothing that a tensor needs.
    Other,
    Integer(i64),
    Text(String),
    /// A function or class: module and name.
    Global(String, String),
    /// A tuple or a list.
    List(Vec<usize>),
    Dict(Vec<(usize, usize)>),
    /// A call of the first with the second.
    Call(usize, usize),
    /// Something outside of the pickle.
    Outside(usize),
}

/// The tensors of a file's state dictionary.
pub(crate) fn read(path: &Path) -> Result<Vec<Array>> {
    let hint = "save it with torch.save of PyTorch 1.6 or newer";
    let mut archive = Archive::open(path, hint)?;
    let Some(member) = archive.names().into_iter().find(|name| name.ends_with("data.pkl")) else {
        return Err(Error::work("expected a PyTorch file, found an archive without `data.pkl`")
            .hint(hint)
            .at(path.display()));
    };
    let folder = member.trim_end_matches("data.pkl").to_owned();
    let machine = Machine::run(&archive.read(&member)?).at(path.display())?;
    let mut tensors = machine.tensors().at(path.display())?;
    sound_in_sum(&tensors, std::fs::metadata(path).map_or(0, |facts| facts.len())).at(path.display())?;
    // Tensors may share their numbers, which are read once.
    tensors.sort_by(|(_, one), (_, other)| one.key.cmp(&other.key));
    let mut held: Option<(String, Dtype, Vec<f32>)> = None;
    let mut arrays = Vec::new();
    for (name, stored) in tensors {
        let place = |error: Error| error.at(format!("tensor `{name}`")).at(path.display());
        let is_held =
            |(key, kind, _): &&(String, Dtype, Vec<f32>)| *key == stored.key && *kind == stored.dtype;
        if held.as_ref().filter(is_held).is_none() {
            let bytes = archive.read(&format!("{folder}data/{}", stored.key))?;
            held = Some((stored.key.clone(), stored.dtype, decode(stored.dtype, &bytes).map_err(place)?));
        }
        let numbers = held.as_ref().map_or(&[][..], |(_, _, numbers)| numbers);
        let (shape, values) = stored.gather_from(numbers).map_err(place)?;
        arrays.push((name, shape, values));
    }
    Ok(arrays)
}

/// Tensors that share their numbers may be more than the file holds, but not many times: the rest is meant to fill
/// memory.
fn sound_in_sum(tensors: &[(String, Stored)], length: u64) -> Result<()> {
    let count =
        |stored: &Stored| stored.shape.iter().try_fold(1u64, |count, size| count.checked_mul(*size as u64));
    let total = tensors
        .iter()
        .try_fold(0u64, |total, (_, stored)| total.checked_add(count(stored)?))
        .filter(|total| *total <= length.saturating_mul(REPEATS));
    match total {
        Some(_) => Ok(()),
        None => Err(Error::work(format!(
            "its tensors would hold more than {REPEATS} numbers for every byte of the file"
        ))),
    }
}

/// The stack machine.
#[derive(Default)]
struct Machine {
    objects: Vec<Object>,
    stack: Vec<usize>,
    marks: Vec<usize>,
    memo: BTreeMap<u32, usize>,
}

/// The bytes that are still to be read.
struct Bytes<'a>(&'a [u8]);

fn damaged() -> Error {
    Error::work("the pickle is cut off or damaged").hint("copy or save the file again")
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(count).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(head)
    }

    /// A little-endian number of `width` bytes.
    fn number(&mut self, width: usize) -> Result<usize> {
        Ok(self.take(width)?.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    fn text(&mut self, count: usize) -> Result<String> {
        Ok(String::from_utf8_lossy(self.take(count)?).into_owned())
    }

    fn line(&mut self) -> Result<String> {
        let end = self.0.iter().position(|byte| *byte == b'\n').ok_or_else(damaged)?;
        let line = self.text(end)?;
        self.take(1)?;
        Ok(line)
    }
}

impl Machine {
    fn run(bytes: &[u8]) -> Result<Self> {
        let mut machine = Self::default();
        let mut bytes = Bytes(bytes);
        while machine.step(&mut bytes)? {
            if machine.objects.len() > MOST {
                return Err(Error::work(format!("the pickle makes more than {MOST} objects")));
            }
        }
        Ok(machine)
    }

    /// Carries out one instruction; false at the end.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> Result<bool> {
        let code = bytes.take(1)?[0];
        match code {
            b'.' => return Ok(false),
            // Protocol and frames say nothing about objects.
            0x80 | 0x95 => {
                bytes.take(if code == 0x80 { 1 } else { 8 })?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'N' | 0x88 | 0x89 => self.push(Object::Other),
            b'G' => {
                bytes.take(8)?;
                self.push(Object::Other);
            }
            b'J' => {
                let number = bytes.number(4)? as u32;
                self.push(Object::Integer(i64::from(number.cast_signed())));
            }
            b'K' => self.push_integer(bytes, 1)?,
            b'M' => self.push_integer(bytes, 2)?,
            0x8a => {
                let width = bytes.number(1)?;
                let number = bytes.take(width)?;
                // No size or offset needs more than eight bytes.
                let number =
                    number.iter().take(8).rev().fold(0, |number, byte| number << 8 | i64::from(*byte));
                self.push(Object::Integer(number));
            }
            b'X' => self.push_text(bytes, 4)?,
            0x8c | b'U' => self.push_text(bytes, 1)?,
            b'T' => self.push_text(bytes, 4)?,
            b'c' => {
                let global = Object::Global(bytes.line()?, bytes.line()?);
                self.push(global);
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Object::Global(module, name));
            }
            b')' | b']' => self.push(Object::List(Vec::new())),
            b'}' => self.push(Object::Dict(Vec::new())),
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or_else(damaged)?;
                let items = self.stack.split_off(start);
                self.push(Object::List(items));
            }
            b't' | b'l' => {
                let items = self.since_mark()?;
                self.push(Object::List(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' => {
                let items = self.since_mark()?;
                self.extend(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.extend(&[key, value])?;
            }
            b'u' => {
                let items = self.since_mark()?;
                self.extend(&items)?;
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let dictionary = matches!(&self.objects[callee], Object::Global(module, name)
                    if module == "collections" && name == "OrderedDict");
                self.push(if dictionary {
                    Object::Dict(Vec::new())
                } else {
                    Object::Call(callee, arguments)
                });
            }
            // Attributes of an object: PyTorch keeps versions there.
            b'b' => {
                self.pop()?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Object::Outside(id));
            }
            b'q' => self.remember(bytes, 1)?,
            b'r' => self.remember(bytes, 4)?,
            0x94 => {
                let top = *self.stack.last().ok_or_else(damaged)?;
                self.memo.insert(self.memo.len() as u32, top);
            }
            b'h' => self.recall(bytes, 1)?,
            b'j' => self.recall(bytes, 4)?,
            other => {
                return Err(Error::work(format!(
                    "the pickle holds instruction {other:#04x}, which is not supported"
                ))
                .hint("save the state dictionary alone: torch.save(model.state_dict(), file)"));
            }
        }
        Ok(true)
    }

    fn push(&mut self, object: Object) {
        self.stack.push(self.objects.len());
        self.objects.push(object);
    }

    fn push_integer(&mut self, bytes: &mut Bytes<'_>, width: usize) -> Result<()> {
        let number = bytes.number(width)? as i64;
        self.push(Object::Integer(number));
        Ok(())
    }

    fn push_text(&mut self, bytes: &mut Bytes<'_>, width: usize) -> Result<()> {
        let length = bytes.number(width)?;
        let text = bytes.text(length)?;
        self.push(Object::Text(text));
        Ok(())
    }

    fn pop(&mut self) -> Result<usize> {
        self.stack.pop().ok_or_else(damaged)
    }

    fn pop_text(&mut self) -> Result<String> {
        let top = self.pop()?;
        self.text(top).map(str::to_owned)
    }

    /// What was pushed since the last mark.
    fn since_mark(&mut self) -> Result<Vec<usize>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or_else(damaged)?;
        Ok(self.stack.split_off(mark))
    }

    /// Adds items to the list, or keys and values to the dictionary, on top of the stack.
    fn extend(&mut self, items: &[usize]) -> Result<()> {
        let top = *self.stack.last().ok_or_else(damaged)?;
        match &mut self.objects[top] {
            Object::List(list) => list.extend(items),
            Object::Dict(entries) => {
                entries.extend(items.as_chunks::<2>().0.iter().map(|[key, value]| (*key, *value)))
            }
            _ => return Err(damaged()),
        }
        Ok(())
    }

    fn remember(&mut self, bytes: &mut Bytes<'_>, width: usize) -> Result<()> {
        let place = bytes.number(width)? as u32;
        self.memo.insert(place, *self.stack.last().ok_or_else(damaged)?);
        Ok(())
    }

    fn recall(&mut self, bytes: &mut Bytes<'_>, width: usize) -> Result<()> {
        let place = bytes.number(width)? as u32;
        self.stack.push(*self.memo.get(&place).ok_or_else(damaged)?);
        Ok(())
    }

    fn text(&self, object: usize) -> Result<&str> {
        match &self.objects[object] {
            Object::Text(text) => Ok(text),
            _ => Err(damaged()),
        }
    }

    fn list(&self, object: usize) -> Result<&[usize]> {
        match &self.objects[object] {
            Object::List(list) => Ok(list),
            _ => Err(damaged()),
        }
    }

    fn size(&self, object: usize) -> Result<usize> {
        match &self.objects[object] {
            Object::Integer(number) => usize::try_from(*number).map_err(|_| damaged()),
            _ => Err(damaged()),
        }
    }

    fn sizes(&self, object: usize) -> Result<Vec<usize>> {
        self.list(object)?.iter().map(|size| self.size(*size)).collect()
    }

    /// The tensors of the state dictionary that the pickle makes.
    fn tensors(&self) -> Result<Vec<(String, Stored)>> {
        let top = *self.stack.last().ok_or_else(damaged)?;
        let Object::Dict(entries) = &self.objects[top] else {
            return Err(Error::work(
                "expected a state dictionary, found another object; no code in a pickle is run",
            )
            .hint("save the state dictionary alone: torch.save(model.state_dict(), file)"));
        };
        let mut found = Vec::new();
        for (key, value) in entries {
            let name = self.text(*key)?;
            let Object::Call(callee, arguments) = self.objects[*value] else {
                return Err(Error::work("expected a tensor, found another object")
                    .hint("save the state dictionary alone: torch.save(model.state_dict(), file)")
                    .at(format!("entry `{name}`")));
            };
            found.push((name.to_owned(), self.stored(callee, arguments).at(format!("entry `{name}`"))?));
        }
        Ok(found)
    }

    /// The tensor that a call rebuilds.
    fn stored(&self, callee: usize, arguments: usize) -> Result<Stored> {
        let Object::Global(module, name) = &self.objects[callee] else { return Err(damaged()) };
        match (module.as_str(), name.as_str(), self.list(arguments)?) {
            ("torch._utils", "_rebuild_parameter", [data, ..]) => match self.objects[*data] {
                Object::Call(callee, arguments) if callee != *data => self.rebuilt(callee, arguments),
                _ => Err(damaged()),
            },
            _ => self.rebuilt(callee, arguments),
        }
    }

    fn rebuilt(&self, callee: usize, arguments: usize) -> Result<Stored> {
        match (&self.objects[callee], self.list(arguments)?) {
            (Object::Global(module, name), [storage, offset, shape, strides, ..])
                if module == "torch._utils" && name == "_rebuild_tensor_v2" =>
            {
                let Object::Outside(id) = self.objects[*storage] else { return Err(damaged()) };
                let [_, kind, key, ..] = self.list(id)? else { return Err(damaged()) };
                let Object::Global(_, kind) = &self.objects[*kind] else { return Err(damaged()) };
                Ok(Stored {
                    dtype: dtype(kind)?,
                    key: self.text(*key)?.to_owned(),
                    offset: self.size(*offset)?,
                    shape: self.sizes(*shape)?,
                    strides: self.sizes(*strides)?,
                })
            }
            (Object::Global(module, name), _) => Err(Error::work(format!(
                "expected a tensor, found a call of `{module}.{name}`; no code in a pickle is run"
            ))),
            _ => Err(damaged()),
        }
    }
}

fn dtype(storage: &str) -> Result<Dtype> {
    Ok(match storage {
        "FloatStorage" => Dtype::F32,
        "DoubleStorage" => Dtype::F64,
        "HalfStorage" => Dtype::F16,
        "BFloat16Storage" => Dtype::BF16,
        "IntStorage" => Dtype::I32,
        "LongStorage" => Dtype::I64,
        other => return Err(Error::work(format!("tensors of a `{other}` are not supported"))),
    })
}

/// Where the numbers of a tensor lie.
#[derive(Debug)]
struct Stored {
    dtype: Dtype,
    key: String,
    offset: usize,
    shape: Vec<usize>,
    strides: Vec<usize>,
}

impl Stored {
    #[cfg(test)]
    fn gather(&self, bytes: &[u8]) -> Result<(Vec<usize>, Vec<f32>)> {
        self.gather_from(&decode(self.dtype, bytes)?)
    }

    /// The numbers in the order of the axes, which a transposed tensor does not keep them in.
    fn gather_from(&self, storage: &[f32]) -> Result<(Vec<usize>, Vec<f32>)> {
        let outside = || Error::work(format!("shape {:?} reaches beyond its numbers", self.shape));
        let count = self.shape.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let count = count.filter(|count| *count <= storage.len()).ok_or_else(outside)?;
        if self.shape.len() != self.strides.len() {
            return Err(outside());
        }
        if count == 0 {
            return Ok((self.shape.clone(), Vec::new()));
        }
        let mut places = vec![self.offset];
        places.reserve(count);
        for (size, stride) in self.shape.iter().zip(&self.strides) {
            let steps =
                |place: usize| (0..*size).map(move |step| place.checked_add(step.checked_mul(*stride)?));
            places =
                places.iter().flat_map(|place| steps(*place)).collect::<Option<_>>().ok_or_else(outside)?;
        }
        let number = |place: &usize| storage.get(*place).copied().ok_or_else(outside);
        Ok((self.shape.clone(), places.iter().map(number).collect::<Result<_>>()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn a_call_is_noted_and_never_made() {
        // {"x": os.system("touch pwned")}, and the same call in place of the dictionary.
        let call = b"cos\nsystem\n(X\x0b\x00\x00\x00touch pwnedtR";
        let entry = [b"}X\x01\x00\x00\x00x".as_slice(), call, b"s."].concat();
        let message = Machine::run(&entry).unwrap().tensors().unwrap_err().to_string();
        assert!(message.contains("`os.system`; no code in a pickle is run"), "{message}");
        let whole = [call.as_slice(), b"."].concat();
        let message = Machine::run(&whole).unwrap().tensors().unwrap_err().to_string();
        assert!(message.contains("no code in a pickle is run"), "{message}");
    }

    #[test]
    fn nesting_and_repetition_cost_nothing() {
        // ((((...)))) a hundred thousand deep, and a list that holds itself.
        let deep = [b")".to_vec(), vec![0x85; 100_000], b".".to_vec()].concat();
        assert!(Machine::run(&deep).unwrap().tensors().is_err());
        assert!(Machine::run(b"]q\x00h\x00a.").unwrap().tensors().is_err());
        let endless = vec![b'N'; MOST + 2];
        assert!(Machine::run(&endless).err().unwrap().to_string().contains("more than"));
    }

    #[test]
    fn transposed_tensors_are_put_in_order_and_shapes_stay_within_their_numbers() {
        let stored = |offset, shape: &[usize], strides: &[usize]| Stored {
            dtype: Dtype::F32,
            key: String::new(),
            offset,
            shape: shape.to_vec(),
            strides: strides.to_vec(),
        };
        let bytes: Vec<u8> = (0..6).flat_map(|value| (value as f32).to_le_bytes()).collect();
        let (shape, values) = stored(0, &[3, 2], &[1, 3]).gather(&bytes).unwrap();
        assert_eq!((shape, values), (vec![3, 2], vec![0.0, 3.0, 1.0, 4.0, 2.0, 5.0]));
        assert!(stored(1, &[3, 2], &[1, 3]).gather(&bytes).is_err());
        assert!(stored(0, &[usize::MAX, 2], &[1, 1]).gather(&bytes).is_err());
        assert!(stored(0, &[2], &[usize::MAX]).gather(&bytes).is_err());
        assert!(stored(0, &[usize::MAX, 0], &[1, 1]).gather(&bytes).unwrap().1.is_empty());
        assert_eq!(stored(5, &[], &[]).gather(&bytes).unwrap().1, [5.0]);
    }

    #[test]
    fn no_damage_to_a_file_brings_more_than_an_error() {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/dictionaries");
        let sound = std::fs::read(fixtures.join("dictionary_learning-gated/ae.pt")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ae.pt");
        let attempt = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read(&path).is_ok()
        };
        assert!(attempt(&sound));
        for cut in (0..sound.len()).step_by(sound.len() / 60) {
            assert!(!attempt(&sound[..cut]), "cut at {cut}");
        }
        // The pickle itself: the numbers, which may be anything, come after it.
        let start = sound.windows(2).position(|pair| pair == [0x80, 2]).unwrap();
        let mut archive = Archive::open(&fixtures.join("dictionary_learning-gated/ae.pt"), "").unwrap();
        let member = archive.names().into_iter().find(|name| name.ends_with("data.pkl")).unwrap();
        let pickle = archive.read(&member).unwrap();
        assert_eq!(sound[start..start + pickle.len()], pickle);
        let mut stream = Stream::new(1, "test.pickle", &[]);
        for _ in 0..3000 {
            let mut bytes = pickle.clone();
            for _ in 0..=stream.below(3) {
                let place = stream.below(bytes.len());
                bytes[place] = stream.below(256) as u8;
            }
            let Ok(machine) = Machine::run(&bytes) else { continue };
            let Ok(tensors) = machine.tensors() else { continue };
            for (_, stored) in tensors {
                let _ = stored.gather(&[0; 64]);
            }
        }
    }
}
