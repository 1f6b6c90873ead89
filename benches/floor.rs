//! CPU per delivery of a fan-out, as a ratio to one bare `send()` of the same
//! bytes, both measured in this run: machines differ, the ratio less so.
//!
//! `cargo bench --bench floor`. The server has the first core, the receivers
//! have the second. One room of 100; bodies of 128 bytes; 1 and 16 messages in
//! flight. CPU is what the kernel accounts to the sending thread, which on
//! loopback includes the receiver's TCP input and its wake-up.

#[path = "support/peers.rs"]
mod peers;
#[path = "support/shard.rs"]
mod shard;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use parlor::websocket::{Opcode, encode};
use peers::{Peers, message_packet};
use rustix::thread::{CpuSet, Pid, gettid, sched_setaffinity};

const MEMBERS: usize = 100;
const BODY_BYTES: usize = 128;
const ROUNDS: usize = 5;

/// What one measurement found.
struct Cost {
    cpu_us_per_delivery: f64,
    frame_bytes: usize,
}

#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn main() {
    // `cargo test` builds and runs benches too, to see that they work.
    let is_trial = !std::env::args().any(|argument| argument == "--bench");
    let (rounds, messages) = if is_trial { (1, 32) } else { (ROUNDS, 4_000) };
    for in_flight in [1, 16] {
        let mut ratios = Vec::new();
        let mut costs = Vec::new();
        for _ in 0..rounds {
            let parlor = parlor_cost(in_flight, messages);
            let floor = floor_cost(in_flight, messages, parlor.frame_bytes);
            ratios.push(parlor.cpu_us_per_delivery / floor.cpu_us_per_delivery);
            costs.push((parlor.cpu_us_per_delivery, floor.cpu_us_per_delivery, parlor.frame_bytes));
        }
        ratios.sort_by(f64::total_cmp);
        costs.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (parlor, floor, bytes) = costs[rounds / 2];
        let (low, middle, high) = (ratios[0], ratios[rounds / 2], ratios[rounds - 1]);
        println!(
            "in flight {in_flight:>2}: parlor {parlor:.3} us per delivery of {bytes} bytes \
             ({:.2} M per CPU-second), send() {floor:.3} us; ratio {middle:.2} ({low:.2} to {high:.2})",
            1.0 / parlor,
        );
    }
}

/// Speaks `messages` times, never more than `in_flight` ahead of what all
/// members have heard; returns the deliveries.
fn in_window(
    in_flight: usize,
    messages: usize,
    peers: &mut Peers,
    mut speak: impl FnMut(&mut Peers),
) -> usize {
    let (mut sent, mut heard) = (0, 0);
    while heard < messages * MEMBERS {
        while sent < messages && sent < heard / MEMBERS + in_flight {
            speak(peers);
            sent += 1;
        }
        heard += peers.receive();
    }
    heard
}

/// A frame as a server sends it.
fn text_frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    encode(Opcode::Text, &[text.as_bytes()], None, &mut frame);
    frame
}

fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    // Without a second core the figures are worse, and still comparable.
    let _ = sched_setaffinity(None, &cores);
}

fn cpu_ns(thread: Pid) -> u64 {
    let path = format!("/proc/self/task/{}/schedstat", thread.as_raw_nonzero());
    let text = fs::read_to_string(path).expect("Linux accounts threads");
    text.split(' ').next().and_then(|ns| ns.parse().ok()).expect("schedstat begins with a number")
}

/// A real shard, driven by one speaker in a room of `MEMBERS` others.
fn parlor_cost(in_flight: usize, messages: usize) -> Cost {
    let listener = parlor::net::listen(([127, 0, 0, 1], 0).into()).expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (started, thread_id) = mpsc::sync_channel(1);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let shard = thread::spawn(move || {
        pin(0);
        started.send(gettid()).expect("awaited");
        shard::run(listener, stopped);
    });
    let shard_id = thread_id.recv().expect("the shard starts");
    pin(1);
    let mut peers = Peers::connect(address, MEMBERS + 1, "room");
    let packet = message_packet("room", BODY_BYTES);
    let mut drive =
        |messages| in_window(in_flight, messages, &mut peers, |peers| peers.send(0, &packet));
    drive(messages / 10);
    let before = cpu_ns(shard_id);
    let heard = drive(messages);
    let spent = cpu_ns(shard_id) - before;
    let frame_bytes = peers.frame_bytes();
    drop(peers);
    stop.send(()).expect("the shard runs");
    shard.join().expect("the shard ends");
    Cost { cpu_us_per_delivery: spent as f64 / 1e3 / heard as f64, frame_bytes }
}

/// The same deliveries as bare `send()` calls: nothing can cost less.
///
/// With several in flight each call still carries one message: the floor says
/// what a call costs, and the ratio falls below one by what is merged.
fn floor_cost(in_flight: usize, messages: usize, frame_bytes: usize) -> Cost {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let mut receivers = Vec::new();
    let mut senders = Vec::new();
    for _ in 0..=MEMBERS {
        receivers.push(TcpStream::connect(address).expect("the backlog is long enough"));
        let (sender, _) = listener.accept().expect("just connected");
        sender.set_nodelay(true).expect("a TCP socket");
        senders.push(sender);
    }
    let mut speaker = receivers.remove(0);
    let (report, result) = mpsc::sync_channel(1);
    let worker = thread::spawn(move || {
        pin(0);
        let control = senders.remove(0);
        let frame = text_frame(&"x".repeat(frame_bytes - 4));
        let mut wanted = [0; 16];
        let before = cpu_ns(gettid());
        let mut done = 0;
        while done < messages {
            let count =
                std::io::Read::read(&mut &control, &mut wanted).expect("the speaker speaks");
            for _ in 0..count {
                for sender in &senders {
                    let sent = rustix::net::send(sender, &frame, rustix::net::SendFlags::NOSIGNAL);
                    assert_eq!(sent, Ok(frame.len()), "the receiver keeps up");
                }
            }
            done += count;
        }
        report.send(cpu_ns(gettid()) - before).expect("awaited");
        // Not closed before the last message has been read.
        senders
    });
    pin(1);
    let mut peers = Peers::adopt(receivers);
    let heard = in_window(in_flight, messages, &mut peers, |_| {
        speaker.write_all(b"1").expect("the sender listens");
    });
    let spent = result.recv_timeout(Duration::from_secs(10)).expect("the sender is done");
    drop(worker.join().expect("the sender ends"));
    Cost { cpu_us_per_delivery: spent as f64 / 1e3 / heard as f64, frame_bytes }
}
