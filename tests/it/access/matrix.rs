//! Who may see what: one table of every way in and of everybody who tries it. Whatever comes over any of
//! them is searched, byte by byte, for what belongs to somebody else.
//!
//! `cargo test -p tests --test it matrix::the_table_in_markdown -- --nocapture` prints it.

pub(super) mod cast;
pub(super) mod cell;
mod markdown;
pub(super) mod row;
mod run;
pub(super) mod table;

use std::collections::BTreeSet;

use tests::world::World;

use cast::Cast;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_is_not_theirs() {
    let rows = table::rows();
    let cells = (0..).zip(&rows).flat_map(|(number, row)| row.cells(number));
    let cast = Cast::start().await;
    let findings = run::run(&cast, cells.collect()).await;
    let count = findings.0.len();
    assert!(
        findings.0.is_empty(),
        "{count} cells of the table do not hold:\n{}\n\n{}",
        findings.0.join("\n"),
        markdown::table(&rows)
    );
    cast.world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_table_has_every_way_in_and_no_other() {
    let world = World::start().await;
    let paths = world.node.paths();
    let answered: BTreeSet<(&str, &str)> = paths
        .iter()
        .flat_map(|path| path.methods.split(", ").map(|method| (method, path.pattern)))
        .collect();
    let rows = table::rows();
    let told: BTreeSet<(&str, &str)> = rows.iter().map(|row| (row.method, row.pattern)).collect();
    let missing: Vec<_> = answered.difference(&told).collect();
    assert!(missing.is_empty(), "the table lacks {missing:?}");
    let invented: Vec<_> = told.difference(&answered).collect();
    assert!(invented.is_empty(), "nobody answers {invented:?}");
    world.end().await;
}

#[test]
fn the_table_has_every_dialect() {
    let told: BTreeSet<&str> = table::rows().iter().map(|row| row.dialect).collect();
    let known: BTreeSet<&str> = gateway::dialect::names().collect();
    assert_eq!(told, known);
}

#[test]
fn the_table_in_markdown_has_every_way_in() {
    let rows = table::rows();
    let text = markdown::table(&rows);
    println!("{text}");
    for row in rows {
        let has_it = |line: &str| line.contains(row.method) && line.contains(row.pattern);
        assert!(text.lines().any(has_it), "{} {}", row.method, row.pattern);
    }
}
