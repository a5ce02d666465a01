//! Splits the text of a file into statements.

/// The statements of `text`, without comments (`--`, `//`, `/* */`) and semicolons. What stands in
/// quotes is left as it is.
#[must_use]
pub fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (length, piece) = match first {
            ';' => {
                statements.push(String::new());
                (1, "")
            }
            '\'' | '"' => quoted(rest, first),
            _ if rest.starts_with("--") || rest.starts_with("//") => {
                (rest.find('\n').unwrap_or(rest.len()), "")
            }
            _ if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |end| end + 2), " "),
            _ => (first.len_utf8(), &rest[..first.len_utf8()]),
        };
        if let Some(statement) = statements.last_mut() {
            statement.push_str(piece);
        }
        rest = &rest[length..];
    }
    statements
        .iter()
        .map(|statement| statement.trim().to_owned())
        .filter(|s| !s.is_empty())
        .collect()
}

/// A quoted piece and its length. A doubled quote inside reads as two pieces, which come out the same.
fn quoted(rest: &str, quote: char) -> (usize, &str) {
    let length = rest[1..].find(quote).map_or(rest.len(), |end| end + 2);
    (length, &rest[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons() {
        assert_eq!(
            statements("CREATE A;\n\nCREATE B\n  C;\n"),
            ["CREATE A", "CREATE B\n  C"]
        );
    }

    #[test]
    fn comments_are_left_out() {
        assert_eq!(
            statements("-- one; two\nA // three;\n;/* B; */ C /* open"),
            ["A", "C"]
        );
    }

    #[test]
    fn quoted_text_is_kept_whole() {
        assert_eq!(
            statements("A 'x; -- ''y'' /* z' \"c;d\"; B"),
            ["A 'x; -- ''y'' /* z' \"c;d\"", "B"]
        );
    }

    #[test]
    fn nothing_gives_no_statement() {
        assert_eq!(statements(" ;; \n-- only this"), Vec::<String>::new());
    }
}
