//! What carries messages between the shards of a process.
//!
//! Each shard has one inbox; each pair of shards keeps its order. A send never
//! waits, so no two shards can wait for each other. What bounds the queues is a
//! budget: all that a shard's own sockets and handlers cause elsewhere counts
//! against it until every shard concerned has taken its part. A shard over its
//! budget stops reading from its sockets, never from its inbox.
//!
//! ```text
//!  socket of A --Request(permit of A)--> home --Deliver(same permit)--> B, C
//!       ^                                                               |
//!       +---- read again <---- Resume <---- the last one dropped it <---+
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::seats::Seats;
use super::tally::Tally;
use crate::hub::Place;
use crate::hub::exchange::{Message, Request};
use crate::room::ShardId;

/// What a shard may have under way, in units of about a small message each.
const BUDGET: usize = 4096;

/// Bytes that count as one unit more.
const UNIT_BYTES: usize = 4096;

/// One shard's end of the exchange. It moves to the shard's thread.
pub struct Exchange {
    pub(super) links: Links,
    pub(super) inbox: Inbox,
}

/// The sending side.
pub(super) struct Links {
    pub(super) place: Place,
    /// By [`ShardId`]; the own one leads back to the own inbox.
    peers: Vec<UnboundedSender<Envelope>>,
    budget: Arc<Budget>,
    /// Of all shards together.
    pub(super) seats: Arc<Seats>,
}

/// The receiving side.
pub(super) struct Inbox {
    receiver: UnboundedReceiver<Envelope>,
    delays: Option<Delays>,
}

/// A message on its way.
pub(super) struct Envelope {
    pub(super) from: ShardId,
    pub(super) content: Content,
    /// Returned to who caused this when the last message that it caused has been taken.
    pub(super) permit: Option<Arc<Permit>>,
}

/// Something that only the drivers at both ends know.
pub type Parcel = Box<dyn std::any::Any + Send>;

/// What a message is about.
pub(super) enum Content {
    /// The sender's last session has gone: it will ask for nothing more, but on behalf of others'.
    Finished,
    /// For the hub.
    Message(Message),
    /// For the driver: something that clients of the sender want.
    Parcel(Parcel),
    /// To the shard itself: it is within its budget again.
    Resume,
}

/// What a shard has under way.
struct Budget {
    used: Tally,
    own_inbox: UnboundedSender<Envelope>,
    shard: ShardId,
}

/// A part of a shard's budget, given back when it is dropped.
pub(super) struct Permit {
    units: usize,
    budget: Arc<Budget>,
    /// Given back with this one.
    _with: Vec<Arc<Self>>,
}

/// The ends of an exchange between `shards` shards, one for each.
///
/// # Panics
///
/// If `shards` is 0.
pub fn mesh(shards: u8) -> Vec<Exchange> {
    assert!(shards > 0, "a server has at least one shard");
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..shards).map(|_| unbounded_channel()).unzip();
    let seats = Arc::new(Seats::default());
    let end = |(shard, receiver): (u8, _)| {
        let shard = ShardId(shard);
        let own_inbox = senders[usize::from(shard.0)].clone();
        let budget = Arc::new(Budget { used: Tally::default(), own_inbox, shard });
        let (place, seats) = (Place { shard, shards, secret: 0 }, Arc::clone(&seats));
        let links = Links { place, peers: senders.clone(), budget, seats };
        Exchange { links, inbox: Inbox { receiver, delays: None } }
    };
    (0..shards).zip(receivers).map(end).collect()
}

impl Exchange {
    /// The exchange of a server with one shard.
    pub fn alone() -> Self {
        mesh(1).pop().expect("one shard has one end")
    }

    /// Which shard this is for.
    pub fn place(&self) -> Place {
        self.links.place
    }

    /// Holds back what arrives here for as long as `delay` says, by sender,
    /// without changing the order of any one sender: for a simulation.
    #[must_use]
    pub fn delayed(mut self, delay: impl FnMut(ShardId) -> Duration + Send + 'static) -> Self {
        self.inbox.delays = Some(Delays::new(Box::new(delay)));
        self
    }
}

impl Links {
    /// Whether the shard has more under way than it may: it stops reading from its sockets.
    pub(super) fn is_over_budget(&self) -> bool {
        self.budget.used.has_reached(BUDGET)
    }

