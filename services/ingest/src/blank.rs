//! Blanks credentials in refused input before it is kept. Works on any text, since what is refused is
//! often no JSON, or cut: everything that stands behind a telling name goes.

/// Names of secrets that are looked for in one text.
const NAMED_MAX: usize = 100;
/// Stands in the place of a secret.
const BLANK: &str = "***";

/// A name that contains one of these, letters and digits only, names a secret.
const TELLING: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "authorization",
    "credential",
    "privatekey",
    "cookie",
];
/// As are these whole names: `code` is what a card or keypad sent to a lock.
const TELLING_WHOLE: [&str; 4] = ["auth", "bearer", "code", "pwd"];

/// `text` with the values behind names of secrets blanked. `named` are the sender's own secrets.
pub(crate) fn blank(text: &str, named: &[String]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    // A name without quotes stood last, and its value is still to come.
    let mut owed = false;
    while !rest.is_empty() {
        if !rest.starts_with('"') {
            let (plain, next) = rest.split_at(rest.find('"').unwrap_or(rest.len()));
            owed = blank_plain(plain, named, &mut out);
            rest = next;
            continue;
        }
        let (string, next) = rest.split_at(end_of_string(rest));
        if std::mem::take(&mut owed) {
            push_blank(&mut out);
            rest = next;
            continue;
        }
        let after = next.trim_start();
        if after.starts_with(':') && is_secret(&name(string), named) {
            let value = after[1..].trim_start();
            out.push_str(string);
            out.push_str(&next[..next.len() - value.len()]);
            push_blank(&mut out);
            rest = &value[end_of_value(value)..];
        } else {
            blank_plain(string, named, &mut out);
            rest = next;
        }
    }
    out
}

/// What `text` calls secret, wherever it does: also where it is no JSON as a whole.
pub(crate) fn named_secrets(text: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, key) in text.match_indices("\"secret\"") {
        let rest = text[at + key.len()..].trim_start();
        let Some(mut rest) = rest
            .strip_prefix(':')
            .and_then(|rest| rest.trim_start().strip_prefix('['))
        else {
            continue;
        };
        while let Some(start) = rest.find(['"', ']']) {
            if rest[start..].starts_with(']') || named.len() >= NAMED_MAX {
                break;
            }
            let (string, after) = rest[start..].split_at(end_of_string(&rest[start..]));
            named.push(name(string));
            rest = after;
        }
    }
    named
}

/// A reason for a refusal, which may quote what came, without what stands behind the name of a secret.
pub(crate) fn reason(text: &str, named: &[String]) -> String {
    let quoted = text.find('"').map(|start| &text[start..]);
    let is_telling = quoted.is_some_and(|quoted| is_secret(&name(&quoted[..end_of_string(quoted)]), named));
    match text.split_once(", not ") {
        Some((start, _)) if is_telling => format!("{start}, not what came"),
        Some(_) | None => blank(text, named),
    }
}

/// At most `bytes_max` of `text`, blanked.
pub(crate) fn excerpt(text: &str, named: &[String], bytes_max: usize) -> String {
    let mut excerpt = blank(cut(text, bytes_max), named);
    excerpt.truncate(cut(&excerpt, bytes_max).len());
    excerpt
}

fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn push_blank(out: &mut String) {
    out.push('"');
    out.push_str(BLANK);
    out.push('"');
}

/// The name that a quoted string is; without its end or with a bad escape, as it stands.
fn name(string: &str) -> String {
    serde_json::from_str(string).unwrap_or_else(|_| string.trim_matches('"').to_owned())
}

fn is_secret(name: &str, named: &[String]) -> bool {
    if named.iter().any(|secret| secret == name) {
        return true;
    }
    let plain: String = name
        .chars()
        .filter(|character| character.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    TELLING.iter().any(|telling| plain.contains(telling)) || TELLING_WHOLE.contains(&plain.as_str())
}

/// Index after the string that `text` begins with, or its end.
fn end_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

/// Index after the JSON value that `text` begins with, or its end.
fn end_of_value(text: &str) -> usize {
    match text.bytes().next() {
        Some(b'"') => end_of_string(text),
        Some(b'{' | b'[') => end_of_nested(text),
        Some(_) | None => text
            .find([',', '}', ']', ' ', '\n', '\r', '\t'])
            .unwrap_or(text.len()),
    }
}

fn end_of_nested(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut index = 0;
    while let Some(byte) = text.as_bytes().get(index) {
        match byte {
            b'"' => {
                index += end_of_string(&text[index..]);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        index += 1;
        if depth == 0 {
            return index;
        }
    }
    text.len()
}

/// Copies text without the structure of JSON, as in `token=abc` or `Authorization: Bearer abc`,
/// blanking what stands behind a telling word. Whether such a word stands last, without a value yet.
fn blank_plain(text: &str, named: &[String], out: &mut String) -> bool {
    let is_word = |character: char| character.is_alphanumeric() || matches!(character, '_' | '-');
    let mut rest = text;
    while let Some(start) = rest.find(is_word) {
        let (before, from_word) = rest.split_at(start);
        let length = from_word
            .find(|character| !is_word(character))
            .unwrap_or(from_word.len());
        let (word, after) = from_word.split_at(length);
        out.push_str(before);
        out.push_str(word);
        rest = after;
        let separated = after.trim_start_matches('\'').trim_start_matches([' ', '\t']);
        let Some(value) = separated.strip_prefix([':', '=']) else {
            continue;
        };
        if !is_secret(word, named) {
            continue;
        }
        let value = value.trim_start_matches([' ', '\t']);
        out.push_str(&after[..after.len() - value.len()]);
        if value.is_empty() {
            return true;
        }
        out.push_str(BLANK);
        let end = value
            .find(['&', ',', ';', '}', '"', '\\', '\r', '\n'])
            .unwrap_or(value.len());
        rest = &value[end..];
    }
    out.push_str(rest);
    false
}

#[cfg(test)]
mod tests;
