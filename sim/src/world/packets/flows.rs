//! What each end of a connection has said, as far as a fabric can see it; and what every
//! TCP does and turmoil-net's leaves out, made up from that.
//!
//! A stream that stalls for ever since these are missing would be blamed on the engine:
//!
//! * What has arrived already is acknowledged again ([`Flows::again`]), or the loss of an
//!   acknowledgement would stop its sender (RFC 9293, section 3.10.7.4).
//! * What has arrived in part is cut to what is new ([`Flows::trim`]): a sender cuts its
//!   stream anew when it sends again, and turmoil-net drops what begins with old bytes.
//! * A sender that was told of no room is told when there is ([`Flows::probe`]), and told
//!   again, since that may be lost: persist timer and zero-window probe (section 3.8.6.1).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use turmoil_net::{Packet, TcpFlags, TcpSegment, Transport, netstat};

use crate::plan::PROBE_MS;

/// One end of a connection; quick to compare, as millions of packets are looked up by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) host: Ipv4Addr,
    port: u16,
}

impl Place {
    fn new(host: IpAddr, port: u16) -> Self {
        Self { host: ipv4(host), port }
    }
}

/// The address of a host: all of a world's are of this kind.
pub(super) fn ipv4(host: IpAddr) -> Ipv4Addr {
    match host {
        IpAddr::V4(host) => host,
        IpAddr::V6(_) => unreachable!("worlds give out 10.0.0.0/16"),
    }
}

/// Both ends of one direction of a connection.
pub(super) type Flow = (Place, Place);

/// What one end has said.
struct End {
    /// The last that it has acknowledged, without bytes of its own.
    ack: Packet,
    /// The end of what it has sent.
    sent: u32,
    /// The room that the other end has last been told of.
    told: u16,
    /// Not told of room again before this.
    probe_at: Duration,
}

/// Whoever has this much room is not asked for more: about a packet.
const ROOM_BYTES: u16 = 1_400;

/// All connections.
pub(super) struct Flows {
    ends: BTreeMap<Flow, End>,
    socket_bytes: usize,
}

pub(super) fn is_of(host: Ipv4Addr, (from, to): &Flow) -> bool {
    from.host == host || to.host == host
}

/// What a packet of TCP says, and of which flow.
pub(super) fn segment(packet: &Packet) -> Option<(Flow, &TcpSegment)> {
    let Transport::Tcp(segment) = &packet.payload else { return None };
    let from = Place::new(packet.src, segment.src_port);
    Some(((from, Place::new(packet.dst, segment.dst_port)), segment))
}

/// How many of TCP's numbers it takes.
pub(super) fn length(segment: &TcpSegment) -> u32 {
    let own = u32::from(segment.flags.fin) + u32::from(segment.flags.syn);
    segment.payload.len() as u32 + own
}

/// Whether `number` lies behind `other`, in TCP's arithmetic on a circle.
pub(super) fn is_after(number: u32, other: u32) -> bool {
    let ahead = number.wrapping_sub(other);
    ahead != 0 && ahead <= u32::MAX / 2
}

fn bare(packet: &Packet, of: &TcpSegment, seq: u32, flags: TcpFlags) -> Packet {
    let segment = TcpSegment { seq, flags, payload: Bytes::new(), ..of.clone() };
    Packet { payload: Transport::Tcp(segment), ..packet.clone() }
}

impl Flows {
    pub(super) fn new(socket_bytes: u32) -> Self {
        Self { ends: BTreeMap::new(), socket_bytes: socket_bytes as usize }
    }

    /// Takes note of what an end says; tells whether it had said so before.
    pub(super) fn note(&mut self, packet: &mut Packet) -> bool {
        if let Transport::Tcp(segment) = &mut packet.payload {
            // A kernel's first word promises more room than it has.
            segment.window = segment.window.min(self.socket_bytes.min(65_535) as u16);
        }
        let Some((flow, segment)) = segment(packet) else { return false };
        if segment.flags.rst {
            self.ends.remove(&flow);
            return false;
        }
        if !segment.flags.ack || segment.flags.syn {
            return false;
        }
        let flags = TcpFlags { ack: true, ..TcpFlags::default() };
        let end = segment.seq.wrapping_add(length(segment));
        let ack = bare(packet, segment, end, flags);
        let told = segment.window;
        let is_new = End { ack: ack.clone(), sent: segment.seq, told, probe_at: Duration::ZERO };
        let known = self.ends.entry(flow).or_insert(is_new);
        known.ack = ack;
        let is_again = length(segment) > 0 && !is_after(end, known.sent);
        if is_after(end, known.sent) {
            known.sent = end;
        }
        is_again
    }

