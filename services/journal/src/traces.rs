//! Traces across the log: a record carries the `traceparent` of the request that appended it, and
//! whoever works on the record later continues that trace.

use std::fmt;
use std::sync::Arc;

use tracing::Span;

/// What makes a span of a name that continues a `traceparent`.
type MakeSpan = dyn Fn(&'static str, &str) -> Span + Send + Sync;

/// Makes spans that continue the traces of records. Off by default: then it costs a comparison.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<MakeSpan>>);

impl Traces {
    /// Traces whose spans `make` makes, of a name and of a W3C `traceparent`.
    pub fn new(make: impl Fn(&'static str, &str) -> Span + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(make)))
    }

    /// A span that ends when it is dropped; nothing where traces are off or the record is not traced.
    #[must_use]
    pub fn span(&self, name: &'static str, traceparent: Option<&str>) -> Option<Span> {
        Some(self.0.as_ref()?(name, traceparent?))
    }
}

impl PartialEq for Traces {
    fn eq(&self, other: &Self) -> bool {
        match (&self.0, &other.0) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        }
    }
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Traces(on)"
        } else {
            "Traces(off)"
        })
    }
}
