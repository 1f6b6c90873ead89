//! The theatre: its handlers, its clients' script, and what must be true.
//!
//! | client emits | arguments | ack |
//! |---|---|---|
//! | `enter` | | `true`: in the hall, where `sold` is heard |
//! | `book` | seat, buyer | whether the seat is the buyer's |
//! | `seats` | | `[[seat, buyer], ..]` |
//!
//! Clients say `book` again over a new connection until it is answered, as Socket.IO's
//! clients do with `retries`; so the same booking may arrive twice.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use parlor::{Ack, Io, Socket};
use serde_json::{Value, json};
use sim::application::{Application, Call, Handlers, Server, calls};
use sim::dice::Dice;
use sim::history::History;
use sim::judge::Failure;
use sim::plan::Say;

const SEATS: u64 = 4;

/// What is wrong with the theatre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// Bookings are kept in the process, and are gone with it.
    Memory,
    /// Nothing.
    None,
    /// A seat is looked up, then paid for, then taken: two can pay for the same one.
    Race,
    /// A booking that arrives again finds the seat taken, if by its own buyer.
    Retry,
}

impl Bug {
    /// The bug of that name; without a name there is none.
    pub(crate) fn named(name: Option<&str>) -> Option<Self> {
        match name {
            None => Some(Self::None),
            Some("memory") => Some(Self::Memory),
            Some("race") => Some(Self::Race),
            Some("retry") => Some(Self::Retry),
            Some(_) => None,
        }
    }
}

/// Who has which seat: in a theatre without bugs, the database.
type Seats = Rc<RefCell<BTreeMap<u64, u64>>>;

/// The application under test.
pub(crate) struct Theatre {
    /// What is wrong with it.
    pub(crate) bug: Bug,
}

impl Application for Theatre {
    fn name(&self) -> &str {
        "booking"
    }

    fn server(&self) -> Server {
        let bug = self.bug;
        let database = Seats::default();
        Box::new(move |_start| -> Handlers {
            let seats = if bug == Bug::Memory { Seats::default() } else { Rc::clone(&database) };
            Rc::new(move |io| register(io, &seats, bug))
        })
    }

    fn script(&self, dice: &mut Dice, client: u32, operations: usize) -> Vec<Say> {
        // Once the house is sold out nothing happens any more.
        let bookings = 0..operations.min(6);
        let book = |_| Say::new("book", json!([dice.between(1, SEATS), client])).until_answered();
        bookings.map(book).collect()
    }

    fn opening(&self, _: u32) -> Vec<Say> {
        vec![Say::new("enter", json!([])).with_ack()]
    }

    fn probe(&self, _: u32) -> Vec<Say> {
        vec![Say::new("seats", json!([])).with_ack()]
    }

    fn invariant(&self, history: &History) -> Vec<Failure> {
        let calls = calls(history);
        let mut failures = sold_twice(&calls);
        failures.extend(calls.iter().filter_map(unanswered));
        for list in calls.iter().filter(|call| call.name == "seats") {
            let wrong = calls.iter().filter_map(|booking| disagreement(booking, list));
            failures.extend(wrong);
        }
        failures
    }

    fn command(&self) -> String {
        let bug = match self.bug {
            Bug::Memory => "BOOKING_BUG=memory ",
            Bug::None => "",
            Bug::Race => "BOOKING_BUG=race ",
            Bug::Retry => "BOOKING_BUG=retry ",
        };
        format!("{bug}cargo run --release -p sim --example booking --")
    }
}

fn register(io: &mut Io, seats: &Seats, bug: Bug) {
    let theatre = io.of("/");
    theatre.on("enter", async |socket: Socket, (): (), ack: Ack| {
        ack.send(socket.join("hall").await.is_ok());
    });
    let own = Rc::clone(seats);
    theatre.on("book", async move |socket: Socket, (seat, buyer): (u64, u64), ack: Ack| {
        ack.send(book(&own, bug, &socket, seat, buyer).await);
    });
    let own = Rc::clone(seats);
    theatre.on("seats", async move |_: Socket, (): (), ack: Ack| {
        let all: Vec<(u64, u64)> =
            own.borrow().iter().map(|(&seat, &buyer)| (seat, buyer)).collect();
        ack.send(json!(all));
    });
}

/// Whether the seat is the buyer's.
async fn book(seats: &Seats, bug: Bug, socket: &Socket, seat: u64, buyer: u64) -> bool {
    let holder = seats.borrow().get(&seat).copied();
    if let Some(holder) = holder {
        return holder == buyer && bug != Bug::Retry;
    }
    if bug != Bug::Race {
        seats.borrow_mut().insert(seat, buyer);
    }
    // The bank takes its time; what is awaited is where others get their turn.
    tokio::time::sleep(Duration::from_millis(5)).await;
    seats.borrow_mut().insert(seat, buyer);
    socket.to("hall").emit("sold", (seat, buyer));
    true
}

/// What a booking was told: its seat, its buyer, and whether the seat is the buyer's.
fn told(booking: &Call) -> Option<(&Value, &Value, bool)> {
    let ([seat, buyer], "book") = (booking.args.as_slice(), booking.name.as_str()) else {
        return None;
    };
    let answer = booking.answer.as_ref()?.args.first()?;
    Some((seat, buyer, answer.as_bool()?))
}

fn sold_twice(calls: &[Call]) -> Vec<Failure> {
    let mut sold: Vec<(&Value, &Value, &Call)> = Vec::new();
    let mut failures = Vec::new();
    for call in calls {
        let Some((seat, buyer, true)) = told(call) else { continue };
        for &(_, other, first) in sold.iter().filter(|(it, who, _)| *it == seat && *who != buyer) {
            let sentence = format!("seat {seat} was sold to {other} and to {buyer}");
            let sockets = [&first.sockets[..], &call.sockets[..]].concat();
            let at_us = call.answer.as_ref().map_or(call.at_us, |answer| answer.at_us);
            failures.push(Failure::new("seat_sold_once", sentence, at_us, sockets));
        }
        sold.push((seat, buyer, call));
    }
    failures
}

/// Everybody is connected at the end, so every booking and probe has its answer.
fn unanswered(call: &Call) -> Option<Failure> {
    let is_owed = call.answer.is_none() && call.name != "enter";
    let sentence = format!("client {} has no answer to its {}", call.client, call.name);
    is_owed.then(|| Failure::new("answered", sentence, call.at_us, call.sockets.clone()))
}

/// Whether what a booking was told is not what the final list says.
fn disagreement(booking: &Call, list: &Call) -> Option<Failure> {
    let (seat, buyer, is_sold) = told(booking)?;
    let answer = list.answer.as_ref()?;
    let has_it = answer.args.first()?.as_array()?.contains(&json!([seat, buyer]));
    let (name, what) = match (is_sold, has_it) {
        (true, false) => ("booking_kept", "was sold it and does not have it"),
        (false, true) => ("buyer_told", "has it and was told that it does not"),
        (true, true) | (false, false) => return None,
    };
    let sockets = [&booking.sockets[..], &list.sockets[..]].concat();
    let sentence = format!("seat {seat}: buyer {buyer} {what}");
    Some(Failure::new(name, sentence, answer.at_us, sockets))
}
