//! Whether a client is too fast, and what that means for it.
//!
//! Events over a rate are refused, or end the connection ([`RatePolicy`]); over a
//! rate of bytes a connection is not read for a while, which its owner does.

use std::time::Instant;

use super::addresses::Addresses;
use super::encode::Outgoing;
use super::session::Way;
use super::{
    Actions, Address, Bucket, ConnId, Hub, Limits, Payload, Rate, RatePolicy, Reason, SocketId,
    TurnedAway,
};
use crate::socketio::Kind;
use crate::websocket::close_code;

/// Bytes that are worth a read: a connection over its rate waits for as many.
const READ_BYTES_MIN: u64 = 4096;

const TOO_FAST: &str = r#"[{"ok":false,"error":"too fast"}]"#;
const TOO_FAST_EVENT: &str = r#"["error_message",{"ok":false,"error":"too fast"}]"#;

/// How fast connections and addresses may be, and how fast the latter are.
#[derive(Debug)]
pub(super) struct Meters {
    events: Option<Rate>,
    bytes: Option<Rate>,
    addresses: Addresses,
}

/// How fast one connection is.
#[derive(Debug)]
pub(super) struct Meter {
    address: Address,
    events: Bucket,
    bytes: Bucket,
}

impl Meters {
    pub(super) fn new(limits: &Limits, shards: u8) -> Self {
        let rates = &limits.rates;
        Self {
            events: Rate::new(rates.events_per_second, rates.burst),
            bytes: Rate::new(rates.bytes_per_second as u64, rates.burst),
            addresses: Addresses::new(rates, limits.connections_per_address_max, shards),
        }
    }

    /// Addresses of which something is known.
    pub(super) fn addresses(&self) -> usize {
        self.addresses.len()
    }

    fn measure_events(&self) -> bool {
        self.events.is_some() || self.addresses.events.is_some()
    }

    fn measure_bytes(&self) -> bool {
        self.bytes.is_some() || self.addresses.bytes.is_some()
    }
}

impl Hub {
    /// A connection begins, or a session that polls. Each is followed by one
    /// [`let_go`](Self::let_go) if it is let in.
    ///
    /// # Errors
    ///
    /// [`TurnedAway`] if it may not, for the sake of its address.
    pub fn let_in(&mut self, address: Address, now: Instant) -> Result<(), TurnedAway> {
        self.meters.addresses.enter(address, now)
    }

    /// What was let in has ended.
    pub fn let_go(&mut self, address: Address, now: Instant) {
        self.meters.addresses.leave(address, now);
    }

    /// Whether [`may_read`](Self::may_read) has anything to say, ever.
    pub fn measures_bytes(&self) -> bool {
        self.meters.measure_bytes()
    }

    /// How many bytes of a connection may be read now.
    ///
    /// # Errors
    ///
    /// When to ask again.
    pub fn may_read(&mut self, conn: ConnId, now: Instant) -> Result<usize, Instant> {
        let mut most = u64::MAX;
        let mut ready_at = now;
        self.with_byte_buckets(conn, |bucket, rate| {
            most = most.min(bucket.available(rate, now));
            ready_at = ready_at.max(bucket.ready_at(READ_BYTES_MIN.min(rate.burst()), rate, now));
        });
        if ready_at <= now {
            return Ok(usize::try_from(most).unwrap_or(usize::MAX));
        }
        Err(ready_at)
    }

    /// Notes bytes of a connection that have been read.
    pub fn note_read(&mut self, conn: ConnId, bytes: usize, now: Instant) {
        self.with_byte_buckets(conn, |bucket, rate| bucket.spend(bytes as u64, rate, now));
    }

    fn with_byte_buckets(&mut self, conn: ConnId, mut each: impl FnMut(&mut Bucket, Rate)) {
        let of_connection = self.meters.bytes;
        let Some(meter) = self.open_connection(conn).and_then(|here| here.meter.as_mut()) else {
            return;
        };
        if let Some(rate) = of_connection {
            each(&mut meter.bytes, rate);
        }
        let address = meter.address;
        let addresses = &mut self.meters.addresses;
        if let Some(rate) = addresses.bytes
            && let Some(known) = addresses.known(address)
        {
            each(&mut known.bytes, rate);
        }
    }

