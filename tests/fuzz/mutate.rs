//! Keyed changes of bytes and of text.

use deltascope::rng::Stream;

/// What makes readers stumble, in texts.
const WORDS: [&str; 44] = [
    "0",
    "-1",
    "1",
    "2",
    "1e308",
    "-0.0",
    "9223372036854775807",
    "18446744073709551616",
    "4294967295",
    "1000000000",
    "65536",
    "0.5",
    "null",
    "true",
    "false",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "\"x\"",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "{\"a\":1}",
    "NaN",
    "Infinity",
    ",",
    ":",
    "\"",
    "\\",
    "\u{202e}",
    "\u{1b}[2J",
    "🙂",
    "%",
    "{%",
    "%}",
    "{{",
    "}}",
    "10**9",
    "|",
    "(",
    ")",
    "#",
    "\n",
    "'",
];

/// Changes `content` in one to four places.
pub(crate) fn mutated(content: &[u8], others: &[u8], is_text: bool, stream: &mut Stream) -> Vec<u8> {
    let mut bytes = content.to_vec();
    for _ in 0..=stream.below(4) {
        if is_text && stream.below(4) > 0 {
            of_text(&mut bytes, stream)
        } else {
            of_bytes(&mut bytes, others, stream)
        }
    }
    bytes
}

fn of_bytes(bytes: &mut Vec<u8>, others: &[u8], stream: &mut Stream) {
    let length = bytes.len();
    if length == 0 {
        bytes.extend(others.iter().take(64));
        return;
    }
    let at = place(length, stream);
    let most = 1 << stream.below(10);
    let end = (at + 1 + stream.below(most)).min(length);
    match stream.below(11) {
        0 | 1 => bytes[at] ^= 1 << stream.below(8),
        2 | 3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, 0x15, 0xfe, 0x20][stream.below(8)],
        4 => bytes[at] = stream.below(256) as u8,
        5 => {
            let number =
                [0, 1, u64::MAX, 1 << 31, (1 << 31) - 1, 1 << 40, 1 << 62, u64::MAX - 7][stream.below(8)];
            let width = [2, 4, 8][stream.below(3)];
            for (byte, value) in bytes[at..].iter_mut().zip(number.to_le_bytes()).take(width) {
                *byte = value;
            }
        }
        6 => drop(bytes.drain(at..end)),
        7 => {
            let part = bytes[at..end].to_vec();
            let to = stream.below(length + 1);
            bytes.splice(to..to, part);
        }
        8 => bytes.truncate(at),
        9 if !others.is_empty() => {
            let from = stream.below(others.len());
            let part = &others[from..(from + 1 + stream.below(64)).min(others.len())];
            bytes.splice(at..end.min(at + part.len()), part.iter().copied());
        }
        _ => {
            // A number of several bytes with all of its digits on, as of a declared length.
            bytes.splice(at..at, [0xff, 0xff, 0xff, 0xff, 0x0f].into_iter().take(1 + stream.below(5)));
        }
    }
}

/// Headers and footers say more than what lies between.
fn place(length: usize, stream: &mut Stream) -> usize {
    let near = stream.below(length.min(256));
    match stream.below(4) {
        0 => near,
        1 => length - 1 - near,
        _ => stream.below(length),
    }
}

fn of_text(bytes: &mut Vec<u8>, stream: &mut Stream) {
    let word = WORDS[stream.below(WORDS.len())].as_bytes();
    let starts: Vec<usize> = tokens(bytes);
    let Some(start) = stream.choose(&starts).copied() else {
        bytes.extend(word);
        return;
    };
    let end = start + token(&bytes[start..]);
    match stream.below(8) {
        0..=2 => drop(bytes.splice(start..end, word.iter().copied())),
        3 => drop(bytes.splice(start..start, word.iter().copied())),
        4 => drop(bytes.drain(start..end)),
        5 => {
            let from = starts[stream.below(starts.len())];
            let part = bytes[from..(from + 1 + stream.below(200)).min(bytes.len())].to_vec();
            bytes.splice(start..start, part);
        }
        6 => {
            let from = starts[stream.below(starts.len())];
            let part = bytes[from..from + token(&bytes[from..])].to_vec();
            bytes.splice(start..end, part);
        }
        _ => {
            let part = bytes[start..end].to_vec();
            let count = [2, 16, 300, 5000][stream.below(4)];
            bytes.splice(start..start, part.into_iter().take(8).collect::<Vec<_>>().repeat(count));
        }
    }
}

fn token(bytes: &[u8]) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-+".contains(byte) || !byte.is_ascii();
    bytes.iter().take_while(|byte| is_word(byte)).count().max(usize::from(!bytes.is_empty()))
}

fn tokens(bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_whitespace() {
            found.push(at);
        }
        at += token(&bytes[at..]);
    }
    found
}
