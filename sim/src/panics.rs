//! Remembers what a panic said.
//!
//! A panic in a task of a simulated host reaches the world as "a spawned task
//! panicked": tokio keeps the message to itself. A hook hears it first.

use std::cell::RefCell;
use std::panic;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Keeps the first message of a panic for [`take`] instead of printing it.
///
/// For programs that run worlds by the thousand, of which a failing one is told as a
/// story; without this a panic is printed as usual.
pub fn watch() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.to_string();
        LAST.with_borrow_mut(|last| {
            last.get_or_insert(message);
        });
    }));
}

/// The message of the first panic on this thread since this was last called.
pub(crate) fn take() -> Option<String> {
    LAST.take()
}
