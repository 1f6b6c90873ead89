//! loadgen: drives a Socket.IO chat with many clients and reports what is true.
mod args;
mod message;
mod options;
mod preflight;
mod recorder;
mod report;
mod resources;
mod schedule;
mod summary;
mod target;
mod verdict;

const EXIT_USAGE: u8 = 2;
const EXIT_CANNOT_CONNECT: u8 = 3;
const EXIT_VIOLATION: u8 = 4;
const EXIT_INVALID: u8 = 5;
const EXIT_SIGINT: u8 = 130;
const EXIT_SIGTERM: u8 = 143;
fn main() {}
