//! One handler that speaks to one socket in every way that there is.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use parlor::{Ack, Namespace, Socket};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Handles of this shard's sockets.
type Handles = Rc<RefCell<BTreeMap<String, Socket>>>;

pub(super) fn mixtures(here: &mut Namespace) {
    let handles = Handles::default();
    let arrivals = Rc::clone(&handles);
    here.on_connection(async move |socket: Socket| {
        arrivals.borrow_mut().insert(socket.id().to_string(), socket);
    });
    let departures = Rc::clone(&handles);
    here.on_disconnect(async move |socket: Socket, _, _| {
        departures.borrow_mut().remove(socket.id().as_str());
    });
    here.on("mix", async move |socket: Socket, (id, count, seed): (String, u64, u64), ack: Ack| {
        let other = handles.borrow().get(&id).cloned();
        mix(&socket, &id, other.as_ref(), count, seed).await;
        ack.send(());
    });
}

/// Sends `count` numbers to the socket `id`, a member of `shared`, each by another way;
/// `handle` is that socket's, if it is of this shard.
async fn mix(socket: &Socket, id: &str, handle: Option<&Socket>, count: u64, seed: u64) {
    let remote = socket.namespace().to(id).fetch_sockets().await;
    let [remote] = remote.as_slice() else { panic!("{id} is one socket") };
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for number in 0..count {
        let way = random.next_u32() % 8;
        let args = (number, way);
        match (way, handle) {
            (0 | 1, Some(handle)) => handle.emit("number", args),
            // Nobody waits for the answer.
            (2, Some(handle)) => drop(handle.emit_with_ack("number", args)),
            (0..=2, None) | (3, _) => socket.room(id).emit("number", args),
            (4, _) => socket.room("shared").emit("number", args),
            (5, _) => socket.namespace().emit("number", args),
            (6, _) => remote.emit("number", args),
            _ => {
                socket.room("shared").to(id).emit("number", args);
                // Whether it waits in between or not.
                if random.next_u32() % 4 == 0 {
                    let _ = socket.join("pause").await;
                }
            }
        }
    }
}