    /// The acknowledgement of what its receiver has already.
    pub(super) fn again(&self, packet: &Packet) -> Option<Packet> {
        let ((from, to), segment) = segment(packet)?;
        let end = segment.seq.wrapping_add(length(segment));
        let mut ack = self.ends.get(&(to, from))?.ack.clone();
        let Transport::Tcp(last) = &mut ack.payload else { return None };
        if length(segment) == 0 || is_after(end, last.ack) {
            return None;
        }
        // A sender that goes back ignores an acknowledgement of more than it has sent since;
        // it must not lack the room to send that much.
        let ahead = u16::try_from(last.ack.wrapping_sub(end)).unwrap_or(u16::MAX);
        last.window = last.window.saturating_add(ahead);
        Some(ack)
    }

    /// Cuts off what its receiver has already, if the rest is new.
    pub(super) fn trim(&self, packet: &mut Packet) {
        let Some(((from, to), _)) = segment(packet) else { return };
        let Some(end) = self.ends.get(&(to, from)) else { return };
        let (Transport::Tcp(last), Transport::Tcp(segment)) =
            (&end.ack.payload, &mut packet.payload)
        else {
            return;
        };
        let known = last.ack.wrapping_sub(segment.seq);
        if is_after(last.ack, segment.seq) && (known as usize) < segment.payload.len() {
            segment.payload = segment.payload.slice(known as usize..);
            segment.seq = last.ack;
        }
    }

    /// Takes note of the room that a packet tells its receiver of.
    pub(super) fn hear(&mut self, packet: &Packet) {
        let Some((flow, segment)) = segment(packet) else { return };
        if let Some(end) = self.ends.get_mut(&flow).filter(|_| segment.flags.ack) {
            end.told = segment.window;
        }
    }

    /// When somebody may have to be told again of room, who was told of it at `now` at the
    /// latest: of room that is made meanwhile, only a host's turn can be the reason.
    pub(super) fn next_probe(&self, now: Duration) -> Option<Duration> {
        let waiting = self.ends.values().filter(|end| end.told < self.least());
        waiting.map(|end| end.probe_at).filter(|&at| at > now).min()
    }

    /// Whoever has less room is told when there is more.
    fn least(&self) -> u16 {
        ROOM_BYTES.min((self.socket_bytes / 2) as u16)
    }

    /// What says that there is room to those who believe that there is none.
    pub(super) fn probe(&mut self, now: Duration) -> Vec<Packet> {
        let least = self.least();
        let waiting = self.ends.iter_mut().filter(|(_, end)| end.told < least);
        let due = waiting.filter(|(_, end)| end.probe_at <= now);
        let mut packets = Vec::new();
        for (&(owner, peer), end) in due {
            let Some(held) = held_bytes(owner, peer) else { continue };
            let room = self.socket_bytes.saturating_sub(held).min(65_535) as u16;
            if room <= end.told || room < least {
                continue;
            }
            end.probe_at = now + Duration::from_millis(PROBE_MS);
            if let Transport::Tcp(ack) = &mut end.ack.payload {
                ack.window = room;
            }
            packets.push(end.ack.clone());
        }
        packets
    }

    /// What tells both ends of a host's connections that they are reset.
    pub(super) fn reset(&mut self, host: Ipv4Addr) -> Vec<Packet> {
        let flags = TcpFlags { rst: true, ack: true, ..TcpFlags::default() };
        let its = self.ends.iter().filter(|(flow, _)| is_of(host, flow));
        let resets = its.filter_map(|(_, end)| {
            let (_, last) = segment(&end.ack)?;
            Some(bare(&end.ack, last, last.seq, flags))
        });
        let resets = resets.collect();
        self.forget(host);
        resets
    }

    /// Nothing more is to be made up for the connections of a host.
    pub(super) fn forget(&mut self, host: Ipv4Addr) {
        self.ends.retain(|flow, _| !is_of(host, flow));
    }
}