    /// Measures a connection that has just begun, if that is wanted.
    pub(super) fn set_meter(&mut self, conn: ConnId, address: Address) {
        if (self.meters.measure_events() || self.meters.measure_bytes())
            && let Some(connection) = self.open_connection(conn)
        {
            let (events, bytes) = (Bucket::default(), Bucket::default());
            connection.meter = Some(Box::new(Meter { address, events, bytes }));
        }
    }

    /// Whether an event of this connection is not too fast. One that is too fast
    /// for its address counts for its connection.
    pub(super) fn may_speak(&mut self, conn: ConnId, now: Instant) -> bool {
        if !self.meters.measure_events() {
            return true;
        }
        let of_connection = self.meters.events;
        let Some(meter) = self.open_connection(conn).and_then(|here| here.meter.as_mut()) else {
            return true;
        };
        if of_connection.is_some_and(|rate| !meter.events.take(1, rate, now)) {
            return false;
        }
        let address = meter.address;
        let addresses = &mut self.meters.addresses;
        let Some(rate) = addresses.events else { return true };
        addresses.known(address).is_none_or(|known| known.events.take(1, rate, now))
    }

    /// Does what is to be done with an event that is too fast. `asked` says whose
    /// it is, and under which number it is answered; none: it is not.
    pub(super) fn too_fast(
        &mut self,
        conn: ConnId,
        asked: Option<(SocketId, Option<u64>)>,
        actions: &mut Actions,
    ) {
        self.counters.events_refused += 1;
        match self.limits.rates.policy {
            RatePolicy::Disconnect => {
                self.counters.event_floods += 1;
                let code = close_code::POLICY_VIOLATION;
                self.end(conn, Some(code), Reason::EventFlood, actions);
            }
            RatePolicy::Refuse => {
                if let Some((socket, ack)) = asked {
                    self.refuse_event(conn, socket, ack, actions);
                }
            }
        }
    }

    fn refuse_event(
        &mut self,
        conn: ConnId,
        socket: SocketId,
        ack: Option<u64>,
        actions: &mut Actions,
    ) {
        let Some(id) = ack else {
            let payload = Payload { json: TOO_FAST_EVENT, attachments: &[] };
            return self.emit_now(socket, payload, Way::Plain, actions);
        };
        let payload = Payload { json: TOO_FAST, attachments: &[] };
        let answer = Outgoing::event(&self.at(socket.namespace).name, payload);
        self.send_to(conn, Outgoing { kind: Kind::Ack, id: Some(id), ..answer }, actions);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Action, Counters, Event, NamespaceId, Notification, Opening, Place, Rates};
    use super::*;
    use crate::room::IdSource;

    struct Same;

    impl IdSource for Same {
        fn random(&mut self) -> [u8; 15] {
            [7; 15]
        }
    }

    /// A hub with one client in `/`, and the time at which that began.
    fn hub_with(rates: Rates) -> (Hub, ConnId, Instant) {
        let rates = Rates { burst: Duration::from_secs(1), ..rates };
        let limits = Limits { rates, ..Limits::default() };
        let (now, mut actions) = (tokio::time::Instant::now().into_std(), Actions::default());
        let mut hub = Hub::new(Place::ALONE, limits, &["/"], Box::new(Same), false, now);
        let conn = ConnId { index: 0, generation: 1 };
        hub.let_in(Address::default(), now).unwrap();
        hub.open(conn, Opening::default(), now, &mut actions);
        let namespace = NamespaceId::registered(0);
        hub.handle(Event::Text { conn, text: "40" }, now, &mut actions);
        hub.handle(Event::Admit { conn, namespace, attempt: 1 }, now, &mut actions);
        (hub, conn, now)
    }

    fn one_opened() -> Counters {
        Counters { opened_websocket: 1, ..Counters::default() }
    }

