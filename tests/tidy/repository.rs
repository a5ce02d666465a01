//! The files of the repository: those that git tracks, or all that lie there where it is no clone.

use std::path::{Path, PathBuf};
use std::process::Command;

use toml::Table;

/// A text file.
pub(crate) struct File {
    /// From the root, with `/`.
    pub(crate) path: String,
    /// What it holds.
    pub(crate) text: String,
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().map(Path::to_path_buf).unwrap_or_default()
}

/// Paths of all files from the root, sorted.
pub(crate) fn paths() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output();
    let mut paths: Vec<String> = match listed {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8(output.stdout).expect("paths are UTF-8");
            names
                .split_terminator('\0')
                .map(str::to_owned)
                // Removed and not yet committed.
                .filter(|path| root().join(path).is_file())
                .collect()
        }
        Ok(_) | Err(_) => {
            let mut found = Vec::new();
            walk(&root(), &root(), &mut found);
            found
        }
    };
    paths.sort();
    paths
}

fn walk(root: &Path, folder: &Path, found: &mut Vec<String>) {
    for entry in folder.read_dir().expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        let name = path.strip_prefix(root).expect("it lies below the root");
        if path.is_dir() {
            if name != Path::new("target") && name != Path::new(".git") {
                walk(root, &path, found);
            }
        } else {
            found.push(name.to_string_lossy().replace('\\', "/"));
        }
    }
}

/// All text files whose path `wanted` takes.
pub(crate) fn files(wanted: impl Fn(&str) -> bool) -> Vec<File> {
    let files: Vec<File> = paths()
        .into_iter()
        .filter(|path| wanted(path))
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(File { path, text })
        })
        .collect();
    assert!(!files.is_empty(), "no file of that kind: the rule holds nothing");
    files
}

/// All Rust files.
pub(crate) fn rust() -> Vec<File> {
    files(|path| path.ends_with(".rs"))
}

/// One file that must be there.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The manifests of all crates of the workspace: path of its folder, and what it holds.
pub(crate) fn manifests() -> Vec<(String, Table)> {
    let workspace = table("Cargo.toml");
    let members = workspace["workspace"]["members"]
        .as_array()
        .expect("members are a list");
    members
        .iter()
        .map(|member| {
            let folder = member.as_str().expect("a member is a path").to_owned();
            let manifest = table(&format!("{folder}/Cargo.toml"));
            (folder, manifest)
        })
        .collect()
}

fn table(path: &str) -> Table {
    text(path)
        .parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of the crates under `section` of a manifest, those of single targets included.
pub(crate) fn dependencies(manifest: &Table, section: &str) -> Vec<String> {
    let mut names: Vec<String> = of_section(manifest, section);
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    for target in targets.into_iter().flatten().filter_map(|(_, it)| it.as_table()) {
        names.extend(of_section(target, section));
    }
    names
}

fn of_section(manifest: &Table, section: &str) -> Vec<String> {
    let Some(section) = manifest.get(section).and_then(toml::Value::as_table) else {
        return Vec::new();
    };
    let name = |(name, details): (&String, &toml::Value)| {
        let renamed = details.get("package").and_then(toml::Value::as_str);
        renamed.unwrap_or(name).to_owned()
    };
    section.iter().map(name).collect()
}
