//! The backlog beside a slow model that keeps one list and looks through all of it.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::hub::NamespaceId;

/// Three namespaces, of one policy each.
const POLICIES: [Policy; 3] = [Policy::Disconnect, Policy::DropNewest, Policy::DropOldest];

fn bounds(bytes_max: usize, packets_max: usize) -> Bounds {
    Bounds { bytes_max, packets_max, policies: POLICIES.to_vec() }
}

fn of(policy: Policy) -> Loss {
    let at = POLICIES.iter().position(|other| *other == policy).unwrap();
    Loss::Policy(NamespaceId::registered(at))
}

/// What a peer gets that takes everything at last.
fn text(backlog: &mut Backlog) -> String {
    String::from_utf8(backlog.take_bytes()).unwrap()
}

/// Pushes each character as a packet; says which were refused for want of room.
fn push_all(
    backlog: &mut Backlog,
    packets: &[(&str, Loss)],
    bounds: &Bounds,
    drops: &mut Drops,
) -> Vec<bool> {
    let mut push = |(packet, loss): &(&str, Loss)| {
        backlog.push(packet.as_bytes(), *loss, bounds, drops).is_err()
    };
    packets.iter().map(&mut push).collect()
}

#[test]
fn as_much_as_the_bound_waits_and_one_more_meets_the_policy() {
    for (bytes_max, packets_max) in [(3, 100), (100, 3)] {
        let bounds = bounds(bytes_max, packets_max);
        for (policy, left, full, drops) in [
            (Policy::Disconnect, "abc", true, Drops::default()),
            (Policy::DropNewest, "abc", false, Drops { newest: 1, ..Drops::default() }),
            (Policy::DropOldest, "bcd", false, Drops { oldest: 1, ..Drops::default() }),
        ] {
            let (mut backlog, mut dropped) = (Backlog::default(), Drops::default());
            let three = ["a", "b", "c"].map(|packet| (packet, of(policy)));
            let refused = push_all(&mut backlog, &three, &bounds, &mut dropped);
            assert_eq!((refused, dropped), (vec![false; 3], Drops::default()));
            let refused = push_all(&mut backlog, &[("d", of(policy))], &bounds, &mut dropped);
            assert_eq!((refused, dropped), (vec![full], drops), "{policy:?}");
            assert_eq!(text(&mut backlog), left, "{policy:?}");
        }
    }
}

#[test]
fn what_must_arrive_makes_room_by_dropping_what_need_not() {
    let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
    let (oldest, newest) = (of(Policy::DropOldest), of(Policy::DropNewest));
    let bounds = bounds(100, 4);
    let events = [("n", newest), ("o", oldest), ("N", newest), ("O", oldest)];
    push_all(&mut backlog, &events, &bounds, &mut drops);
    for (number, left) in ["nNO1", "nN12", "n123", "1234"].into_iter().enumerate() {
        let ack = [&*(number + 1).to_string()].map(|ack| (ack.to_owned(), Loss::Never));
        let ack: Vec<(&str, Loss)> = ack.iter().map(|(ack, loss)| (&**ack, *loss)).collect();
        assert_eq!(push_all(&mut backlog, &ack, &bounds, &mut drops), [false]);
        assert_eq!(waiting(&backlog), left);
    }
    assert_eq!(push_all(&mut backlog, &[("5", Loss::Never)], &bounds, &mut drops), [true]);
    assert_eq!(drops, Drops { newest: 2, oldest: 2, volatile: 0 });
}

/// What waits, without taking it.
fn waiting(backlog: &Backlog) -> String {
    let mut all: Vec<&(u64, Box<[u8]>)> =
        backlog.lines.iter().flat_map(|line| &line.queue).collect();
    all.sort();
    all.iter().flat_map(|(_, packet)| packet.iter().map(|&byte| char::from(byte))).collect()
}

#[test]
fn a_packet_that_never_fits_drops_no_other() {
    let bounds = bounds(3, 100);
    let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
    let oldest = of(Policy::DropOldest);
    push_all(&mut backlog, &[("a", oldest), ("b", oldest)], &bounds, &mut drops);
    assert_eq!(push_all(&mut backlog, &[("long", oldest)], &bounds, &mut drops), [false]);
    assert_eq!(drops, Drops { oldest: 1, ..Drops::default() });
    assert_eq!(push_all(&mut backlog, &[("long", Loss::Never)], &bounds, &mut drops), [true]);
    assert_eq!(text(&mut backlog), "ab");
}

