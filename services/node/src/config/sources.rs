//! Where settings come from, and the mistakes in them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use super::Config;
use super::table::{Setting, settings};

/// Prefix of our environment variables.
const PREFIX: &str = "WAKELINE_";
/// Variables that are no settings of a process: read by the client commands, or by the tests.
const NOT_SETTINGS: &[&str] = &["WAKELINE_TOKEN", "WAKELINE_URL", "WAKELINE_CONFIG"];
/// Tables of the file: a key in one stands for the setting of both names.
const SECTIONS: &[&str] = &["jwt"];
/// Variables under this prefix steer the tests and are left alone.
const TEST_PREFIX: &str = "WAKELINE_TEST_";

/// One thing that is wrong, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, or what was taken for one.
    pub setting: String,
    /// Where the value came from.
    pub origin: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.setting, self.origin, self.problem)
    }
}

/// Raw values by setting name, with where each came from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    values: BTreeMap<&'static str, (String, String)>,
    mistakes: Vec<Mistake>,
}

impl Sources {
    /// Reads the file, then the environment, then the flags; each overrides the ones before.
    #[must_use]
    pub fn read(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        flags: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Self {
        let mut sources = Self::default();
        if let Some(path) = file {
            sources.read_file(path);
        }
        sources.read_environment(environment);
        for (name, value) in flags {
            sources.values.insert(name, (value, format!("--{name}")));
        }
        sources
    }

    /// The same, with another default for one setting.
    #[must_use]
    pub fn with_default(mut self, name: &'static str, value: &str) -> Self {
        self.values
            .entry(name)
            .or_insert_with(|| (value.to_owned(), "default".to_owned()));
        self
    }

    /// The origin of a setting's value: a flag, a variable, the file or the default.
    #[must_use]
    pub fn origin(&self, name: &str) -> &str {
        self.values
            .get(name)
            .map_or("default", |(_, origin)| origin.as_str())
    }

    /// The raw value of a setting.
    #[must_use]
    pub fn value(&self, setting: &Setting) -> String {
        self.values
            .get(setting.name)
            .map_or_else(|| setting.default.to_owned(), |(value, _)| value.clone())
    }

    /// The effective configuration, and every mistake in it. A setting with a mistake keeps its default.
    #[must_use]
    pub fn resolve(&self) -> (Config, Vec<Mistake>) {
        let mut config = Config::default();
        let mut mistakes = self.mistakes.clone();
        for setting in settings() {
            let value = self.value(setting);
            if value.is_empty() && setting.default.is_empty() {
                continue;
            }
            if let Err(problem) = (setting.apply)(&mut config, &value) {
                let shown = if setting.secret {
                    "the value"
                } else {
                    &format!("`{value}`")
                };
                mistakes.push(Mistake {
                    setting: setting.name.to_owned(),
                    origin: self.origin(setting.name).to_owned(),
                    problem: format!("{shown} {problem}"),
                });
            }
        }
        (config, mistakes)
    }

    fn read_file(&mut self, path: &Path) {
        let origin = path.display().to_string();
        let mistake = |setting: &str, problem: String| Mistake {
            setting: setting.to_owned(),
            origin: origin.clone(),
            problem,
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                return self
                    .mistakes
                    .push(mistake("config", format!("cannot be read: {error}")));
            }
        };
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                return self
                    .mistakes
                    .push(mistake("config", format!("is not TOML: {error}")));
            }
        };
        for (key, value) in table {
            if let (toml::Value::Table(section), true) = (&value, SECTIONS.contains(&key.as_str())) {
                for (member, value) in section {
                    self.take(&origin, &format!("{key}."), member, value);
                }
            } else {
                self.take(&origin, "", &key, &value);
            }
        }
    }

    /// Takes one key of the file; within a section, `section.key` is the setting `section_key`.
    fn take(&mut self, origin: &str, section: &str, key: &str, value: &toml::Value) {
        let prefix = section.replace('.', "_");
        let mistake = |problem: String| Mistake {
            setting: format!("{section}{key}"),
            origin: origin.to_owned(),
            problem,
        };
        let wanted = format!("{prefix}{key}");
        let Some(setting) = settings().find(|setting| setting.key() == wanted) else {
            let known = settings().map(Setting::key);
            let known = known.filter_map(|known| Some(known.strip_prefix(prefix.as_str())?.to_owned()));
            return self.mistakes.push(mistake(unknown(key, known)));
        };
        match text_of(value) {
            Some(text) => {
                self.values.insert(setting.name, (text, origin.to_owned()));
            }
            None => self
                .mistakes
                .push(mistake("must be a text, number, boolean or list of them".into())),
        }
    }

    fn read_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) {
        for (variable, value) in environment {
            if !variable.starts_with(PREFIX)
                || variable.starts_with(TEST_PREFIX)
                || NOT_SETTINGS.contains(&variable.as_str())
            {
                continue;
            }
            match settings().find(|setting| setting.variable() == variable) {
                Some(setting) => {
                    self.values.insert(setting.name, (value, variable));
                }
                None => self.mistakes.push(Mistake {
                    problem: unknown(&variable, variables()),
                    origin: "environment".into(),
                    setting: variable,
                }),
            }
        }
    }
}

fn variables() -> impl Iterator<Item = String> {
    let others = NOT_SETTINGS.iter().map(ToString::to_string);
    settings().map(Setting::variable).chain(others)
}

/// Says that a name is unknown, and which known one is closest.
fn unknown(name: &str, known: impl Iterator<Item = String>) -> String {
    let closest = known.map(|known| (distance(name, &known), known)).min();
    match closest {
        Some((steps, known)) if steps <= 3 => format!("is no setting; did you mean `{known}`?"),
        _ => "is no setting; `wakeline config check` lists them all".to_owned(),
    }
}

/// Edit distance (Levenshtein), for suggestions only.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

fn text_of(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(boolean) => Some(boolean.to_string()),
        toml::Value::Array(items) => items
            .iter()
            .map(text_of)
            .collect::<Option<Vec<_>>>()
            .map(|items| items.join(",")),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests;
