//! Who is a member of which room, as far as the client itself can know: between a
//! question and its answer it does not.

use std::collections::BTreeMap;

use crate::history::SocketId;

/// A stretch of a socket's line along which it is a member, or may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Band<'a> {
    pub(super) socket: SocketId,
    pub(super) room: &'a str,
    pub(super) from: usize,
    pub(super) to: usize,
    /// Whether the client knows it.
    pub(super) is_known: bool,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    from: usize,
    is_known: bool,
    /// Whether it was a member before it asked.
    was_member: bool,
}

/// The bands so far.
#[derive(Debug, Default)]
pub(super) struct Bands<'a> {
    done: Vec<Band<'a>>,
    open: BTreeMap<(SocketId, &'a str), Open>,
    /// What was open when a connection ended, should its socket be recovered.
    interrupted: BTreeMap<(SocketId, &'a str), Open>,
}

impl<'a> Bands<'a> {
    /// It has asked to be let in.
    pub(super) fn ask_in(&mut self, row: usize, socket: SocketId, room: &'a str) {
        if !self.open.contains_key(&(socket, room)) {
            self.begin(row, socket, room, Open { from: row, is_known: false, was_member: false });
        }
    }

    /// It has been told that it is in.
    pub(super) fn know_in(&mut self, row: usize, socket: SocketId, room: &'a str) {
        if !self.open.get(&(socket, room)).is_some_and(|open| open.is_known) {
            self.begin(row, socket, room, Open { from: row, is_known: true, was_member: true });
        }
    }

    /// It has asked to be let out.
    pub(super) fn ask_out(&mut self, row: usize, socket: SocketId, room: &'a str) {
        if let Some(&open) = self.open.get(&(socket, room)) {
            let was_member = open.is_known || open.was_member;
            self.begin(row, socket, room, Open { from: row, is_known: false, was_member });
        }
    }

    /// It has been told that it is out.
    pub(super) fn know_out(&mut self, row: usize, socket: SocketId, room: &'a str) {
        self.close(row, socket, room);
    }

    /// What it asked was refused: all is as before.
    pub(super) fn refuse(&mut self, row: usize, socket: SocketId, room: &'a str) {
        match self.open.get(&(socket, room)) {
            Some(open) if open.is_known => {}
            Some(open) if open.was_member => self.know_in(row, socket, room),
            Some(_) => self.close(row, socket, room),
            None => {}
        }
    }

    /// The connection has ended, and all its memberships with it.
    pub(super) fn end(&mut self, row: usize, socket: SocketId) {
        let rooms: Vec<&str> =
            self.open.keys().filter(|(owner, _)| *owner == socket).map(|(_, room)| *room).collect();
        for room in rooms {
            self.interrupted.insert((socket, room), self.open[&(socket, room)]);
            self.close(row, socket, room);
        }
    }

    /// It is recovered: a member of what it was a member of.
    pub(super) fn resume(&mut self, row: usize, socket: SocketId) {
        let its = self.interrupted.extract_if(.., |(owner, _), _| *owner == socket);
        for ((_, room), open) in its.collect::<Vec<_>>() {
            self.begin(row, socket, room, Open { from: row, ..open });
        }
    }

    /// All bands; those still open end here.
    pub(super) fn finish(mut self, row: usize) -> Vec<Band<'a>> {
        let open: Vec<(SocketId, &str)> = self.open.keys().copied().collect();
        for (socket, room) in open {
            self.close(row, socket, room);
        }
        self.done
    }

    fn begin(&mut self, row: usize, socket: SocketId, room: &'a str, open: Open) {
        self.close(row, socket, room);
        self.open.insert((socket, room), open);
    }

    fn close(&mut self, to: usize, socket: SocketId, room: &'a str) {
        if let Some(Open { from, is_known, .. }) = self.open.remove(&(socket, room)) {
            self.done.push(Band { socket, room, from, to, is_known });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: SocketId = SocketId(3);

    fn stretches(bands: Bands<'_>) -> Vec<(usize, usize, bool)> {
        bands.finish(99).iter().map(|band| (band.from, band.to, band.is_known)).collect()
    }

    #[test]
    fn between_a_question_and_its_answer_nothing_is_known() {
        let mut bands = Bands::default();
        bands.ask_in(1, SOCKET, "a");
        bands.know_in(2, SOCKET, "a");
        bands.ask_out(5, SOCKET, "a");
        bands.know_out(7, SOCKET, "a");
        assert_eq!(stretches(bands), [(1, 2, false), (2, 5, true), (5, 7, false)]);
    }

    #[test]
    fn a_refused_leave_leaves_all_as_it_was() {
        let mut bands = Bands::default();
        bands.know_in(2, SOCKET, "a");
        bands.ask_out(5, SOCKET, "a");
        bands.refuse(6, SOCKET, "a");
        bands.ask_in(7, SOCKET, "b");
        bands.refuse(8, SOCKET, "b");
        assert_eq!(stretches(bands), [(2, 5, true), (5, 6, false), (7, 8, false), (6, 99, true)]);
    }

    #[test]
    fn who_is_recovered_is_where_it_was_as_far_as_it_knows() {
        let mut bands = Bands::default();
        bands.know_in(2, SOCKET, "a");
        bands.know_in(2, SOCKET, "b");
        bands.ask_out(3, SOCKET, "b");
        bands.end(5, SOCKET);
        bands.resume(7, SOCKET);
        bands.know_out(8, SOCKET, "b");
        let expected = [(2, 3, true), (2, 5, true), (3, 5, false), (7, 8, false), (7, 99, true)];
        assert_eq!(stretches(bands), expected);
    }

    #[test]
    fn the_end_of_a_connection_ends_its_memberships() {
        let mut bands = Bands::default();
        bands.know_in(2, SOCKET, "a");
        bands.know_in(2, SocketId(4), "a");
        bands.end(5, SOCKET);
        assert_eq!(stretches(bands), [(2, 5, true), (2, 99, true)]);
    }
}
