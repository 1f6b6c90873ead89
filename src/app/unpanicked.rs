//! The application's code where its panic is to end nothing else.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// None if it panics; the log says `what` then. What panicked is not used again.
pub(super) fn unpanicked<T>(what: &str, run: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(run));
    if result.is_err() {
        tracing::error!("{what}");
    }
    result.ok()
}
