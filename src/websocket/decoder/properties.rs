//! Property tests of the frame decoder: cut, damaged and arbitrary streams.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::frame;
use super::*;
use crate::mutation::{Mutation, mutate, mutations};

const MAX: usize = 600;

/// What a message of the peer says, by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Binary(Vec<u8>),
    Close(Option<u16>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Text(String),
}

/// A piece of a stream: a message and the frames it travels in.
#[derive(Clone, Debug)]
struct Sent {
    message: Owned,
    /// Where the payload is cut into fragments, and the pings between them.
    cuts: Vec<(usize, Option<Vec<u8>>)>,
    mask: [u8; 4],
}

proptest! {
    /// However messages are cut into fragments and those into reads, whatever
    /// control frames lie between them: what was sent is what is received.
    #[test]
    fn what_is_sent_is_received(
        role in role(),
        sent in vec(sent(), 0..8),
        reads in vec(1_usize..40, 1..8),
    ) {
        let (bytes, expected) = encode_all(&sent, role);
        let (received, end) = receive(role, bytes, &reads);
        prop_assert_eq!(end, Ok(()));
        prop_assert_eq!(received, expected);
    }

    /// Damaged streams get as far, and fail alike, whether they arrive at once
    /// or in pieces; `receive` checks memory and progress after every call.
    #[test]
    fn reads_do_not_change_what_is_wrong(
        role in role(),
        sent in vec(sent(), 0..5),
        damage in mutations(),
        reads in vec(1_usize..40, 1..8),
    ) {
        cuts_do_not_matter(role, encode_all(&sent, role).0, &damage, &reads)?;
    }

    #[test]
    fn arbitrary_bytes_are_harmless(
        role in role(),
        bytes in vec(any::<u8>(), 0..200),
        reads in vec(1_usize..10, 1..8),
    ) {
        cuts_do_not_matter(role, bytes, &[], &reads)?;
    }

    /// As above, but with headers that are more often in order, so that random
    /// bytes get deeper.
    #[test]
    fn arbitrary_frames_are_harmless(
        role in role(),
        frames in vec((0_u8..=15, any::<bool>(), vec(any::<u8>(), 0..130)), 0..12),
        reads in vec(1_usize..40, 1..8),
    ) {
        let frames = frames.iter().map(|(opcode, last, payload)| {
            let first = opcode | if *last { 0x80 } else { 0 };
            frame(first, mask_of(role, [1, 2, 3, 4]), payload)
        });
        cuts_do_not_matter(role, frames.flatten().collect(), &[], &reads)?;
    }
}

fn cuts_do_not_matter(
    role: Role,
    mut bytes: Vec<u8>,
    damage: &[Mutation],
    reads: &[usize],
) -> Result<(), TestCaseError> {
    mutate(&mut bytes, damage);
    let whole = receive(role, bytes.clone(), &[usize::MAX]);
    prop_assert_eq!(receive(role, bytes, reads), whole);
    Ok(())
}

/// Decodes `bytes`, which arrive in reads of these sizes, over and over; says what
/// came and how it ended.
fn receive(
    role: Role,
    mut bytes: Vec<u8>,
    reads: &[usize],
) -> (Vec<Owned>, Result<(), FrameError>) {
    let mut decoder = Decoder::new(role);
    let mut received = Vec::new();
    let mut rest = &mut bytes[..];
    let mut arrived = 0;
    for &read in reads.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (mut input, later) = rest.split_at_mut(read.min(rest.len()));
        rest = later;
        arrived += input.len();
        loop {
            let (taken, message) = match decoder.decode(input, MAX) {
                Ok((taken, message)) => (taken, message.map(Owned::from)),
                Err(error) => return (received, Err(error)),
            };
            assert!(message.is_none() || taken > 0, "a message out of nothing");
            assert!(message.is_some() || taken == input.len(), "bytes left");
            let bound = 2 * arrived.min(MAX) + 2 * 125 + size_of::<Partial>() + 16;
            assert!(decoder.heap_bytes() <= bound, "{} of {bound} bytes", decoder.heap_bytes());
            input = &mut input[taken..];
            let Some(message) = message else { break };
            received.push(message);
        }
    }
    (received, Ok(()))
}

impl From<Message<'_>> for Owned {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Binary(bytes) => Self::Binary(bytes.to_vec()),
            Message::Close(code) => Self::Close(code),
            Message::Ping(bytes) => Self::Ping(bytes.to_vec()),
            Message::Pong(bytes) => Self::Pong(bytes.to_vec()),
            Message::Text(text) => Self::Text(text.to_owned()),
        }
    }
}

/// The bytes of these messages, and what the other end should see, in order.
fn encode_all(sent: &[Sent], role: Role) -> (Vec<u8>, Vec<Owned>) {
    let mut bytes = Vec::new();
    let mut expected = Vec::new();
    for Sent { message, cuts, mask } in sent {
        let mask = mask_of(role, *mask);
        let (opcode, payload) = match message {
            Owned::Binary(payload) => (2, payload.clone()),
            Owned::Close(code) => (8, code.map_or(vec![], |code| code.to_be_bytes().to_vec())),
            Owned::Ping(payload) => (9, payload.clone()),
            Owned::Pong(payload) => (10, payload.clone()),
            Owned::Text(payload) => (1, payload.clone().into_bytes()),
        };
        let mut first = opcode;
        let mut rest = &payload[..];
        for (at, ping) in cuts.iter().filter(|_| opcode < 8) {
            let (fragment, later) = rest.split_at(at % (rest.len() + 1));
            rest = later;
            bytes.extend(frame(first, mask, fragment));
            first = 0;
            if let Some(ping) = ping {
                bytes.extend(frame(0x89, mask, ping));
                expected.push(Owned::Ping(ping.clone()));
            }
        }
        bytes.extend(frame(0x80 | first, mask, rest));
        expected.push(message.clone());
    }
    (bytes, expected)
}

/// What the other end of a decoder masks its frames with.
fn mask_of(role: Role, mask: [u8; 4]) -> Option<[u8; 4]> {
    match role {
        Role::Client => None,
        Role::Server => Some(mask),
    }
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![Just(Role::Client), Just(Role::Server)]
}

fn sent() -> impl Strategy<Value = Sent> {
    let control = || vec(any::<u8>(), 0..126);
    let code = prop_oneof![1000..=1003_u16, 1007..=1014_u16, 3000..=4999_u16];
    let message = prop_oneof![
        4 => vec(any::<u8>(), 0..MAX).prop_map(Owned::Binary),
        4 => "\\PC{0,150}".prop_map(Owned::Text),
        1 => control().prop_map(Owned::Ping),
        1 => control().prop_map(Owned::Pong),
        1 => proptest::option::of(code).prop_map(Owned::Close),
    ];
    let cuts = vec((0..MAX, proptest::option::of(control())), 0..4);
    (message, cuts, any::<[u8; 4]>()).prop_map(|(message, cuts, mask)| Sent { message, cuts, mask })
}
