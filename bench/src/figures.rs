//! Median and spread of a few runs, and a table's row. Pure.

use std::fmt;

/// Figures of the same thing from several runs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spread {
    sorted: Vec<f64>,
}

impl Spread {
    /// Of `figures`, in any order.
    pub(crate) fn new(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().filter(|figure| figure.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        Self { sorted }
    }

    /// The middle one; between the two in the middle where there are two. Not a number without any.
    pub(crate) fn median(&self) -> f64 {
        let count = self.sorted.len();
        match (
            self.sorted.get(count.wrapping_sub(1) / 2),
            self.sorted.get(count / 2),
        ) {
            (Some(low), Some(high)) => f64::midpoint(*low, *high),
            _ => f64::NAN,
        }
    }

    /// Least and greatest.
    pub(crate) fn range(&self) -> (f64, f64) {
        let none = f64::NAN;
        (
            self.sorted.first().copied().unwrap_or(none),
            self.sorted.last().copied().unwrap_or(none),
        )
    }
}

/// What a ratio says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sense {
    /// More is better: 0.8 means four fifths of the limit were reached.
    Rate,
    /// Less is better: 1.3 means a third more than the limit was spent.
    Cost,
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The scenario's name.
    pub(crate) scenario: &'static str,
    /// Which form of it.
    pub(crate) variant: String,
    /// What was measured, with its unit.
    pub(crate) measure: &'static str,
    /// How the ratio reads.
    pub(crate) sense: Sense,
    /// The product's figures, one a run.
    pub(crate) product: Vec<f64>,
    /// What the limit is, in a few words.
    pub(crate) limit_is: &'static str,
    /// The limit's figures, one a run.
    pub(crate) limit: Vec<f64>,
    /// Context.
    pub(crate) notes: String,
}

impl Row {
    /// Median and spread of the ratios, each of one run.
    pub(crate) fn ratio(&self) -> Spread {
        Spread::new(
            self.product
                .iter()
                .zip(&self.limit)
                .map(|(product, limit)| product / limit),
        )
    }

    fn ratio_text(&self) -> String {
        let ratio = self.ratio();
        let (least, greatest) = ratio.range();
        let sign = match self.sense {
            Sense::Rate => "of",
            Sense::Cost => "×",
        };
        format!("{:.2} {sign} ({least:.2}–{greatest:.2})", ratio.median())
    }

    /// Head of the Markdown table.
    pub(crate) const HEAD: &'static str = "| scenario | variant | measure | Wakeline | limit | ratio: median (spread) | limit is | notes |\n\
         |---|---|---|---|---|---|---|---|\n";

    /// As a line of the Markdown table.
    pub(crate) fn markdown(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
            self.scenario,
            self.variant,
            self.measure,
            short(Spread::new(self.product.iter().copied()).median()),
            short(Spread::new(self.limit.iter().copied()).median()),
            self.ratio_text(),
            self.limit_is,
            self.notes,
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<8} {:<26} {:<24} {:>9} limit {:>9}  ratio {:<22} {}",
            self.scenario,
            self.variant,
            self.measure,
            short(Spread::new(self.product.iter().copied()).median()),
            short(Spread::new(self.limit.iter().copied()).median()),
            self.ratio_text(),
            self.notes,
        )
    }
}

/// A figure with three digits that matter.
pub(crate) fn short(figure: f64) -> String {
    match figure.abs() {
        size if size >= 1e6 => format!("{:.2}M", figure / 1e6),
        size if size >= 1e4 => format!("{:.1}k", figure / 1e3),
        size if size >= 100.0 => format!("{figure:.0}"),
        size if size >= 1.0 => format!("{figure:.2}"),
        _ => format!("{figure:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert_eq!(Spread::new([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Spread::new([4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(Spread::new([]).median().is_nan());
    }

    #[test]
    fn a_ratio_is_taken_within_a_run() {
        let row = Row {
            scenario: "fanout",
            variant: String::new(),
            measure: "",
            sense: Sense::Rate,
            product: vec![50.0, 90.0],
            limit_is: "",
            limit: vec![100.0, 90.0],
            notes: String::new(),
        };
        assert_eq!(row.ratio().range(), (0.5, 1.0));
        assert_eq!(row.ratio_text(), "0.75 of (0.50–1.00)");
    }
}
