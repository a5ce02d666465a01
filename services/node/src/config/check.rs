//! `wakeline config check`: the effective configuration and all its mistakes.

use std::io::{self, Write};

use super::table::settings;
use super::{Config, Mistake, Sources};

/// Mistakes that only show when settings are seen together.
#[must_use]
pub fn together(config: &Config, needs_storage: bool) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    let mut add = |setting: &str, problem: String| {
        mistakes.push(Mistake {
            setting: setting.to_owned(),
            origin: "settings together".to_owned(),
            problem,
        });
    };
    if needs_storage && let Err(problem) = config.storage() {
        add("data, kafka, cql", problem);
    }
    if config.tls_cert.is_some() != config.tls_key.is_some() {
        add("tls-cert, tls-key", "one needs the other".into());
    }
    if config.cql_user.is_some() != config.cql_password.is_some() {
        add("cql-user, cql-password", "one needs the other".into());
    }
    if config.default_spread > config.partitions {
        add(
            "default-spread",
            format!(
                "{} is more than the {} partitions",
                config.default_spread, config.partitions
            ),
        );
    }
    if config.data.is_some() && !(config.roles == super::Roles::ALL) {
        add(
            "role",
            "the embedded engine is one process: it runs all roles".into(),
        );
    }
    if config.projector.offline_after <= config.projector.stale_after {
        add("offline-after", "must be longer than `stale-after`".into());
    }
    if let Err(invalid) = access::http::Origins::new(&config.front_door.allowed_origins) {
        add("allowed-origins", invalid.to_string());
    }
    for (setting, problem) in config.jwt.mistakes() {
        add(setting, problem);
    }
    mistakes
}

/// Prints every setting with its value and where it comes from, then the mistakes.
///
/// # Errors
/// When `out` takes no more.
pub fn report(out: &mut impl Write, sources: &Sources, mistakes: &[Mistake]) -> io::Result<()> {
    let width = settings().map(|setting| setting.name.len()).max().unwrap_or(0);
    for setting in settings() {
        let value = sources.value(setting);
        let shown = match (value.is_empty(), setting.secret) {
            (true, _) => "(none)".to_owned(),
            (false, true) => "********".to_owned(),
            (false, false) => value,
        };
        writeln!(
            out,
            "{:width$}  {shown}  ({})",
            setting.name,
            sources.origin(setting.name)
        )?;
    }
    if mistakes.is_empty() {
        return writeln!(out, "\nno mistakes");
    }
    writeln!(
        out,
        "\n{} to correct:",
        if mistakes.len() == 1 {
            "1 mistake"
        } else {
            "mistakes"
        }
    )?;
    for mistake in mistakes {
        writeln!(out, "  {mistake}")?;
    }
    Ok(())
}