#[test]
fn what_is_partly_written_is_not_dropped() {
    let bounds = bounds(4, 2);
    let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
    backlog.push_rest(b"est", &bounds).unwrap();
    let oldest = of(Policy::DropOldest);
    push_all(&mut backlog, &[("a", oldest), ("b", oldest)], &bounds, &mut drops);
    assert_eq!((backlog.bytes(), backlog.packets(), drops.oldest), (4, 2, 1));
    assert_eq!(text(&mut backlog), "estb");
    assert_eq!(Backlog::default().push_rest(b"rest", &bounds), Ok(()));
    assert_eq!(Backlog::default().push_rest(b"a rest", &bounds), Err(Full));
}

#[test]
fn what_has_been_written_waits_no_more() {
    let bounds = bounds(100, 3);
    let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
    let kept = |text| (text, Loss::Never);
    push_all(&mut backlog, &[kept("ab"), kept("cd"), kept("ef")], &bounds, &mut drops);
    assert_eq!(backlog.unwritten(), b"abcdef", "one piece");
    for (written, left) in [(1, 3), (1, 2), (3, 1)] {
        backlog.advance(written);
        assert_eq!(backlog.packets(), left);
    }
    assert_eq!(
        push_all(&mut backlog, &["g", "h", "i"].map(kept), &bounds, &mut drops),
        [false, false, true]
    );
    assert_eq!(text(&mut backlog), "fgh");
}

#[test]
fn a_namespace_without_a_policy_and_a_protocol_packet_are_kept() {
    let bounds = bounds(1, 1);
    for loss in [Loss::Never, Loss::Policy(NamespaceId::registered(9))] {
        let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
        assert_eq!(
            push_all(&mut backlog, &[("a", loss), ("b", loss)], &bounds, &mut drops),
            [false, true]
        );
        assert_eq!((text(&mut backlog), drops), ("a".to_owned(), Drops::default()));
    }
}

#[test]
fn much_is_written_in_few_pieces() {
    let bounds = bounds(1 << 20, 1 << 20);
    let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
    for _ in 0..1000 {
        backlog.push(&[b'x'; 200], Loss::Never, &bounds, &mut drops).unwrap();
    }
    let mut pieces = 0;
    while !backlog.is_empty() {
        let length = backlog.unwritten().len();
        backlog.advance(length);
        pieces += 1;
    }
    assert_eq!(pieces, 200_000_usize.div_ceil(CHUNK_BYTES));
}

/// What happens to a backlog.
#[derive(Clone, Debug)]
enum Step {
    Push {
        length: usize,
        line: Line,
    },
    /// The peer takes so much.
    Write(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let line = prop_oneof![Just(Line::Kept), Just(Line::Newest), Just(Line::Oldest)];
    prop_oneof![
        3 => (1..6_usize, line).prop_map(|(length, line)| Step::Push { length, line }),
        1 => (0..9_usize).prop_map(Step::Write),
    ]
}

/// The same, slowly: every packet in one list, which is looked through each time.
#[derive(Default)]
struct Model {
    /// What is left of each packet, whether it is being written, and its line.
    waiting: Vec<(Vec<u8>, bool, Line)>,
}

impl Model {
    fn bytes(&self) -> usize {
        self.waiting.iter().map(|(bytes, ..)| bytes.len()).sum()
    }

    fn packets(&self) -> usize {
        self.waiting.len()
    }

    fn push(&mut self, packet: &[u8], line: Line, bounds: &Bounds) -> Result<(), Full> {
        let before = self.waiting.clone();
        loop {
            let fits = self.bytes() + packet.len() <= bounds.bytes_max
                && self.packets() < bounds.packets_max;
            if fits {
                self.waiting.push((packet.to_vec(), false, line));
                return Ok(());
            }
            let is_of =
                |line: Line| move |entry: &(Vec<u8>, bool, Line)| !entry.1 && entry.2 == line;
            let oldest = self.waiting.iter().position(is_of(Line::Oldest));
            let newest = self.waiting.iter().rposition(is_of(Line::Newest));
            let victim = match line {
                Line::Kept => oldest.or(newest),
                Line::Newest => None,
                Line::Oldest => oldest,
            };
            if let Some(victim) = victim {
                self.waiting.remove(victim);
                continue;
            }
            // It does not fit, and nothing was won by dropping others.
            self.waiting = before;
            return if line == Line::Kept { Err(Full) } else { Ok(()) };
        }
    }

