//! Every setting of a process, once: name, default, meaning, and how its text becomes a value.
//!
//! `process` holds what a node is (roles, addresses, storage), `tuning` the limits and periods of
//! its parts.

use super::Config;

/// One setting.
pub struct Setting {
    /// Its name as a flag, without the dashes in front.
    pub name: &'static str,
    /// What stands for its value in help.
    pub metavar: &'static str,
    /// Its default as text; empty for none.
    pub default: &'static str,
    /// What it does, with units.
    pub help: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Puts its text into the configuration, or says what is wrong with it.
    pub apply: fn(&mut Config, &str) -> Result<(), String>,
}

impl Setting {
    /// Its key in the TOML file.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.replace('-', "_")
    }

    /// Its environment variable.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("WAKELINE_{}", self.name.replace('-', "_").to_uppercase())
    }

    /// Whether the flag stands without a value.
    #[must_use]
    pub fn is_switch(&self) -> bool {
        self.metavar.is_empty()
    }
}

mod process;
mod tuning;

/// Every setting, in the order of the help.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    process::SETTINGS.iter().chain(tuning::settings())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// The table as it stands in `SETTINGS.md`.
    fn markdown() -> String {
        let mut text = String::from(
            "# Settings\n\nEvery setting is a flag (`--name`), a variable (`WAKELINE_NAME`) and a key of the TOML file that \
             `--config` names (`name`, with `_` for `-`). A flag beats the environment, which beats the file. \
             `wakeline config check` prints what is in force, where it comes from, and all mistakes at once.\n\n\
             Limits of a tenant are per process.\n\n| setting | default | meaning |\n|---|---|---|\n",
        );
        for setting in settings() {
            let default = if setting.default.is_empty() {
                String::new()
            } else {
                format!("`{}`", setting.default)
            };
            let help = setting.help.replace('|', "\\|").replace('*', "\\*");
            writeln!(text, "| `{}` | {default} | {help} |", setting.name).unwrap();
        }
        text
    }

    #[test]
    fn every_setting_is_documented() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/SETTINGS.md");
        if std::env::var_os("WAKELINE_TEST_BLESS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(
            written,
            markdown(),
            "run the tests once with WAKELINE_TEST_BLESS=1 and commit SETTINGS.md"
        );
    }

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = settings().map(|setting| setting.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
