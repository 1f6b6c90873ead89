//! The outbox beside a model that gives each connection a list of its own packets.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::hub::NamespaceId;

/// Places of connections; few, so that their segments lie between each other.
const PLACES: usize = 4;

#[derive(Clone, Debug)]
enum Step {
    /// So many of those with something pending are written to.
    Flush(usize),
    /// A connection goes, and its place becomes another one's.
    Go(usize),
    /// One that went before goes once more: its stream ended late.
    GoLate(usize),
    Push {
        to: Vec<usize>,
        length: usize,
        loss: Loss,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..PLACES;
    let to = vec(any::<bool>(), PLACES)
        .prop_map(|is_one| (0..PLACES).filter(|&place| is_one[place]).collect());
    let namespace = NamespaceId::registered(1);
    let loss = prop_oneof![
        Just(Loss::Never),
        Just(Loss::Policy(namespace)),
        Just(Loss::Volatile(namespace)),
    ];
    prop_oneof![
        8 => (to, 1..4_usize, loss).prop_map(|(to, length, loss)| Step::Push { to, length, loss }),
        2 => (0..PLACES + 2).prop_map(Step::Flush),
        1 => place().prop_map(Step::Go),
        1 => place().prop_map(Step::GoLate),
    ]
}

type Packets = Vec<(Vec<u8>, Loss)>;

/// What each has pending, in the order in which they got their first packet of it.
#[derive(Default)]
struct Model(Vec<(ConnId, Packets)>);

impl Model {
    fn push(&mut self, packet: &[u8], conn: ConnId, loss: Loss) {
        let packet = (packet.to_vec(), loss);
        match self.0.iter_mut().find(|(known, _)| *known == conn) {
            Some((_, pending)) => pending.push(packet),
            None => self.0.push((conn, vec![packet])),
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.0.retain(|(known, _)| *known != conn);
    }

    fn has_pending(&self, conn: ConnId) -> bool {
        self.0.iter().any(|(known, _)| *known == conn)
    }
}

/// Writes to the next one, and compares what it gets; false if nobody has anything pending.
fn flush(outbox: &mut Outbox, model: &mut Model) -> bool {
    let Some(conn) = outbox.next_dirty() else {
        assert!(model.0.is_empty(), "these got nothing: {:?}", model.0);
        assert_eq!(outbox.bytes(), 0, "the tick is over");
        return false;
    };
    let mut scratch = b"of another one".to_vec();
    let run = outbox.take(conn, &mut scratch);
    let mut packets = Packets::new();
    run.for_each_packet(|packet, loss| packets.push((packet.to_vec(), loss)));
    let all: Vec<u8> = packets.iter().flat_map(|(packet, _)| packet.clone()).collect();
    assert_eq!(run.bytes(), all);
    if conn.index == NONE {
        // It has gone.
        assert!(packets.is_empty());
    } else {
        assert_eq!((conn, packets), model.0.remove(0));
    }
    true
}

proptest! {
    /// Whoever comes and goes, each gets its own packets, whole, once and in order, and each
    /// packet keeps what may be done with it.
    #[test]
    fn each_gets_its_own_packets_in_order(steps in vec(step(), 0..80)) {
        let (mut outbox, mut model) = (Outbox::default(), Model::default());
        let mut generations = [0_u32; PLACES];
        let conn = |place: usize, generation| {
            ConnId { index: u32::try_from(place).expect("few places"), generation }
        };
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Flush(count) => {
                    for _ in 0..count {
                        flush(&mut outbox, &mut model);
                    }
                }
                Step::Go(place) => {
                    let gone = conn(place, generations[place]);
                    outbox.forget(gone);
                    model.forget(gone);
                    generations[place] += 1;
                }
                Step::GoLate(place) => outbox.forget(conn(place, generations[place].wrapping_sub(1))),
                Step::Push { to, length, loss } => {
                    // Each packet is told from all others.
                    let packet = vec![u8::try_from(number).expect("few steps"); length];
                    let to: Vec<ConnId> =
                        to.into_iter().map(|place| conn(place, generations[place])).collect();
                    outbox.push(&packet, &to, loss);
                    to.iter().for_each(|&conn| model.push(&packet, conn, loss));
                }
            }
            for (place, &generation) in generations.iter().enumerate() {
                let conn = conn(place, generation);
                prop_assert_eq!(outbox.has_pending(conn), model.has_pending(conn));
            }
        }
        while flush(&mut outbox, &mut model) {}
    }
}
