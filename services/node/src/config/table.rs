//! Every setting of a process, once: name, default, meaning, and how its text becomes a value.
//!
//! [`process`] holds what a node is (roles, addresses, storage), [`tuning`] the limits and periods of
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
