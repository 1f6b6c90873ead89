//! The task that ends ticks: timers, presence notices, and all writing.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::time::{Instant, Sleep};

use super::shard::Shard;
use super::streams::Written;
use crate::hub::{ConnId, Drops, Event, Reason};
use crate::net::Stream;

/// Connections written to before others get a turn.
const WRITES_PER_TURN: usize = 1024;

/// Bytes of a tick from which on writing goes before everything else, so that a tick's memory is bounded.
const TICK_BYTES_MAX: usize = 8 << 20;

/// Ends ticks for as long as the shard lives.
///
/// A tick ends when every task that was ready has had its turn: the first
/// change of a tick wakes this task, and it runs behind those that are ready
/// already. What they said by then goes out in one write per connection.
pub(super) async fn run_ticker<S: Stream>(shard: Rc<Shard<S>>) {
    let mut timer: Option<Pin<Box<Sleep>>> = None;
    let mut scratch = Vec::new();
    // tokio's budget would make the 129th ready socket look like one that
    // blocks, and so build a backlog for it.
    let ticks = poll_fn(|cx| {
        shard.core.set_ticker(cx.waker());
        shard.core.end_tick();
        if flush(&shard, &mut scratch) {
            cx.waker().wake_by_ref();
        }
        if arm(&shard, &mut timer, cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    });
    tokio::task::unconstrained(ticks).await;
}

/// Sets the timer for the next deadline; ready if that has come.
fn arm<S: Stream>(
    shard: &Shard<S>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let Some(deadline) = shard.core.arm().map(Instant::from_std) else {
        *timer = None;
        return Poll::Pending;
    };
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
    if timer.deadline() != deadline {
        timer.as_mut().reset(deadline);
    }
    timer.as_mut().poll(cx)
}

/// Writes what is pending; true if some is left for the next turn.
fn flush<S: Stream>(shard: &Shard<S>, scratch: &mut Vec<u8>) -> bool {
    let (mut slow, mut bytes): (Vec<(ConnId, Written)>, u64) = (Vec::new(), 0);
    let left = shard.core.with_outbox(|outbox| {
        let streams = &mut *shard.streams.borrow_mut();
        let mut writes = 0;
        while let Some(conn) = outbox.next_dirty() {
            let run = outbox.take(conn, scratch);
            if !run.bytes().is_empty() {
                bytes += run.bytes().len() as u64;
                let before = streams.dropped();
                let written = streams.write(conn, run);
                // A packet that does not fit behind nothing is dropped, and nothing waits.
                if written != Written::All || streams.dropped() > before {
                    slow.push((conn, written));
                }
            }
            writes += 1;
            if writes >= WRITES_PER_TURN && outbox.bytes() < TICK_BYTES_MAX {
                return outbox.is_dirty();
            }
        }
        streams.end_tick();
        false
    });
    shard.core.note_written(bytes);
    scratch.clear();
    scratch.shrink_to(READY_BYTES);
    let dropped =
        if slow.is_empty() { Drops::default() } else { shard.streams.borrow_mut().take_drops() };
    if dropped != Drops::default() {
        shard.core.count(|counters| counters.dropped += dropped);
    }
    for (conn, written) in slow {
        match written {
            Written::All => {}
            Written::Failed => {
                shard.core.handle(Event::Gone { conn, reason: Reason::TransportError })
            }
            Written::Full => {
                shard.core.count(|counters| counters.slow_readers += 1);
                shard.core.handle(Event::Gone { conn, reason: Reason::SlowReader });
            }
            Written::Some => shard.core.set_congested(conn, true),
        }
        let is_open = matches!(written, Written::All | Written::Some);
        if is_open && dropped.by_policy() > 0 {
            // Perhaps not for this one, but it is as slow as who lost something.
            shard.core.handle(Event::Lossy { conn });
        }
    }
    left
}

/// Memory for gathering that is kept from tick to tick, in bytes.
const READY_BYTES: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::task::{LocalSet, spawn_local, yield_now};

    use super::*;
    use crate::app::Io;
    use crate::hub::{Loss, Opening};
    use crate::server::Config;
    use crate::shard::Exchange;

    /// Connections that are open, their ticker running, and the peers' ends.
    async fn shard_with(
        connections: usize,
        buffer_bytes: usize,
    ) -> (Rc<Shard<DuplexStream>>, Vec<ConnId>, Vec<DuplexStream>) {
        let shard = Shard::new(Exchange::alone(), Config::default(), None, Io::default());
        let shard = Rc::new(shard.0);
        spawn_local(run_ticker(Rc::clone(&shard)));
        let (mut conns, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..connections {
            let (stream, peer) = duplex(buffer_bytes);
            let conn = shard.streams.borrow_mut().insert(stream);
            shard.core.open(conn, Opening::default(), None, Waker::noop());
            conns.push(conn);
            peers.push(peer);
        }
        yield_now().await;
        (shard, conns, peers)
    }

    #[tokio::test(flavor = "current_thread")]
    async fn idle_readers_beyond_a_tasks_budget_get_no_backlog() {
        let test = async {
            let (shard, conns, _peers) = shard_with(1000, 1 << 16).await;
            for _ in 0..3 {
                shard.core.with_outbox(|outbox| outbox.push(b"message", &conns, Loss::Never));
                shard.core.end_tick();
                shard.core.send_frame(conns[0], b"wakes the ticker");
                yield_now().await;
                let mut streams = shard.streams.borrow_mut();
                let slow = conns.iter().filter(|&&conn| streams.has_backlog(conn)).count();
                assert_eq!(slow, 0, "connections with a backlog");
            }
        };
        LocalSet::new().run_until(test).await;
    }

    #[tokio::test(flavor = "current_thread")]
    async fn only_who_does_not_read_gets_a_backlog_and_is_closed_at_its_bound() {
        let test = async {
            let (shard, conns, mut peers) = shard_with(2, 256).await;
            let packet = vec![b'x'; 1 << 16];
            for sent in 1..=Config::default().outbound_bytes_max / packet.len() + 1 {
                assert_eq!(shard.core.closing(conns[0]), None, "after {sent} packets");
                shard.core.send_frame(conns[0], &packet);
                shard.core.send_frame(conns[1], b"small");
                let mut small = [0; 256];
                while !peers[1]
                    .read(&mut small)
                    .await
                    .is_ok_and(|read| small[..read].ends_with(b"small"))
                {}
                assert!(!shard.streams.borrow_mut().has_backlog(conns[1]));
            }
            assert_eq!(shard.core.closing(conns[0]), Some(crate::shard::Closing::Now));
            assert_eq!(shard.core.closing(conns[1]), None);
            assert_eq!(shard.core.counters().slow_readers, 1);
            let (_, queued) = shard.streams.borrow().census();
            let bytes_max = Config::default().outbound_bytes_max;
            assert!((bytes_max - packet.len()..=bytes_max).contains(&queued.bytes_peak));
            assert!(queued.packets_peak > bytes_max / packet.len() - 2);
        };
        LocalSet::new().run_until(test).await;
    }
}
