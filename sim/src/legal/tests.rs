//! What a server may do, and what it may not, packet by packet.

use super::*;

const OPEN: &str = r#"0{"sid":"x","upgrades":["websocket"],"pingInterval":100,"pingTimeout":50,"maxPayload":1000}"#;
const CONNECTED: &str = r#"40{"sid":"A"}"#;

/// A connection, whose packets come one millisecond after the other.
struct Wire {
    legality: Legality,
    way: Way,
    now_ms: u64,
    /// What was rejected first.
    rejected: Option<String>,
}

impl Wire {
    fn new(polls: bool) -> Self {
        let terms = Terms { polls, release_max: Duration::from_millis(50), pings_on: false };
        let way = if polls { Way::Polling } else { Way::WebSocket };
        let legality = Legality::new(terms, Duration::ZERO);
        Self { legality, way, now_ms: 0, rejected: None }
    }

    /// Over a WebSocket, and in the namespace `/`.
    fn connected() -> Self {
        Self::new(false).hear(OPEN).say("40").hear(CONNECTED)
    }

    /// Over polling, in the namespace `/`, with a GET under way and a probe on which nothing
    /// was said.
    fn polling() -> Self {
        let wire = Self::new(true).hear(OPEN).pass(Passing::Answered).pass(Passing::Asked);
        wire.say("40").hear(CONNECTED).pass(Passing::Answered).pass(Passing::Asked)
    }

    /// One whose probe the server has answered.
    fn probed() -> Self {
        Self::polling().say_probe("2probe").hear_probe("3probe")
    }

    fn pass_now(mut self, passing: Passing<'_>) -> Self {
        let handled = self.legality.handle(Duration::from_millis(self.now_ms), passing);
        if let Err(illegal) = handled {
            assert_eq!(self.rejected, None, "it rejects once");
            self.rejected = Some(illegal.what);
        }
        self
    }

    fn pass(mut self, passing: Passing<'_>) -> Self {
        self.now_ms += 1;
        self.pass_now(passing)
    }

    fn hear(self, text: &str) -> Self {
        let way = self.way;
        self.pass(Passing::Heard { way, message: Message::Text(text) })
    }

    /// At the moment of what passed before.
    fn hear_at_once(self, text: &str) -> Self {
        let way = self.way;
        self.pass_now(Passing::Heard { way, message: Message::Text(text) })
    }

    fn hear_bytes(self) -> Self {
        let way = self.way;
        self.pass(Passing::Heard { way, message: Message::Binary(&[1, 2]) })
    }

    fn hear_probe(self, text: &str) -> Self {
        self.pass(Passing::Heard { way: Way::Probe, message: Message::Text(text) })
    }

    fn say(self, text: &str) -> Self {
        let way = self.way;
        self.pass(Passing::Said { way, message: Message::Text(text) })
    }

    fn say_probe(self, text: &str) -> Self {
        self.pass(Passing::Said { way: Way::Probe, message: Message::Text(text) })
    }

    /// The poll is answered with a packet.
    fn release(self, text: &str) -> Self {
        self.hear(text).pass(Passing::Answered)
    }

    fn go_over(self) -> Self {
        Self { way: Way::WebSocket, ..self.say_probe("5") }
    }

    fn later(mut self, ms: u64) -> Self {
        self.now_ms += ms;
        self
    }

    #[track_caller]
    fn passes(self) {
        assert_eq!(self.rejected, None);
    }

    #[track_caller]
    fn fails(self, words: &str) {
        let what = self.rejected.expect("it is not legal");
        assert!(what.contains(words), "{what}");
    }
}