    /// Which of the events that come after so many milliseconds are handled.
    fn handled(hub: &mut Hub, conn: ConnId, start: Instant, at_ms: &[u64]) -> Vec<bool> {
        let mut handle = |ms: &u64| {
            let (now, mut actions) = (start + Duration::from_millis(*ms), Actions::default());
            hub.handle(Event::Text { conn, text: "42[\"e\"]" }, now, &mut actions);
            let is_event =
                |action: &Action| matches!(action, Action::Notify(_, Notification::Event { .. }));
            actions.list.iter().any(is_event)
        };
        at_ms.iter().map(&mut handle).collect()
    }

    #[test]
    fn events_are_handled_at_their_rate_and_the_others_counted() {
        for rates in [
            Rates { events_per_second: 2, ..Rates::default() },
            Rates { address_events_per_second: 2, ..Rates::default() },
        ] {
            let (mut hub, conn, start) = hub_with(rates);
            let seen = handled(&mut hub, conn, start, &[0, 0, 0, 499, 500, 500, 1500, 1500, 1500]);
            assert_eq!(seen, [true, true, false, false, true, false, true, true, false]);
            let counted = Counters { events_refused: 4, events_in: 5, ..one_opened() };
            assert_eq!(hub.counters, counted);
        }
    }

    #[test]
    fn messages_without_socket_io_are_counted_as_events() {
        let (mut hub, _, now) = hub_with(Rates { events_per_second: 2, ..Rates::default() });
        let conn = ConnId { index: 1, generation: 2 };
        let mut actions = Actions::default();
        hub.let_in(Address::default(), now).unwrap();
        hub.open(conn, Opening { is_raw: true, ..Opening::default() }, now, &mut actions);
        (0..3).for_each(|_| hub.handle(Event::Text { conn, text: "4raw" }, now, &mut actions));
        let counters = hub.counters;
        assert_eq!((counters.events_in, counters.events_refused), (2, 1));
    }

    #[test]
    fn a_flood_ends_the_connection_once_if_that_is_the_policy() {
        let policy = RatePolicy::Disconnect;
        let rates = Rates { events_per_second: 1, policy, ..Rates::default() };
        let (mut hub, conn, start) = hub_with(rates);
        assert_eq!(handled(&mut hub, conn, start, &[0, 1, 2, 9000]), [true, false, false, false]);
        let mut counted =
            Counters { events_refused: 1, event_floods: 1, events_in: 1, ..one_opened() };
        counted.closed.add(Reason::EventFlood);
        assert_eq!(hub.counters, counted);
    }

    #[test]
    fn bytes_are_read_at_their_rate() {
        for rates in [
            Rates { bytes_per_second: 10_000, ..Rates::default() },
            Rates { address_bytes_per_second: 10_000, ..Rates::default() },
        ] {
            let (mut hub, conn, start) = hub_with(rates);
            let at = |ms| start + Duration::from_millis(ms);
            assert!(hub.measures_bytes());
            assert_eq!(hub.may_read(conn, at(0)), Ok(10_000));
            hub.note_read(conn, 5904, at(0));
            assert_eq!(hub.may_read(conn, at(0)), Ok(4096), "as little as is worth a read");
            hub.note_read(conn, 1, at(0));
            assert_eq!(hub.may_read(conn, at(0)), Err(start + Duration::from_nanos(100_000)));
            // A message that came as a whole, and is worth a minute.
            hub.note_read(conn, 600_000, at(0));
            let again = hub.may_read(conn, at(0)).unwrap_err();
            assert!(again > at(60_000) && again < at(60_001));
        }
    }

    #[test]
    fn without_limits_nothing_is_measured() {
        let (mut hub, conn, start) = hub_with(Rates::default());
        assert!(!hub.measures_bytes());
        assert_eq!(hub.may_read(conn, start), Ok(usize::MAX));
        assert!(handled(&mut hub, conn, start, &[0; 1000]).iter().all(|handled| *handled));
        let counted = Counters { events_in: 1000, ..one_opened() };
        assert_eq!((hub.counters, hub.census().addresses), (counted, 0));
    }
}
