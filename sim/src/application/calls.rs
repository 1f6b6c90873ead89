//! What was said to an application and how it was answered, put together from a history.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::history::{Event, History, Mark, SocketId};

/// Something a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who.
    pub client: u32,
    /// Which of the client's calls it is.
    pub number: u64,
    /// The event.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// When it was first said.
    pub at_us: u64,
    /// Over which connections, first to last.
    pub sockets: Vec<SocketId>,
    /// Whether it was said in the quiet phase, once everybody was back.
    pub is_probe: bool,
    /// The answer, if there was one.
    pub answer: Option<Answer>,
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When.
    pub at_us: u64,
    /// With what.
    pub args: Vec<Value>,
}

/// Everything that was said, in the order in which it was said first.
pub fn calls(history: &History) -> Vec<Call> {
    let clients: BTreeMap<SocketId, u32> =
        history.connections().map(|it| (it.socket, it.client)).collect();
    let mut places: BTreeMap<(u32, u64), usize> = BTreeMap::new();
    let mut calls: Vec<Call> = Vec::new();
    let mut is_probe = false;
    for entry in history.entries() {
        let at_us = entry.at_us;
        if let Event::Quiet { mark: Mark::Probe } = entry.event {
            is_probe = true;
        } else if let Event::Said { socket, number, name, args } = &entry.event {
            let client = clients[socket];
            let place = *places.entry((client, *number)).or_insert(calls.len());
            if place == calls.len() {
                let (name, args) = (name.clone(), args.clone());
                let sockets = Vec::new();
                let answer = None;
                let number = *number;
                calls.push(Call { client, number, name, args, at_us, sockets, is_probe, answer });
            }
            calls[place].sockets.push(*socket);
        } else if let Event::Replied { socket, number, args } = &entry.event {
            let place = places[&(clients[socket], *number)];
            calls[place].answer.get_or_insert_with(|| Answer { at_us, args: args.clone() });
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_again_is_one_call() {
        let mut history = History::default();
        for socket in [SocketId(0), SocketId(1)] {
            let (sid, server) = (socket.0.to_string(), String::new());
            history.push(1, Event::Connected { socket, client: 7, sid, server });
            let (name, args) = ("add".to_owned(), vec![json!(1)]);
            history.push(2, Event::Said { socket, number: 1, name, args });
        }
        history.push(9, Event::Replied { socket: SocketId(1), number: 1, args: vec![json!(true)] });
        let calls = calls(&history);
        assert_eq!(calls.len(), 1, "{calls:?}");
        assert_eq!(calls[0].sockets, [SocketId(0), SocketId(1)]);
        assert_eq!(calls[0].answer, Some(Answer { at_us: 9, args: vec![json!(true)] }));
    }
}
