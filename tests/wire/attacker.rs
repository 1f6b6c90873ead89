//! A client that says what nobody would write, over every transport.

use std::net::SocketAddr;

use rand_chacha::ChaCha8Rng;
use rand_core::Rng;

use crate::client::{Seen, TARGET, UPGRADE, Wire, binary_frame, frame, text_frame};
use crate::compression::{deflated, offer};
use crate::poller::Poller;

/// One bad client; its seed decides what it does.
pub(crate) struct Attacker(pub(crate) ChaCha8Rng);

impl Attacker {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound as u64) as usize
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.0.next_u32() as u8).collect()
    }

    /// One connection or session, from its beginning to its end.
    pub(crate) fn attack(&mut self, server: SocketAddr) {
        match self.below(16) {
            0 => {
                let bytes = self.random();
                self.says(Wire::dial(server), &bytes, Wire::ends);
            }
            1 | 2 => {
                let bytes = self.bad_request();
                self.says(Wire::dial(server), &bytes, Wire::ends);
            }
            3 => self.frames(Wire::open(server).1),
            4 => self.frames(open_as(server, "EIO=3&transport=websocket", "")),
            5 => self.compressed_frames(server),
            6 => self.upgrade(&Poller::begin(server)),
            7 => self.upgrade(&Poller::begin_v3(server, "").0),
            8 | 9 => self.posts(&Poller::begin(server)),
            10 => self.posts(&Poller::begin_v3(server, "").0),
            11 => self.posts(&Poller::begin_v3(server, "&b64=1").0),
            _ => self.frames(Wire::chat(server)),
        }
    }

    /// Sends these bytes in two pieces, and then vanishes or waits for the end.
    fn says(&mut self, mut wire: Wire, bytes: &[u8], to_the_end: fn(&mut Wire)) {
        let split = self.below(bytes.len() + 1);
        wire.send(&bytes[..split]);
        wire.send(&bytes[split..]);
        if self.below(3) > 0 {
            wire.finish();
            to_the_end(&mut wire);
        }
    }

    /// Frames on a WebSocket: nothing but good ones comes back.
    fn frames(&mut self, wire: Wire) {
        let bytes = self.bad_frames();
        self.says(wire, &bytes, |wire| while wire.next() != Seen::End {});
    }

    /// Frames on a WebSocket that has agreed on compression.
    fn compressed_frames(&mut self, server: SocketAddr) {
        let mut wire = open_as(
            server,
            "EIO=4&transport=websocket",
            "Sec-WebSocket-Extensions: permessage-deflate\r\n",
        );
        let mut bytes = text_frame("40");
        for _ in 0..1 + self.below(4) {
            let mut payload = deflated(self.payload().as_slice());
            if self.below(2) == 0 {
                self.mutate(&mut payload);
            }
            bytes.extend(frame(0xc1 + self.below(2) as u8, &payload));
            bytes.extend(self.bad_frames());
        }
        wire.send(&text_frame("40"));
        self.says(wire, &bytes, Wire::ends);
    }

    /// A WebSocket beside a session that polls, whose probe is in order or nearly.
    fn upgrade(&mut self, poller: &Poller) {
        let waiting = (self.below(2) == 0).then(|| poller.poll());
        let mut wire = poller.websocket();
        let mut probe = b"2probe".to_vec();
        if self.below(3) == 0 {
            self.mutate(&mut probe);
        }
        wire.send_text(&String::from_utf8_lossy(&probe));
        if self.below(2) == 0 {
            wire.send_text("5");
        }
        self.frames(wire);
        drop(waiting);
        self.leaves(poller);
    }

    /// Payloads of a session that polls. Each is answered, whatever it says.
    fn posts(&mut self, poller: &Poller) {
        if self.below(2) == 0 {
            poller.post(b"40");
        }
        for _ in 0..1 + self.below(3) {
            let (kind, body) = self.bad_payload();
            let waiting = (self.below(4) == 0).then(|| poller.poll());
            let status = poller.post_as(kind, &body).status;
            assert!(matches!(status, 200 | 400 | 413), "{status} for {body:?}");
            drop(waiting);
        }
        self.leaves(poller);
    }

    /// Says goodbye, breaks off a poll, or is not heard of again.
    fn leaves(&mut self, poller: &Poller) {
        match self.below(3) {
            0 => drop(poller.post(b"1")),
            1 => drop(poller.poll()),
            _ => {}
        }
    }

    /// Several packets, or nearly, in one of the three forms that payloads have.
    fn bad_payload(&mut self) -> (&'static str, Vec<u8>) {
        let form = self.below(3);
        let mut body = Vec::new();
        for number in 0..1 + self.below(5) {
            let packet = self.payload();
            match form {
                0 if number > 0 => body.extend([b"\x1e", &packet[..]].concat()),
                0 => body.extend(packet),
                1 => {
                    let text = String::from_utf8_lossy(&packet);
                    body.extend(format!("{}:{text}", text.encode_utf16().count()).into_bytes());
                }
                _ => {
                    let digits = packet.len().to_string();
                    body.push(self.below(2) as u8);
                    body.extend(digits.bytes().map(|digit| digit - b'0'));
                    body.push(0xff);
                    body.extend(packet);
                }
            }
        }
        if self.below(3) == 0 {
            self.mutate(&mut body);
        }
        let kind = ["text/plain;charset=UTF-8", "application/octet-stream"];
        (kind[usize::from(form == 2)], body)
    }

    /// What a good client might say, mutated more often than not.
    fn payload(&mut self) -> Vec<u8> {
        let mut payload = GOOD[self.below(GOOD.len())].as_bytes().to_vec();
        if self.below(3) > 0 {
            self.mutate(&mut payload);
        }
        payload
    }

    fn random(&mut self) -> Vec<u8> {
        let count = self.below(2000);
        self.bytes(count)
    }

    fn bad_request(&mut self) -> Vec<u8> {
        let mut bytes = format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).into_bytes();
        bytes.extend(text_frame("40"));
        self.mutate(&mut bytes);
        bytes
    }

    /// Good frames, then mutated; or good frames around a mutated payload.
    fn bad_frames(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..1 + self.below(6) {
            let payload = self.payload();
            let mut one = match self.below(8) {
                0 => binary_frame(&payload),
                1 => frame(self.0.next_u32() as u8, &payload),
                2 => {
                    let cut = self.below(payload.len() + 1);
                    [frame(0x01, &payload[..cut]), frame(0x80, &payload[cut..])].concat()
                }
                _ => text_frame(&String::from_utf8_lossy(&payload)),
            };
            if self.below(5) == 0 {
                self.mutate(&mut one);
            }
            bytes.extend(one);
        }
        bytes
    }

    /// A few small changes: flipped, removed, doubled, inserted, cut off.
    fn mutate(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..1 + self.below(3) {
            if bytes.is_empty() {
                return;
            }
            let at = self.below(bytes.len());
            let end = (at + 1 + self.below(8)).min(bytes.len());
            match self.below(7) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = self.0.next_u32() as u8,
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let piece = bytes[at..end].to_vec();
                    bytes.splice(at..at, piece.repeat(1 + self.below(3)));
                }
                4 => {
                    let digits = b"0123456789[]{}\",:-/\\"[self.below(20)];
                    bytes.insert(at, digits);
                }
                5 => {
                    let count = self.below(20);
                    let piece = self.bytes(count);
                    bytes.splice(at..at, piece);
                }
                _ => bytes.truncate(at),
            }
        }
    }
}

