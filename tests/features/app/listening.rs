//! Listeners of all kinds; each says that it ran by the event `ran`.

use std::cell::RefCell;
use std::rc::Rc;

use parlor::{Ack, Namespace, Raw, Socket};

pub(super) fn listeners(here: &mut Namespace) {
    here.on_any(async |socket: Socket, raw: Raw| {
        if raw.0.event().starts_with("try") {
            ran(&socket, &format!("any of the namespace: {}", raw.0.event()));
        }
    });
    here.on("try", async |socket: Socket, _: Raw| {
        // The second handler of this event waits for the first all the same.
        tokio::task::yield_now().await;
        ran(&socket, "first");
    });
    here.on("try", async |socket: Socket, _: Raw| ran(&socket, "second"));
    own(here);
    turns(here);
    outgoing(here);
}

fn ran(socket: &Socket, who: &str) {
    socket.emit("ran", who);
}

/// What a socket listens to by itself.
fn own(here: &mut Namespace) {
    here.on("own-on", async |socket: Socket, (): (), ack: Ack| {
        socket.on("try", async |socket: Socket, _: Raw| ran(&socket, "own"));
        ack.send(());
    });
    here.on("own-once", async |socket: Socket, (): (), ack: Ack| {
        socket.once("try", async |socket: Socket, _: Raw| ran(&socket, "own, once"));
        ack.send(());
    });
    here.on("own-off", async |socket: Socket, (): (), ack: Ack| {
        socket.off("try");
        ack.send(());
    });
    here.on("own-any", async |socket: Socket, (): (), ack: Ack| {
        socket.on_any(async |socket: Socket, raw: Raw| {
            if raw.0.event().starts_with("try") {
                ran(&socket, &format!("any of the socket: {}", raw.0.event()));
            }
        });
        ack.send(());
    });
    here.on("own-off-any", async |socket: Socket, (): (), ack: Ack| {
        socket.off_any();
        ack.send(());
    });
}

/// Handlers that wait until their client opens the gate.
fn turns(here: &mut Namespace) {
    async fn pass(socket: Socket, (name,): (String,)) {
        let _ = socket.emit_with_ack("gate", &name).await;
        ran(&socket, &name);
    }
    here.on("in-turn", pass);
    here.on_concurrent("beside", pass);
}

fn outgoing(here: &mut Namespace) {
    let log: Rc<RefCell<Vec<String>>> = Rc::default();
    let heard = Rc::clone(&log);
    here.on_any_outgoing(move |json| heard.borrow_mut().push(json.to_owned()));
    here.on("outgoing", async move |_: Socket, (): (), ack: Ack| {
        ack.send((log.take(),));
    });
}
