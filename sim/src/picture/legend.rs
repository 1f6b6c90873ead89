//! The legend: one small drawing and a few words for every sign of the diagram.

use std::fmt::Write;

use super::draw::{ROOMS, escape};

/// The legend for a diagram with these rooms.
pub(super) fn legend(rooms: &[&str], is_failing: bool) -> String {
    let mut legend = String::from(
        "<p>Time runs downwards, at a scale that changes: nothing shares a height, and idle \
         stretches are cut out. Each client has a line, the server has the thick one. \
         <b>3:7</b> is message 7 of client 3.</p>\n<div class=\"legend\">\n",
    );
    if is_failing {
        for (drawing, text) in FAILING {
            item(&mut legend, drawing, text);
        }
    }
    for (drawing, text) in SIGNS {
        item(&mut legend, drawing, text);
    }
    for (index, room) in rooms.iter().enumerate() {
        let band = format!(
            "<rect class=\"band r{0}\" x=\"10\" width=\"8\" height=\"16\"/>\
             <rect class=\"band maybe r{0}\" x=\"22\" width=\"8\" height=\"16\"/>",
            index % ROOMS
        );
        item(
            &mut legend,
            &band,
            &format!("member of {} (pale: asked, not yet told)", escape(room)),
        );
    }
    legend.push_str("</div>\n");
    legend
}

fn item(legend: &mut String, drawing: &str, text: &str) {
    writeln!(legend, "<span><svg width=\"40\" height=\"16\">{drawing}</svg>{text}</span>")
        .expect("a string grows");
}

const FAILING: [(&str, &str); 2] = [
    (
        "<path d=\"M2 4L36 12M31 7.5l5 4.5l-6 1\" style=\"stroke:var(--s0);stroke-width:2.4;fill:none\"/>",
        "a message the violation is about (each its own colour; all else is grey)",
    ),
    (
        "<circle class=\"ring\" cx=\"20\" cy=\"8\" r=\"6\"/><path class=\"violation\" d=\"M0 8H40\"/>",
        "where the guarantee is broken",
    ),
];

const SIGNS: [(&str, &str); 16] = [
    (
        "<path class=\"arrow send\" d=\"M2 4L36 12M31 7.5l5 4.5l-6 1\"/>",
        "a message: to the server, which accepts it where the arrow ends, and from there to each member",
    ),
    (
        "<path class=\"arrow send lost\" d=\"M2 4L24 10M20.5 6.5l7 7m0 -7l-7 7\"/>",
        "a message that the engine never accepted",
    ),
    (
        "<path class=\"arrow call\" d=\"M2 4L36 12M31 7.5l5 4.5l-6 1\"/>",
        "a join, leave or switch, to where the engine did it",
    ),
    (
        "<path class=\"arrow answer\" d=\"M36 4L2 12M8 7l-6 5l7 2\"/>",
        "its answer, or a message's ack",
    ),
    (
        "<circle class=\"dot out\" cx=\"14\" cy=\"8\" r=\"2.5\"/>\
         <circle class=\"dot in\" cx=\"26\" cy=\"8\" r=\"2.5\"/>",
        "the client says something; hears something",
    ),
    (
        "<path class=\"life\" d=\"M20 0V16\"/><circle class=\"born\" cx=\"20\" cy=\"8\" r=\"4.5\"/>",
        "a connection begins",
    ),
    (
        "<path class=\"life\" d=\"M20 0V16\"/><circle class=\"born again\" cx=\"20\" cy=\"8\" r=\"4.5\"/>",
        "a connection begins that goes on with an earlier one: the client is recovered",
    ),
    ("<path class=\"dead\" d=\"M15 3l10 10m0 -10l-10 10\"/>", "a connection ends"),
    ("<path class=\"away\" d=\"M20 0V16\"/>", "no connection"),
    ("<path class=\"upgraded\" d=\"M15 12l5 -7l5 7z\"/>", "gone over from requests to a WebSocket"),
    (
        "<rect class=\"span cut\" x=\"2\" y=\"1\" width=\"36\" height=\"14\"/>",
        "fault: the link is cut both ways, or its connections are reset",
    ),
    (
        "<rect class=\"span halfcut\" x=\"2\" y=\"1\" width=\"36\" height=\"14\"/>",
        "fault: one way is cut, packets are lost, or polls are cancelled",
    ),
    (
        "<rect class=\"span held\" x=\"2\" y=\"1\" width=\"36\" height=\"14\"/>",
        "fault: all is held back and handed over at the end, or a process does not run",
    ),
    (
        "<rect class=\"span slow\" x=\"2\" y=\"1\" width=\"36\" height=\"14\"/>",
        "fault: a link that is slow or narrow, or on which packets come twice or late, or a client \
         that reads slowly",
    ),
    (
        "<rect class=\"span down\" x=\"10\" y=\"1\" width=\"20\" height=\"14\"/>",
        "fault: the server is down",
    ),
    ("<path class=\"note\" d=\"M0 8H40\"/>", "phases of the run"),
];
