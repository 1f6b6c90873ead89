//! Random deeds without a strategy's machinery: what can not shrink is drawn sooner.

use super::{CLIENTS, Deed, ROOMS, Target, Way};
use crate::dice::Dice;

impl Deed {
    /// Any deed, whether it can be done now or not.
    pub fn draw(dice: &mut Dice) -> Self {
        let [client, room] = [dice.index(CLIENTS), dice.index(ROOMS.len())];
        match dice.weighted(&[6, 6, 2, 5, 1, 2, 2, 1, 2, 4, 3]) {
            0 => Self::Connect(client),
            1 => Self::Return(client),
            2 => {
                Self::Disconnect(client, dice.pick(&[Way::Left, Way::Lost, Way::Lost, Way::PutOut]))
            }
            3 => Self::Join(client, room),
            4 => Self::Leave(client, room),
            5 => Self::Switch(client, room, dice.index(ROOMS.len())),
            6 => Self::Watch(client, room),
            7 => Self::Unwatch(client, room),
            8 => Self::EndTick,
            9 => Self::Broadcast {
                from: Some(client),
                targets: vec![Target::Room(room)],
                except: Vec::new(),
                stamped: true,
            },
            _ => Self::Broadcast {
                from: dice.chance(50).then_some(client),
                targets: targets(dice),
                except: targets(dice),
                stamped: false,
            },
        }
    }
}

fn targets(dice: &mut Dice) -> Vec<Target> {
    let one = |dice: &mut Dice| match dice.chance(80) {
        true => Target::Room(dice.index(ROOMS.len())),
        false => Target::Socket(dice.index(CLIENTS)),
    };
    (0..dice.index(3)).map(|_| one(dice)).collect()
}