/// A WebSocket that is asked for with this query and this header, its open packet unread.
fn open_as(server: SocketAddr, query: &str, header: &str) -> Wire {
    offer(server, &format!("/socket.io/?{query}"), header).0
}

/// Packets that are in order, or nearly.
const GOOD: [&str; 18] = [
    "40",
    "40{\"pid\":\"AAAAAAAAAAAAAAAAAAAA\",\"offset\":\"AAAA\"}",
    "40/other,{\"token\":\"t\"}",
    "41",
    "2",
    "3",
    "42[\"join\",\"random\"]",
    "421[\"join\",\"random\"]",
    "422[\"message\",{\"room\":\"random\",\"body\":{\"a\":[1,2,{\"b\":\"é🌍\"}]},\"id\":\"x\"}]",
    "423[\"switch\",\"random\",\"other\"]",
    "424[\"members\",\"random\"]",
    "425[\"watch\",\"random\"]",
    "42[\"typing\",\"random\"]",
    "426[\"echo\",1.5e3,null,true,[[[]]],\"\\u0000\\ud83c\\udf0d\"]",
    "451-7[\"echo\",{\"_placeholder\":true,\"num\":0}]",
    "452-[\"message\",{\"room\":\"random\",\"body\":[{\"_placeholder\":true,\"num\":1},{\"_placeholder\":true,\"num\":0}]}]",
    "461-1[{\"_placeholder\":true,\"num\":0}]",
    "431[\"ok\"]",
];