/// What the kernel of `owner` holds for a reader, of what `peer` has sent.
fn held_bytes(owner: Place, peer: Place) -> Option<usize> {
    let sockets = netstat(IpAddr::V4(owner.host)).entries;
    let peer = Some(SocketAddr::new(peer.host.into(), peer.port));
    let is_it = |port: u16, of: Option<SocketAddr>| port == owner.port && of == peer;
    sockets.into_iter().find(|it| is_it(it.local.port(), it.peer)).map(|it| it.recv_q)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: [u8; 4] = [10, 0, 0, 1];
    const SERVER: [u8; 4] = [10, 0, 0, 2];

    fn packet(from: [u8; 4], to: [u8; 4], seq: u32, ack: u32, bytes: usize) -> Packet {
        let flags = TcpFlags { ack: true, ..TcpFlags::default() };
        let payload = Bytes::from(vec![7; bytes]);
        let (src_port, dst_port) = (u16::from(from[3]), u16::from(to[3]));
        let segment = TcpSegment { src_port, dst_port, seq, ack, flags, window: 9_000, payload };
        Packet { src: from.into(), dst: to.into(), ttl: 64, payload: Transport::Tcp(segment) }
    }

    /// The server has acknowledged the client's bytes up to 500.
    fn flows() -> Flows {
        let mut flows = Flows::new(65_536);
        flows.note(&mut packet(CLIENT, SERVER, 0, 0, 500));
        flows.note(&mut packet(SERVER, CLIENT, 0, 500, 0));
        flows
    }

    fn tcp(packet: &Packet) -> &TcpSegment {
        segment(packet).expect("all of these are TCP").1
    }

    #[test]
    fn what_is_old_is_acknowledged_again_and_what_is_new_is_not() {
        let again = flows().again(&packet(CLIENT, SERVER, 0, 0, 500)).expect("old");
        assert_eq!((tcp(&again).ack, tcp(&again).window), (500, 9_000));
        let part = flows().again(&packet(CLIENT, SERVER, 0, 0, 200)).expect("old too");
        assert_eq!(tcp(&part).window, 9_300, "room to send what the acknowledgement is of");
        assert_eq!(flows().again(&packet(CLIENT, SERVER, 0, 0, 501)), None);
        assert_eq!(flows().again(&packet(CLIENT, SERVER, 500, 0, 0)), None);
    }

    #[test]
    fn what_is_new_in_part_is_cut_to_that() {
        for (seq, bytes, expected) in
            [(0, 800, (500, 300)), (0, 500, (0, 500)), (500, 300, (500, 300)), (600, 9, (600, 9))]
        {
            let mut packet = packet(CLIENT, SERVER, seq, 0, bytes);
            flows().trim(&mut packet);
            assert_eq!((tcp(&packet).seq, tcp(&packet).payload.len()), expected);
        }
    }

    #[test]
    fn what_is_sent_again_is_noticed() {
        let mut flows = flows();
        assert!(flows.note(&mut packet(CLIENT, SERVER, 0, 0, 500)));
        assert!(!flows.note(&mut packet(CLIENT, SERVER, 500, 0, 1)));
        assert!(!flows.note(&mut packet(SERVER, CLIENT, 0, 501, 0)), "a bare acknowledgement");
    }

    /// Sends what the kernels have to say; with `probes`, what the flows say too.
    fn pass(guard: &turmoil_net::EnterGuard, flows: &mut Flows, probes: bool, now: Duration) {
        let mut packets = Vec::new();
        guard.egress_all(&mut packets);
        for packet in &mut packets {
            flows.note(packet);
        }
        if probes {
            packets.extend(flows.probe(now));
        }
        for packet in packets {
            flows.hear(&packet);
            guard.deliver(packet);
        }
    }

    /// How many of 8,000 bytes a reader gets that is slow at first and never reads much.
    fn read_slowly(probes: bool) -> usize {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        use turmoil_net::shim::tokio::net::{TcpListener, TcpStream};
        let config = turmoil_net::KernelConfig::default().recv_buf_cap(2_048).retx_threshold(50);
        let mut net = turmoil_net::Net::with_config(config);
        let (client, server) =
            (net.add_host(IpAddr::from(CLIENT)), net.add_host(IpAddr::from(SERVER)));
        let guard = net.enter();
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_time().start_paused(true).build().unwrap();
        let mut flows = Flows::new(2_048);
        runtime.block_on(async {
            guard.set_current(server);
            let listener = TcpListener::bind((IpAddr::from(SERVER), 80)).await.unwrap();
            guard.set_current(client);
            let mut dialling = Box::pin(TcpStream::connect((IpAddr::from(SERVER), 80)));
            let mut stream = loop {
                let now = tokio::time::Duration::ZERO;
                if let Ok(stream) = tokio::time::timeout(now, &mut dialling).await {
                    break stream.unwrap();
                }
                (0..3).for_each(|_| pass(&guard, &mut flows, probes, now));
            };
            stream.write_all(&[7; 8_000]).await.unwrap();
            (0..5).for_each(|_| pass(&guard, &mut flows, probes, Duration::ZERO));
            guard.set_current(server);
            let (mut reader, _) = listener.accept().await.unwrap();
            let (mut got, mut bytes) = (0, [0; 500]);
            for ms in 1..500 {
                guard.set_current(server);
                let now = Duration::from_millis(ms);
                let read = tokio::time::timeout(Duration::ZERO, reader.read(&mut bytes)).await;
                got += read.map_or(0, Result::unwrap);
                pass(&guard, &mut flows, probes, now);
            }
            got
        })
    }

    #[test]
    fn who_waits_for_room_hears_of_it_and_would_wait_for_ever_else() {
        assert_eq!(read_slowly(true), 8_000);
        assert_eq!(read_slowly(false), 2_048);
    }

    #[test]
    fn a_reset_tells_both_ends_once() {
        let mut flows = flows();
        assert!(flows.reset([10, 0, 0, 3].into()).is_empty());
        let resets = flows.reset(CLIENT.into());
        let told: Vec<IpAddr> = resets.iter().map(|packet| packet.dst).collect();
        assert_eq!(told, [IpAddr::from(SERVER), IpAddr::from(CLIENT)]);
        assert!(resets.iter().all(|packet| tcp(packet).flags.rst));
        assert!(flows.reset(CLIENT.into()).is_empty());
    }
}
