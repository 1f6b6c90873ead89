//! Deeds by a strategy, which can shrink.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use sim::beside::Beside;
use sim::model::{CLIENTS, Deed, ROOMS, Target, Way};

/// What can not be done when its turn has come is left out.
pub(crate) fn perform(shards: u8, deeds: &[Deed]) {
    let mut sides = Beside::new(shards);
    for deed in deeds {
        sides.perform(deed);
    }
    sides.finish();
}

/// Any deed.
pub(crate) fn deed() -> impl Strategy<Value = Deed> {
    let client = || 0..CLIENTS;
    let room = || 0..ROOMS.len();
    let way = select(vec![Way::Left, Way::Lost, Way::Lost, Way::PutOut]);
    // Ten at most: one more, and each would be boxed.
    prop_oneof![
        6 => client().prop_map(Deed::Connect),
        6 => client().prop_map(Deed::Return),
        2 => (client(), way).prop_map(|(client, way)| Deed::Disconnect(client, way)),
        5 => (client(), room()).prop_map(|(client, room)| Deed::Join(client, room)),
        1 => (client(), room()).prop_map(|(client, room)| Deed::Leave(client, room)),
        2 => (client(), room(), room()).prop_map(|(who, from, to)| Deed::Switch(who, from, to)),
        3 => (client(), room(), 0..3).prop_map(|(client, room, kind)| match kind {
            2 => Deed::Unwatch(client, room),
            _ => Deed::Watch(client, room),
        }),
        2 => Just(Deed::EndTick),
        4 => (client(), room()).prop_map(|(client, room)| Deed::Broadcast {
            from: Some(client),
            targets: vec![Target::Room(room)],
            except: Vec::new(),
            stamped: true,
        }),
        3 => (proptest::option::of(client()), targets(), targets()).prop_map(
            |(from, targets, except)| Deed::Broadcast { from, targets, except, stamped: false },
        ),
    ]
}

fn targets() -> impl Strategy<Value = Vec<Target>> {
    let room = (0..ROOMS.len()).prop_map(Target::Room);
    let socket = (0..CLIENTS).prop_map(Target::Socket);
    vec(prop_oneof![4 => room, 1 => socket], 0..3)
}