    /// A part of this shard's budget for a message that nobody else has caused.
    pub(super) fn permit(&self, message: &Message) -> Arc<Permit> {
        self.permit_for(weight_bytes(message))
    }

    /// A part of this shard's budget for something that holds so many bytes.
    pub(super) fn permit_for(&self, bytes: usize) -> Arc<Permit> {
        let units = 1 + bytes / UNIT_BYTES;
        self.budget.used.take(units);
        Arc::new(Permit { units, budget: Arc::clone(&self.budget), _with: Vec::new() })
    }

    /// One permit for what several others have caused together.
    pub(super) fn joint_permit(&self, with: Vec<Arc<Permit>>) -> Arc<Permit> {
        Arc::new(Permit { units: 0, budget: Arc::clone(&self.budget), _with: with })
    }

    pub(super) fn send(&self, to: ShardId, content: Content, permit: Option<Arc<Permit>>) {
        let envelope = Envelope { from: self.place.shard, content, permit };
        // A shard that has ended takes nothing any more.
        let _ = self.peers[usize::from(to.0)].send(envelope);
    }

    /// All shards but this one.
    pub(super) fn others(&self) -> impl Iterator<Item = ShardId> {
        let own = self.place.shard;
        (0..self.place.shards).map(ShardId).filter(move |&shard| shard != own)
    }
}

impl Inbox {
    pub(super) fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Option<Envelope>> {
        match &mut self.delays {
            None => self.receiver.poll_recv(cx),
            Some(delays) => delays.poll_receive(&mut self.receiver, cx),
        }
    }
}

impl Inbox {
    /// What has come already, without waiting. Nothing while messages are held
    /// back: what is held back has not come.
    pub(super) fn try_receive(&mut self) -> Option<Envelope> {
        if self.delays.is_some() { None } else { self.receiver.try_recv().ok() }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.budget.used.give_back(self.units, BUDGET) {
            let (from, content) = (self.budget.shard, Content::Resume);
            // The shard may have ended.
            let _ = self.budget.own_inbox.send(Envelope { from, content, permit: None });
        }
    }
}

/// About how much memory a message holds, apart from its fixed part.
fn weight_bytes(message: &Message) -> usize {
    match message {
        Message::Request { request: Request::Broadcast { packet, .. }, .. } => {
            packet.json.len() + packet.attachments.iter().map(bytes::Bytes::len).sum::<usize>()
        }
        Message::Answer { .. }
        | Message::Deliver(_)
        | Message::Entered { .. }
        | Message::Moved { .. }
        | Message::PutOut { .. }
        | Message::Reply(..)
        | Message::Request { .. }
        | Message::ServerSide { .. }
        | Message::Surrender { .. } => 0,
    }
}

/// Messages that are held back.
struct Delays {
    delay: Box<dyn FnMut(ShardId) -> Duration + Send>,
    /// By when they are due, and in the order in which they came.
    held: BTreeMap<(Instant, u64), Envelope>,
    /// When the last one of each sender is due.
    last: BTreeMap<ShardId, Instant>,
    count: u64,
    timer: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Delays {
    fn new(delay: Box<dyn FnMut(ShardId) -> Duration + Send>) -> Self {
        Self { delay, held: BTreeMap::new(), last: BTreeMap::new(), count: 0, timer: None }
    }

    fn poll_receive(
        &mut self,
        receiver: &mut UnboundedReceiver<Envelope>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Envelope>> {
        let now = Instant::now();
        while let Poll::Ready(envelope) = receiver.poll_recv(cx) {
            let Some(envelope) = envelope else { break };
            let due = now + (self.delay)(envelope.from);
            let last = self.last.entry(envelope.from).or_insert(due);
            *last = due.max(*last);
            self.count += 1;
            self.held.insert((*last, self.count), envelope);
        }
        let Some((&(due, _), _)) = self.held.first_key_value() else { return Poll::Pending };
        if due <= now {
            return Poll::Ready(self.held.pop_first().map(|(_, envelope)| envelope));
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        timer.as_mut().reset(due);
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("place", &self.links.place).finish_non_exhaustive()
    }
}
