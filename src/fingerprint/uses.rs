//! What a file of Rust names of the other files of its crate.

use super::tokens::change;
use std::collections::BTreeSet;

/// The path of a module, from the root of the crate: `["study", "stages"]`.
pub(crate) type Module = Vec<String>;

/// What one file names.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    /// Modules declared as `mod name;`.
    pub(crate) declared: BTreeSet<String>,
    /// Every path that begins in this crate, as far as it is written out.
    pub(crate) paths: BTreeSet<Module>,
    /// Files whose text is compiled in, relative to the file itself.
    pub(crate) included: BTreeSet<String>,
    /// Templates, by their names.
    pub(crate) templates: BTreeSet<String>,
    /// Types that get methods of their own here.
    pub(crate) extended: BTreeSet<String>,
    /// Types that are defined here.
    pub(crate) defined: BTreeSet<String>,
}

impl Uses {
    /// What `tokens` name, of the file that is the module `own`.
    pub(crate) fn of(tokens: &[String], own: &[String]) -> Self {
        let word = |at: usize| tokens.get(at).map(String::as_str).unwrap_or_default();
        let mut uses = Self::default();
        for at in 0..tokens.len() {
            match (word(at), word(at + 2)) {
                ("mod", ";") => drop(uses.declared.insert(word(at + 1).to_owned())),
                ("include_str" | "include_bytes", "(") => drop(uses.included.insert(unquoted(word(at + 3)))),
                ("template", _) if word(at + 1) == "(" && word(at + 2) == "path" => {
                    uses.templates.insert(unquoted(word(at + 4)));
                }
                ("struct" | "enum" | "union", _) => drop(uses.defined.insert(word(at + 1).to_owned())),
                ("impl", _) if at == 0 || matches!(word(at - 1), "}" | "{" | ";" | "]" | "unsafe") => {
                    uses.extended.extend(extended(&tokens[at + 1..]))
                }
                _ => {}
            }
        }
        uses.read_paths(tokens, own);
        uses
    }

    fn read_paths(&mut self, tokens: &[String], own: &[String]) {
        let word = |at: usize| tokens.get(at).map(String::as_str).unwrap_or_default();
        let mut module: Module = own.to_vec();
        // The depths at which modules within the file end.
        let (mut depth, mut ends): (i32, Vec<i32>) = (0, Vec::new());
        for at in 0..tokens.len() {
            if word(at) == "mod" && word(at + 2) == "{" {
                module.push(word(at + 1).to_owned());
                ends.push(depth);
            }
            depth += change(word(at));
            if word(at) == "}" && ends.last() == Some(&depth) {
                ends.pop();
                module.pop();
            }
            if word(at + 1) != "::" || (at > 0 && word(at - 1) == "::") {
                continue;
            }
            let mut next = at + 2;
            let start = match word(at) {
                "crate" => Module::new(),
                "self" => module.clone(),
                "super" => {
                    let mut start = parent(&module);
                    while word(next) == "super" {
                        start = parent(&start);
                        next += if word(next + 1) == "::" { 2 } else { 1 };
                    }
                    start
                }
                // A module that this file declares may be named without more.
                child if self.declared.contains(child) => [own, &[child.to_owned()]].concat(),
                _ => continue,
            };
            self.follow(tokens, next, start);
        }
    }

    /// Adds the paths that go on at token `at` from `start`; returns the token after them.
    fn follow(&mut self, tokens: &[String], mut at: usize, mut start: Module) -> usize {
        let word = |at: usize| tokens.get(at).map(String::as_str).unwrap_or_default();
        loop {
            match word(at) {
                "{" => {
                    at += 1;
                    while at < tokens.len() && word(at) != "}" {
                        at = self.follow(tokens, at, start.clone());
                        // Another name, and the comma.
                        while at < tokens.len() && !matches!(word(at), "," | "}") {
                            at += 1;
                        }
                        at += usize::from(word(at) == ",");
                    }
                    return at + 1;
                }
                "self" => {
                    self.paths.insert(start);
                    return at + 1;
                }
                name if is_name(name) => {
                    start.push(name.to_owned());
                    at += 1;
                    if word(at) != "::" {
                        self.paths.insert(start);
                        return at;
                    }
                    at += 1;
                }
                _ => {
                    self.paths.insert(start);
                    return at + 1;
                }
            }
        }
    }
}

fn parent(module: &[String]) -> Module {
    module.split_last().map(|(_, before)| before.to_vec()).unwrap_or_default()
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

fn unquoted(literal: &str) -> String {
    literal.trim_matches('"').to_owned()
}

/// The type that gets methods by `impl … {`, unless they are those of a trait.
fn extended(tokens: &[String]) -> Option<String> {
    let (mut angles, mut last) = (0i32, None);
    for token in tokens {
        match token.as_str() {
            "<" => angles += 1,
            ">" => angles -= 1,
            ">>" => angles -= 2,
            "for" if angles == 0 => return None,
            "{" | "where" | ";" | ")" | "," | "=" if angles <= 0 => break,
            name if angles == 0 && is_name(name) => last = Some(name.to_owned()),
            _ => {}
        }
    }
    // Methods that only the file's own folder can call make no difference elsewhere.
    let start = tokens.iter().position(|token| token == "{")?;
    let mut depth = 0;
    let block = tokens[start..].iter().take_while(|token| {
        depth += change(token);
        depth > 0
    });
    let block: Vec<&str> = block.map(String::as_str).collect();
    let is_public = block.windows(4).any(|four| match four {
        ["pub", "(", reach, ")"] => *reach == "crate",
        ["pub", "(", ..] => false,
        ["pub", ..] => true,
        _ => false,
    });
    last.filter(|name| is_public && name.starts_with(|first: char| first.is_uppercase()))
}