#[test]
fn a_whole_conversation_passes() {
    let wire = Wire::connected().say("40/admin,").hear(r#"40/admin,{"sid":"B"}"#);
    let wire = wire.say(r#"420["a"]"#).say(r#"42/admin,1["b"]"#);
    let wire = wire.hear(r#"452-["c",{},{}]"#).hear_bytes().hear_bytes();
    let wire = wire.hear(r#"461-/admin,1[{}]"#).hear_bytes().hear("430[]");
    let wire = wire.hear("2").say("3").hear("2").say("3");
    let wire = wire.say("41/admin,").hear(r#"42/admin,["on its way"]"#).say("40/admin,");
    let wire = wire.hear(r#"42/admin,["too"]"#).hear(r#"40/admin,{"sid":"C"}"#);
    wire.hear(r#"42/admin,["new"]"#).hear("41/admin,").hear("1").passes();
}

#[test]
fn the_open_packet_comes_first_and_once() {
    for packet in ["2", "6", CONNECTED, r#"42["a"]"#] {
        Wire::new(false).hear(packet).fails("before it had opened the session");
        Wire::new(true).hear(packet).fails("before it had opened the session");
    }
    Wire::new(false).hear(OPEN).hear(OPEN).fails("opened the session a second time");
    Wire::connected().hear(OPEN).fails("opened the session a second time");
}

#[test]
fn nothing_follows_the_close_packet() {
    for packet in ["6", "2", r#"42["a"]"#, "1"] {
        Wire::connected().hear("1").hear(packet).fails("after it had closed the session");
        Wire::polling().hear("1").hear(packet).fails("after it had closed the session");
    }
    Wire::connected().hear("1").hear_bytes().fails("after it had closed the session");
    let close = Passing::Heard { way: Way::WebSocket, message: Message::Close(Some(1000)) };
    Wire::connected().hear("1").pass(close).passes();
    // The client's own end is no news to the server yet.
    Wire::polling().say("1").hear(r#"42["a"]"#).hear("6").passes();
}

#[test]
fn only_servers_packets_come_from_a_server() {
    for packet in ["3", "5"] {
        Wire::connected().hear(packet).fails("which only clients send");
    }
}

#[test]
fn nothing_comes_before_the_answer_to_connect() {
    let opened = || Wire::new(false).hear(OPEN).say("40");
    for packet in [r#"42["a"]"#, "430[]", "41", r#"451-["a",{}]"#] {
        opened().hear(packet).fails("before it answered CONNECT");
        opened().hear(r#"44{"message":"no"}"#).hear(packet).fails("had put the client out");
    }
    let put_out = || Wire::connected().hear("41").say("40");
    put_out().hear(r#"42["a"]"#).fails("before it answered CONNECT");
    put_out().hear(CONNECTED).hear(r#"42["a"]"#).passes();
}

#[test]
fn connect_has_one_answer() {
    for first in [CONNECTED, r#"44{"message":"no"}"#] {
        for second in [CONNECTED, r#"44{"message":"no"}"#] {
            let wire = Wire::new(false).hear(OPEN).say("40").hear(first).hear(second);
            let is_in = first == CONNECTED;
            wire.fails(if is_in { "had answered CONNECT already" } else { "asked again" });
        }
    }
    Wire::connected().say("41").hear(CONNECTED).fails("had answered CONNECT already");
    Wire::new(false).hear(OPEN).hear(CONNECTED).fails("has not asked");
    Wire::connected().hear(r#"40/b,{"sid":"B"}"#).fails("has not asked");
    Wire::connected().hear(r#"42/b,["b"]"#).fails("has not asked");
    let refused = Wire::new(false).hear(OPEN).say("40").hear(r#"44{"message":"no"}"#);
    refused.say("40").hear(CONNECTED).passes();
}

#[test]
fn a_namespace_is_silent_after_disconnect() {
    for packet in [r#"42["a"]"#, "430[]", "41"] {
        Wire::connected().say(r#"420["x"]"#).hear("41").hear(packet).fails("put the client");
        // On its way, as far as anybody knows.
        Wire::connected().say(r#"420["x"]"#).say("41").hear(packet).passes();
        let crossing = Wire::connected().say(r#"420["x"]"#).say("41").hear("2");
        let ponged = crossing.say("3").hear(packet);
        ponged.passes();
        let known = Wire::connected().say(r#"420["x"]"#).say("41").hear("2").say("3").hear("2");
        known.hear(packet).fails("it knew the client had left");
    }
}

#[test]
fn who_comes_again_hears_what_was_on_its_way_and_one_disconnect() {
    let again = || Wire::connected().say("41").say("40");
    again().hear(r#"42["old"]"#).hear("41").hear(CONNECTED).hear(r#"42["new"]"#).passes();
    again().hear("41").hear(r#"42["old"]"#).fails("before it answered CONNECT");
    again().hear("41").hear("41").fails("before it answered CONNECT");
    let known = || Wire::connected().say("41").hear("2").say("3").hear("2").say("3").say("40");
    known().hear(r#"42["old"]"#).fails("before it answered CONNECT");
    known().hear(CONNECTED).passes();
}

#[test]
fn attachments_follow_their_packet_and_nothing_else_does() {
    let announced = || Wire::connected().hear(r#"452-["a",{},{}]"#).hear_bytes();
    announced().hear_bytes().hear("2").passes();
    for packet in ["2", "6", "1", r#"42["a"]"#, r#"451-["a",{}]"#] {
        announced().hear(packet).fails("between a packet and its attachments, 1 of which");
    }
    announced().hear_bytes().hear_bytes().fails("that no packet has announced");
    Wire::connected().hear_bytes().fails("that no packet has announced");
    Wire::new(false).hear_bytes().fails("that no packet has announced");
    // They may come with the next answer.
    let split = Wire::polling().hear(r#"451-["a",{}]"#).pass(Passing::Answered);
    split.pass(Passing::Asked).hear_bytes().passes();
}

#[test]
fn an_ack_answers_once_and_in_its_namespace() {
    let asked = || Wire::connected().say(r#"420["a"]"#).say(r#"451-1["b",{}]"#);
    asked().hear("431[]").hear("430[]").passes();
    asked().hear("430[]").hear("430[]").fails("nobody waits any more");
    asked().hear("461-0[{}]").hear_bytes().hear("430[]").fails("nobody waits any more");
    asked().hear("432[]").fails("never asked for");
    Wire::connected().hear("430[]").fails("never asked for");
    let other = asked().say("40/b,").hear(r#"40/b,{"sid":"B"}"#);
    other.hear("43/b,0[]").fails("which was asked for in /");
    let again = asked().say("41").say("40");
    again.hear("430[]").hear(CONNECTED).hear("431[]").fails("nobody waits any more");
}

#[test]
fn one_ping_is_out_at_a_time() {
    Wire::connected().hear("2").hear("2").fails("before it had the answer");
    // The answer has left, and is nowhere else yet.
    Wire::connected().hear("2").say("3").hear_at_once("2").fails("before it had the answer");
    Wire::connected().hear("2").say("3").hear("2").say("3").passes();
    let over = Wire::probed().release("2").go_over();
    over.say("3").hear("2").passes();
    let over = Wire::probed().release("2").go_over();
    over.hear("2").fails("before it had the answer");
}

#[test]
fn who_is_not_read_is_pinged_on() {
    let unread = || {
        let mut wire = Wire::connected();
        wire.legality.pings_on = true;
        wire
    };
    unread().hear("2").hear("2").say("3").say("3").hear("2").passes();
    // A ping is no proof that the server has heard what was said before it.
    let left = unread().say("41").hear("2").say("3").hear("2");
    left.hear(r#"42["a"]"#).passes();
    let left = Wire::connected().say("41").hear("2").say("3").hear("2");
    left.hear(r#"42["a"]"#).fails("which it knew the client had left");
}

#[test]
fn an_upgrade_goes_step_by_step() {
    let upgraded = || Wire::probed().release("6").go_over();
    upgraded().hear(r#"42["a"]"#).hear("2").say("3").passes();
    let busy = Wire::probed().release(r#"42["a"]"#).go_over();
    busy.hear(r#"42["b"]"#).passes();
    Wire::polling().say_probe("2probe").hear_probe("6").fails("before the client had gone");
    Wire::polling().hear_probe("3probe").fails("answered a probe before it was asked");
    Wire::probed().hear_probe("3probe").fails("answered a probe twice");
    for packet in ["2", "6", "1", r#"42["a"]"#] {
        Wire::probed().hear_probe(packet).fails("before the client had gone over");
        let at_once = upgraded().hear_at_once(packet);
        at_once.fails("before the client had gone over");
        let late =
            upgraded().pass(Passing::Heard { way: Way::Polling, message: Message::Text(packet) });
        late.fails("over polling after the client had gone over");
    }
}

#[test]
fn a_probe_that_came_to_nothing_may_be_tried_again() {
    let again = Wire::probed().pass(Passing::ProbeGone).later(100).release(r#"42["a"]"#);
    let again = again.pass(Passing::Asked).say_probe("2probe").hear_probe("3probe");
    again.release("6").go_over().hear(r#"42["a"]"#).passes();
    let close = Passing::Heard { way: Way::Probe, message: Message::Close(Some(1000)) };
    Wire::probed().pass(close).release("6").passes();
}

#[test]
fn an_answered_probe_releases_the_poll() {
    let released = Wire::probed().later(40).release("6").later(100).go_over();
    released.hear(r#"42["a"]"#).passes();
    for late in ["6", "2", r#"42["a"]"#] {
        Wire::probed().later(60).release(late).fails("still held the poll 61 ms later");
    }
    Wire::probed().later(60).pass(Passing::ProbeGone).fails("still held the poll");
    // Who never hears that the probe was answered waits for nothing.
    let deaf = Wire::polling().say_probe("2probe").later(60).release(r#"42["a"]"#);
    deaf.passes();
}

#[test]
fn what_the_network_may_have_kept_back_says_since_when() {
    let mut wire = Wire::polling();
    let asked_at = Duration::from_millis(wire.now_ms);
    wire = wire.say_probe("2probe").hear_probe("3probe");
    let late = wire.legality.handle(Duration::from_secs(1), Passing::Answered);
    assert_eq!(late.unwrap_err().since, Some(asked_at));
}

#[test]
fn long_packets_are_shown_by_their_beginning() {
    let long = format!(r#"42["{}"]"#, "ä".repeat(100));
    let what = Wire::new(false).hear(&long).rejected.unwrap();
    assert!(what.len() < 130 && what.contains("ä\"..."), "{what}");
}
