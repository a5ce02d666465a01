//! The tables of the CQL store: numbered files, compiled in, and the plan of which to apply.
//!
//! This crate talks to no server: `state::scylla` applies what [`plan`] says, in order, each once.

mod split;

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

pub use split::statements;

/// Every file, in order: number, name, text.
const FILES: &[(u32, &str, &str)] = &[
    (1, "devices", include_str!("../0001_devices.cql")),
    (2, "progress", include_str!("../0002_progress.cql")),
    (3, "history", include_str!("../0003_history.cql")),
    (4, "settings", include_str!("../0004_settings.cql")),
    (5, "rules", include_str!("../0005_rules.cql")),
];

/// One numbered file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    /// Its number, from 1, without gaps.
    pub number: u32,
    /// What it makes.
    pub name: &'static str,
    /// Its statements, as in the file.
    pub text: &'static str,
    /// SHA-256 of the text, in hexadecimal.
    pub checksum: String,
}

impl Migration {
    /// The name of its file.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{:04}_{}.cql", self.number, self.name)
    }

    /// Its statements, without comments and semicolons.
    #[must_use]
    pub fn statements(&self) -> Vec<String> {
        statements(self.text)
    }
}

/// Why the tables cannot be brought up to date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A file was changed after it had been applied.
    #[error(
        "migration {file} was applied with checksum {applied} and now has {found}: an applied file must not \
         be altered; restore it and put the change into a new file"
    )]
    Altered {
        /// The file.
        file: String,
        /// When it was applied.
        applied: String,
        /// Now.
        found: String,
    },
    /// The tables know a file that this program does not have.
    #[error(
        "migration {number} was applied and is not part of this program, which knows {known}: a newer version \
         made these tables; run that version or a later one"
    )]
    Missing {
        /// The number applied.
        number: u32,
        /// The last number that this program knows.
        known: u32,
    },
    /// Something was applied although a file before it was not, or the files of the program have a gap.
    #[error(
        "migration {found} follows {after}: numbers must have no gap, so something was applied by other means"
    )]
    Gap {
        /// The last number before the gap.
        after: u32,
        /// The number found.
        found: u32,
    },
}

/// Every migration, in order.
#[must_use]
pub fn all() -> &'static [Migration] {
    static ALL: LazyLock<Vec<Migration>> = LazyLock::new(|| {
        FILES
            .iter()
            .map(|(number, name, text)| migration(*number, name, text))
            .collect()
    });
    &ALL
}

/// What is still to be applied, in order, where `applied` was: numbers and checksums, in any order.
///
/// # Errors
/// When what was applied is no beginning of what this program knows.
pub fn plan(applied: &[(u32, String)]) -> Result<Vec<&'static Migration>, PlanError> {
    plan_of(all(), applied)
}

fn plan_of<'a>(all: &'a [Migration], applied: &[(u32, String)]) -> Result<Vec<&'a Migration>, PlanError> {
    check_gaps(all.iter().map(|migration| migration.number))?;
    let mut applied: Vec<_> = applied.iter().collect();
    applied.sort();
    check_gaps(applied.iter().map(|(number, _)| *number))?;
    if let Some((number, _)) = applied.get(all.len()) {
        return Err(PlanError::Missing {
            number: *number,
            known: all.len() as u32,
        });
    }
    for (migration, (_, checksum)) in all.iter().zip(&applied) {
        if migration.checksum != *checksum {
            return Err(PlanError::Altered {
                file: migration.file(),
                applied: checksum.clone(),
                found: migration.checksum.clone(),
            });
        }
    }
    Ok(all.iter().skip(applied.len()).collect())
}

fn check_gaps(numbers: impl Iterator<Item = u32>) -> Result<(), PlanError> {
    for (found, expected) in numbers.zip(1..) {
        if found != expected {
            return Err(PlanError::Gap {
                after: expected - 1,
                found,
            });
        }
    }
    Ok(())
}

fn migration(number: u32, name: &'static str, text: &'static str) -> Migration {
    let mut checksum = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        // Writing to a string cannot fail.
        write!(checksum, "{byte:02x}").ok();
    }
    Migration {
        number,
        name,
        text,
        checksum,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Migration> {
        vec![
            migration(1, "a", "A;"),
            migration(2, "b", "B;"),
            migration(3, "c", "C;"),
        ]
    }

    fn applied(of: &[Migration]) -> Vec<(u32, String)> {
        of.iter()
            .map(|migration| (migration.number, migration.checksum.clone()))
            .collect()
    }

    #[test]
    fn the_files_have_no_gap_and_each_has_statements() {
        assert_eq!(plan(&[]).unwrap().len(), all().len());
        for migration in all() {
            assert!(!migration.statements().is_empty(), "{}", migration.file());
        }
    }

    #[test]
    fn every_file_of_the_folder_is_compiled_in() {
        let mut files: Vec<_> = std::fs::read_dir(env!("CARGO_MANIFEST_DIR"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".cql"))
            .collect();
        files.sort();
        assert_eq!(files, all().iter().map(Migration::file).collect::<Vec<_>>());
    }

    #[test]
    fn the_plan_goes_on_where_the_tables_stand() {
        let all = three();
        assert_eq!(plan_of(&all, &applied(&all[..1])), Ok(vec![&all[1], &all[2]]));
        assert_eq!(plan_of(&all, &applied(&all)), Ok(vec![]));
        let mut shuffled = applied(&all[..2]);
        shuffled.reverse();
        assert_eq!(plan_of(&all, &shuffled), Ok(vec![&all[2]]));
    }

    #[test]
    fn an_altered_file_is_named() {
        let (all, mut known) = (three(), applied(&three()));
        known[1].1 = "0000".to_owned();
        let error = plan_of(&all, &known).unwrap_err();
        assert!(
            matches!(&error, PlanError::Altered { file, .. } if file == "0002_b.cql"),
            "{error}"
        );
    }

    #[test]
    fn tables_of_a_newer_version_are_told() {
        let all = three();
        assert_eq!(
            plan_of(&all[..2], &applied(&all)),
            Err(PlanError::Missing { number: 3, known: 2 })
        );
    }

    #[test]
    fn a_gap_is_told_on_either_side() {
        let all = three();
        let known = vec![applied(&all)[0].clone(), applied(&all)[2].clone()];
        assert_eq!(plan_of(&all, &known), Err(PlanError::Gap { after: 1, found: 3 }));
        assert_eq!(
            plan_of(&all[1..], &[]),
            Err(PlanError::Gap { after: 0, found: 2 })
        );
    }
}
