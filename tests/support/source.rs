//! Rust source text as the style rules see it: code without its comments and
//! literals, the paths it names, its functions.
//!
//! Not a parser: it knows just enough of the lexical grammar that a rule
//! neither trips over a comment nor overlooks a grouped import.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file of the repository.
pub(crate) struct Source {
    /// Its path from the root of the repository, with `/`.
    pub(crate) path: String,
    /// Its text as it is.
    pub(crate) text: String,
    /// Its text with comments and literals blanked out, line for line.
    pub(crate) code: String,
    /// Its code without the items that are compiled for tests only.
    pub(crate) production: String,
}

impl Source {
    /// A file of this name and text.
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = if path.ends_with(".rs") { code_of(text) } else { String::new() };
        let production = without_test_items(&code);
        Self { path: path.to_owned(), text: text.to_owned(), code, production }
    }

    /// The names of the modules in files of their own that are compiled for tests only.
    fn test_modules(&self) -> Vec<&str> {
        let after = self.code.split("#[cfg(test)]").skip(1);
        after
            .filter_map(|rest| rest.trim_start().strip_prefix("mod ")?.split_once(';'))
            .map(|(name, _)| name)
            .collect()
    }

    /// Where the files of this file's child modules lie.
    fn folder_of_children(&self) -> &str {
        let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        if matches!(file, "lib.rs" | "main.rs" | "mod.rs") {
            folder
        } else {
            self.path.trim_end_matches(".rs")
        }
    }
}

/// Every text file under the root of the repository that is not built or fetched.
pub(crate) fn files() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(root, &mut paths);
    paths.sort();
    let texts = paths.iter().filter_map(|path| Some((path, fs::read_to_string(path).ok()?)));
    texts
        .map(|(path, text)| {
            let path = path.strip_prefix(root).expect("every file lies under the root");
            Source::new(&path.to_string_lossy().replace('\\', "/"), &text)
        })
        .collect()
}

/// Every Rust file, and the ones among them that are compiled for tests only.
pub(crate) fn rust_files() -> Vec<Source> {
    let mut files = files();
    files.retain(|file| file.path.ends_with(".rs"));
    files
}

/// The Rust files that end up in a library or a binary.
pub(crate) fn production_files() -> Vec<Source> {
    let files = rust_files();
    let tests: Vec<String> = files
        .iter()
        .flat_map(|file| {
            file.test_modules()
                .into_iter()
                .map(|name| format!("{}/{name}", file.folder_of_children()))
        })
        .collect();
    let is_test = |path: &str| {
        path.split('/').any(|part| matches!(part, "benches" | "examples" | "tests"))
            || tests.iter().any(|test| {
                path.strip_prefix(test.as_str()).is_some_and(|rest| rest.starts_with(['/', '.']))
            })
    };
    files.into_iter().filter(|file| !is_test(&file.path)).collect()
}

const NOT_OURS: [&str; 3] = [".git", "node_modules", "target"];

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder can be listed") {
        let path = entry.expect("the folder can be listed").path();
        let ours = path.file_name().is_some_and(|name| NOT_OURS.iter().all(|other| name != *other));
        if path.is_dir() && ours {
            collect(&path, paths);
        } else if path.is_file()
            && ours
            && path.extension().is_none_or(|extension| extension != "tmp")
        {
            paths.push(path);
        }
    }
}

/// Blanks comments, strings and character literals, keeping every line break.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let after_name = code.ends_with(|last: char| last.is_alphanumeric() || last == '_');
        let length = literal_or_comment(rest, after_name);
        if length > 0 {
            code.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = &rest[length..];
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    code
}

/// How many bytes at the front of `text` are a comment or a literal.
fn literal_or_comment(text: &str, after_name: bool) -> usize {
    if text.starts_with("//") {
        return text.find('\n').unwrap_or(text.len());
    }
    if text.starts_with("/*") {
        return block_comment(text);
    }
    if text.starts_with('"') {
        return quoted(text, 1, '"');
    }
    if !after_name && text.starts_with(['b', 'c', 'r']) {
        let hashes_at = text.find(|c| !matches!(c, 'b' | 'c' | 'r')).unwrap_or(text.len());
        let (prefix, rest) = text.split_at(hashes_at);
        let hashes = rest.len() - rest.trim_start_matches('#').len();
        if prefix.len() <= 2 && prefix.ends_with('r') && rest[hashes..].starts_with('"') {
            let end = format!("\"{}", &rest[..hashes]);
            let start = hashes_at + hashes + 1;
            return text[start..].find(&end).map_or(text.len(), |at| start + at + end.len());
        }
    }
    if let Some(rest) = text.strip_prefix('\'') {
        let mut chars = rest.chars();
        // 'a' and '\n' are literals; 'a in &'a is a lifetime.
        return match (chars.next(), chars.next()) {
            (Some('\\'), _) => quoted(text, 1, '\''),
            (Some(c), Some('\'')) => 2 + c.len_utf8(),
            _ => 0,
        };
    }
    0
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, start: usize, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(start) {
        if !escaped && c == end {
            return at + 1;
        }
        escaped = !escaped && c == '\\';
    }
    text.len()
}

/// Every path `a::b::c` that the code names; grouped imports are flattened.
pub(crate) fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) =
        code[at..].find(|c: char| c.is_alphabetic() || c == '_').map(|start| at + start)
    {
        at = path_at(code, start, "", &mut found);
    }
    found
}

/// Reads the path that starts at `start`, with its groups; returns where it ends.
fn path_at(code: &str, start: usize, prefix: &str, found: &mut Vec<String>) -> usize {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let end = code[start..].find(|c| !is_name(c)).map_or(code.len(), |length| start + length);
    let path = format!("{prefix}{}", &code[start..end]);
    let Some(rest) = code[end..].strip_prefix("::") else {
        found.push(path);
        return end;
    };
    if rest.starts_with(is_name) {
        return path_at(code, end + 2, &format!("{path}::"), found);
    }
    if !rest.starts_with('{') {
        found.push(path);
        return end + 2;
    }
    let mut at = end + 3;
    while let Some(next) = code[at..].chars().next() {
        if next == '}' {
            return at + 1;
        }
        at = if is_name(next) {
            path_at(code, at, &format!("{path}::"), found)
        } else {
            at + next.len_utf8()
        };
    }
    at
}

/// Every function with a body: its name, the line it starts on, how many lines it has.
pub(crate) fn functions(code: &str) -> Vec<(String, usize, usize)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        if code[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String =
            code[start + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let (length, has_body) = item_end(&code[start..]);
        if !has_body || name.is_empty() {
            continue;
        }
        let line = 1 + code[..start].matches('\n').count();
        found.push((name, line, 1 + code[start..start + length].matches('\n').count()));
    }
    found
}

/// Blanks every item under `#[cfg(test)]`, keeping every line break.
fn without_test_items(code: &str) -> String {
    let mut production = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let (before, item) = rest.split_at(start);
        let (length, _) = item_end(item);
        production.push_str(before);
        production.extend(item[..length].chars().filter(|&c| c == '\n'));
        rest = &item[length..];
    }
    production + rest
}

/// How long the item at the front of `code` is, and whether it has a body in braces.
fn item_end(code: &str) -> (usize, bool) {
    let mut parentheses = 0;
    let mut braces = 0;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => parentheses += 1,
            ')' | ']' => parentheses -= 1,
            ';' if parentheses == 0 && braces == 0 => return (at + 1, false),
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces <= 0 {
                    return (at + 1, true);
                }
            }
            _ => {}
        }
    }
    (code.len(), false)
}
