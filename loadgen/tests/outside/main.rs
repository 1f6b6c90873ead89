//! loadgen from outside: the binary, over real sockets.

#[path = "../../../tests/support/process.rs"]
#[expect(dead_code, reason = "the tests of the engine need more of it")]
mod process;

mod ledger;
mod reconnect;
mod running;
mod runs;
mod usage;
