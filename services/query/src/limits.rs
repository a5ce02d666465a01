//! What a filter may be.

/// Bounds on a filter, and what it may speak of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Length of its text.
    pub bytes_max: usize,
    /// Parentheses and NOTs within one another. Each level is a few calls on the stack, hence so few.
    pub depth_max: u8,
    /// Names in one path.
    pub names_max: usize,
    /// Whether `@` may stand in it: where there are changes there is a before.
    pub previous: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes_max: 4 * 1024,
            depth_max: 64,
            names_max: 64,
            previous: true,
        }
    }
}

impl Limits {
    /// The same without `@`, for a filter on devices as they are.
    #[must_use]
    pub const fn without_previous(self) -> Self {
        Self {
            previous: false,
            ..self
        }
    }
}
