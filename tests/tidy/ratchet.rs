//! A list of exceptions that may only become shorter and smaller: lines of `path number`.

use std::collections::BTreeMap;

/// Compares what is there with the list in `listed`; `free` is what needs no exception.
pub(crate) fn breaches(
    found: &BTreeMap<String, usize>,
    free: usize,
    list: &str,
    listed: &str,
) -> Vec<String> {
    let mut breaches = Vec::new();
    let mut exceptions = BTreeMap::new();
    for line in listed
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
    {
        match line
            .split_once(' ')
            .map(|(path, number)| (path, number.trim().parse::<usize>()))
        {
            Some((path, Ok(number))) => drop(exceptions.insert(path.to_owned(), number)),
            Some((_, Err(_))) | None => breaches.push(format!("{list}: {line:?} is no `path number`")),
        }
    }
    for (path, &number) in found.iter().filter(|(_, number)| **number > free) {
        match exceptions.get(path) {
            None => breaches.push(format!("{path} has {number}, at most {free} are allowed")),
            Some(&allowed) if number > allowed => {
                breaches.push(format!("{path} grew to {number}, {list} has {allowed}"));
            }
            Some(&allowed) if number < allowed => {
                breaches.push(format!(
                    "{path} shrank to {number}: well done, write it into {list}"
                ));
            }
            Some(_) => {}
        }
    }
    for path in exceptions.keys() {
        if found.get(path).is_none_or(|number| *number <= free) {
            breaches.push(format!(
                "{path} needs no exception any more: take it out of {list}"
            ));
        }
    }
    breaches
}

#[test]
fn an_exception_only_shrinks() {
    let found = |number| BTreeMap::from([("a.rs".to_owned(), number)]);
    let breaches = |number, listed| breaches(&found(number), 500, "list", listed).len();
    assert_eq!(breaches(500, ""), 0);
    assert_eq!(breaches(501, ""), 1, "new");
    assert_eq!(breaches(600, "# why\na.rs 600\n"), 0, "listed");
    assert_eq!(breaches(601, "a.rs 600"), 1, "grown");
    assert_eq!(breaches(599, "a.rs 600"), 1, "shrunk and not written down");
    assert_eq!(breaches(400, "a.rs 600"), 1, "needless");
    assert_eq!(breaches(400, "b.rs 600"), 1, "gone");
    assert_eq!(breaches(400, "b.rs"), 1, "no number");
}
