//! What a run says: lines as they come, and a Markdown table in the end.

use std::fs;
use std::path::Path;

use crate::error::{Error, io};
use crate::figures::Row;
use crate::machine;
use crate::rig::Rig;

/// Prints a line.
#[expect(clippy::print_stdout, reason = "a program whose output is its report")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// The rows so far, and where they come from.
pub(crate) struct Report {
    head: String,
    rows: Vec<Row>,
}

impl Report {
    /// An empty one.
    pub(crate) fn new(rig: &Rig) -> Self {
        let command: Vec<String> = std::env::args().skip(1).collect();
        let build = if cfg!(debug_assertions) {
            "debug build: the figures mean nothing"
        } else {
            "release build"
        };
        Self {
            head: format!(
                "bench {}\n{}\n{}; {build}\n{} runs of {:?} each, product and limit in turn",
                command.join(" "),
                machine::description(),
                rig.cores,
                rig.options.runs(),
                rig.options.length(),
            ),
            rows: Vec::new(),
        }
    }

    /// What stands above the table.
    pub(crate) fn head(&self) -> String {
        format!("{}\n", self.head)
    }

    /// Adds a row.
    pub(crate) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Writes the table as Markdown to `path`, if any.
    pub(crate) fn write(&self, path: Option<&Path>) -> Result<(), Error> {
        let Some(path) = path else { return Ok(()) };
        let mut text = String::from("# Benchmark\n\n");
        for line in self.head.lines() {
            text.push_str(&format!("- {line}\n"));
        }
        text.push('\n');
        text.push_str(Row::HEAD);
        for row in &self.rows {
            text.push_str(&row.markdown());
        }
        fs::write(path, text).map_err(io(path.display().to_string()))
    }
}