    /// All that waits is taken at once here: less than a chunk.
    fn begin_writing(&mut self) {
        if self.waiting.first().is_some_and(|first| !first.1) {
            self.waiting.iter_mut().for_each(|entry| entry.1 = true);
        }
    }

    /// Takes so many bytes from the front.
    fn write(&mut self, count: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let first = &mut self.waiting[0].0;
            let length = (count - taken.len()).min(first.len());
            taken.extend(first.drain(..length));
            if first.is_empty() {
                self.waiting.remove(0);
            }
        }
        taken
    }
}

proptest! {
    /// Whatever is pushed and written, the peer gets whole packets, in order,
    /// exactly those that the policies keep, and never more waits than may.
    #[test]
    fn a_peer_gets_what_the_policies_keep(
        steps in vec(step(), 0..60),
        bytes_max in 1..20_usize,
        packets_max in 1..6_usize,
    ) {
        let bounds = bounds(bytes_max, packets_max);
        let (mut backlog, mut drops) = (Backlog::default(), Drops::default());
        let (mut model, mut got, mut expected) = (Model::default(), Vec::new(), Vec::new());
        let (mut pushed, mut whole) = (0_u64, Vec::new());
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { length, line } => {
                    // Each packet is told from all others, and its bytes lie together.
                    let packet = vec![u8::try_from(number).unwrap(); length];
                    let loss = match line {
                        Line::Kept => Loss::Never,
                        Line::Newest => of(Policy::DropNewest),
                        Line::Oldest => of(Policy::DropOldest),
                    };
                    let outcome = backlog.push(&packet, loss, &bounds, &mut drops);
                    prop_assert_eq!(outcome, model.push(&packet, line, &bounds));
                    if outcome.is_err() {
                        break;
                    }
                    pushed += 1;
                    whole.push(packet);
                }
                Step::Write(count) => {
                    model.begin_writing();
                    let count = count.min(backlog.unwritten().len());
                    got.extend_from_slice(&backlog.unwritten()[..count]);
                    backlog.advance(count);
                    expected.extend(model.write(count));
                }
            }
            prop_assert_eq!(backlog.bytes(), model.bytes());
            prop_assert_eq!(backlog.packets(), model.packets());
            prop_assert!(backlog.bytes() <= bytes_max && backlog.packets() <= packets_max);
        }
        got.extend(backlog.take_bytes());
        expected.extend(model.waiting.drain(..).flat_map(|(bytes, ..)| bytes));
        prop_assert_eq!(&got, &expected);
        // A subsequence of whole packets, the rest of which is counted.
        let mut rest = &got[..];
        let mut kept = 0;
        for packet in &whole {
            if let Some(behind) = rest.strip_prefix(&packet[..]) {
                rest = behind;
                kept += 1;
            }
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(pushed, kept + drops.newest + drops.oldest);
    }

    /// A queue that moves to a stream keeps its order and its policies.
    #[test]
    fn a_queue_moves_as_it_is(lengths in vec((1..6_usize, 0..3_usize), 0..20)) {
        let bounds = bounds(1000, 1000);
        let (mut queue, mut drops) = (Backlog::default(), Drops::default());
        let mut expected = b"begun".to_vec();
        for (number, (length, at)) in lengths.into_iter().enumerate() {
            let packet = vec![u8::try_from(number).unwrap(); length];
            expected.extend(&packet);
            expected.push(b'!');
            queue.push(&packet, of(POLICIES[at]), &bounds, &mut drops).unwrap();
        }
        let mut backlog = Backlog::default();
        backlog.push_rest(b"begun", &bounds).unwrap();
        backlog.absorb(queue, |packet| Cow::Owned([packet, b"!"].concat()));
        prop_assert_eq!(backlog.bytes(), expected.len());
        prop_assert_eq!(backlog.take_bytes(), expected);
    }
}
