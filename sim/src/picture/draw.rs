//! Draws a scene as SVG: what concerns nothing in particular first and pale, what
//! the violation is about last and strong.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::history::{History, MessageId, SocketId};
use crate::judge::Failure;
use crate::story;

use super::axis::Axis;
use super::layout::Layout;
use super::scene::{Arrow, Band, Cargo, Life, Line, Mark, Scene, Sign, short};
use super::spans::Span;

/// How many strong colours the page's styles have.
pub(super) const STRONG: usize = 4;
/// How many rooms have a colour of their own.
pub(super) const ROOMS: usize = 6;
/// With more entries than this, only what matters is labelled.
const LABELLED_ENTRIES_MAX: usize = 700;
/// Least distance of two texts in a column.
const TEXT_HEIGHT: f64 = 10.5;
const BAND_WIDTH: f64 = 6.0;

/// Everything a drawing is made from.
pub(super) struct Drawing<'a> {
    pub(super) scene: &'a Scene<'a>,
    pub(super) spans: &'a [Span],
    pub(super) axis: Axis,
    pub(super) layout: Layout,
    pub(super) history: &'a History,
    pub(super) failure: Option<&'a Failure>,
    pub(super) rooms: Vec<&'a str>,
    sentences: Vec<String>,
    clients: BTreeMap<SocketId, u32>,
    out: String,
}

impl<'a> Drawing<'a> {
    pub(super) fn new(
        scene: &'a Scene<'a>,
        spans: &'a [Span],
        history: &'a History,
        failure: Option<&'a Failure>,
        rooms: Vec<&'a str>,
    ) -> Self {
        let times = history.entries().iter().map(|entry| entry.at_us);
        let entries = history.entries().len();
        Self {
            axis: Axis::new(times, entries, 12.0),
            layout: Layout::new(&scene.clients),
            clients: scene.lives.iter().map(|life| (life.socket, life.client)).collect(),
            sentences: story::sentences(history),
            scene,
            spans,
            history,
            failure,
            rooms,
            out: String::new(),
        }
    }

    /// The diagram.
    pub(super) fn draw(mut self) -> String {
        let (width, height) = (self.layout.width(), self.axis.bottom() + 40.0);
        let class = if self.failure.is_some() { "failing" } else { "clean" };
        self.add(format_args!(
            "<svg id=\"diagram\" class=\"{class}\" width=\"{width:.0}\" height=\"{height:.0}\" \
             viewBox=\"0 0 {width:.0} {height:.0}\" xmlns=\"http://www.w3.org/2000/svg\">\n{PATTERNS}"
        ));
        self.time();
        for span in self.spans {
            self.span(span);
        }
        self.lines();
        for band in &self.scene.bands {
            self.band(band);
        }
        self.notes();
        let (strong, plain): (Vec<&Arrow<'_>>, Vec<&Arrow<'_>>) =
            self.scene.arrows.iter().partition(|arrow| self.strength(arrow).is_some());
        for arrow in plain.into_iter().chain(strong) {
            self.arrow(arrow);
        }
        for mark in &self.scene.marks {
            self.mark(mark);
        }
        self.violation();
        self.labels();
        self.out.push_str("</svg>\n");
        self.out
    }

    fn add(&mut self, text: std::fmt::Arguments<'_>) {
        self.out.write_fmt(text).expect("a string grows");
        self.out.push('\n');
    }

    fn time(&mut self) {
        let (left, right) = (self.layout.left(), self.layout.width());
        for (at_us, y) in self.axis.labels() {
            let (ms, tenths) = (at_us / 1000, at_us % 1000 / 100);
            self.add(format_args!(
                "<path class=\"grid\" d=\"M{left:.0} {y:.1}H{right:.0}\"/>\
                 <text class=\"time\" x=\"{:.0}\" y=\"{:.1}\">{ms}.{tenths}</text>",
                left - 8.0,
                y + 3.5
            ));
        }
        for cut in self.axis.cuts.clone() {
            let y = cut.y;
            self.add(format_args!(
                "<rect class=\"gap\" x=\"{left:.0}\" y=\"{:.1}\" width=\"{:.0}\" height=\"9\"/>\
                 <text class=\"gaptext\" x=\"{:.0}\" y=\"{:.1}\">{} ms cut</text>",
                y - 4.5,
                right - left,
                left - 8.0,
                y + 3.5,
                cut.ms
            ));
        }
    }

    fn span(&mut self, span: &Span) {
        let Some((x, width)) = self.layout.column(span.line) else { return };
        let (top, bottom) = (self.axis.moment(span.from_us), self.axis.moment(span.until_us));
        let height = (bottom - top).max(3.0);
        let (from, until) = (span.from_us / 1000, span.until_us / 1000);
        self.add(format_args!(
            "<rect class=\"span {}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"><title>{}, from {from} to {until} ms</title></rect>",
            span.shade.class(),
            escape(&span.label)
        ));
    }

    fn lines(&mut self) {
        let (top, bottom) = (self.axis.top() - 10.0, self.axis.bottom() + 10.0);
        for &client in &self.scene.clients {
            let x = self.layout.x(Line::Client(client));
            self.add(format_args!("<path class=\"away\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"/>"));
        }
        for life in &self.scene.lives {
            self.life(life);
        }
        let x = self.layout.x(Line::Server);
        let mut from = top;
        for &(down, up) in &self.scene.downs {
            let down = self.axis.row(down);
            self.add(format_args!("<path class=\"server\" d=\"M{x:.1} {from:.1}V{down:.1}\"/>"));
            from = up.map_or(bottom, |up| self.axis.row(up));
        }
        self.add(format_args!("<path class=\"server\" d=\"M{x:.1} {from:.1}V{bottom:.1}\"/>"));
    }

    fn life(&mut self, life: &Life) {
        let x = self.layout.x(Line::Client(life.client));
        let top = self.axis.row(life.from);
        let bottom = life.to.map_or_else(|| self.axis.bottom() + 10.0, |row| self.axis.row(row));
        let concerned = self.failure.is_some_and(|it| it.sockets.contains(&life.socket));
        let class = if concerned { "life concerned" } else { "life" };
        let end = life.to.map_or("it lives to the end", |row| self.sentences[row].as_str());
        let title = escape(&format!("{}; {end}", self.sentences[life.from]));
        self.add(format_args!(
            "<path class=\"{class}\" d=\"M{x:.1} {top:.1}V{bottom:.1}\"><title>{title}</title></path>"
        ));
    }

    fn band(&mut self, band: &Band<'_>) {
        let Some(life) = self.scene.life(band.socket) else { return };
        let lane = self.room(band.room).unwrap_or(0);
        let (x, outward) =
            (self.layout.x(Line::Client(life.client)), self.layout.outward(life.client));
        let near = 3.0 + lane as f64 * (BAND_WIDTH + 1.0);
        let left = if outward > 0.0 { x + near } else { x - near - BAND_WIDTH };
        let (top, bottom) = (self.axis.row(band.from), self.axis.row(band.to));
        let (known, says) = if band.is_known { ("", "is in") } else { (" maybe", "may be in") };
        self.add(format_args!(
            "<rect class=\"band r{}{known}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{BAND_WIDTH}\" \
             height=\"{:.1}\"><title>client {} {says} {}</title></rect>",
            lane % ROOMS,
            (bottom - top).max(1.0),
            life.client,
            escape(band.room)
        ));
    }

    fn room(&self, room: &str) -> Option<usize> {
        self.rooms.iter().position(|name| *name == room)
    }

    fn notes(&mut self) {
        let (left, right) = (self.layout.left(), self.layout.width());
        for (row, text) in &self.scene.notes {
            let y = self.axis.row(*row);
            self.add(format_args!(
                "<path class=\"note\" d=\"M{left:.0} {y:.1}H{right:.0}\"/>\
                 <text class=\"notetext\" x=\"{:.0}\" y=\"{:.1}\">{}</text>",
                right - 286.0,
                y - 4.0,
                escape(text)
            ));
        }
    }

    /// Which of the strong colours an arrow has.
    fn strength(&self, arrow: &Arrow<'_>) -> Option<usize> {
        let failure = self.failure?;
        match arrow.message {
            Some(message) => strong_message(failure, message),
            None => {
                let room = arrow.room;
                let is_room = failure.rooms.is_empty() || failure.rooms.contains(room);
                (is_room && failure.sockets.contains(&arrow.socket)).then_some(STRONG)
            }
        }
    }

    fn arrow(&mut self, arrow: &Arrow<'_>) {
        let (client, server) =
            (self.layout.x(Line::Client(arrow.client)), self.layout.x(Line::Server));
        let is_up = matches!(arrow.cargo, Cargo::Send | Cargo::Call);
        let (from, to) = if is_up { (client, server) } else { (server, client) };
        let y = self.axis.row(arrow.from);
        let kind = match arrow.cargo {
            Cargo::Answer => "answer",
            Cargo::Call => "call",
            Cargo::Delivery => "delivery",
            Cargo::Send => "send",
        };
        let mut class = match self.room(arrow.room) {
            Some(room) => format!("arrow {kind} r{}", room % ROOMS),
            None => format!("arrow {kind}"),
        };
        match self.strength(arrow) {
            Some(STRONG) => class.push_str(" strong"),
            Some(colour) => write!(class, " strong s{colour}").expect("a string grows"),
            None => {}
        }
        let path = match arrow.to {
            Some(to_row) => path((from, y), (to, self.axis.row(to_row))),
            None => {
                class.push_str(" lost");
                lost((from, y), to)
            }
        };
        let data = arrow.message.map_or(String::new(), |message| {
            format!(" data-m=\"{}\"", short(&self.clients, message))
        });
        let title = self.title(arrow);
        self.add(format_args!(
            "<path class=\"{class}\"{data} d=\"{path}\"><title>{title}</title></path>"
        ));
    }

    fn title(&self, arrow: &Arrow<'_>) -> String {
        let begin = &self.sentences[arrow.from];
        match arrow.to {
            Some(to) if to == arrow.from => escape(&format!("{begin}; the engine never named it")),
            Some(to) => escape(&format!("{begin}; {}", self.sentences[to])),
            None => escape(&format!("{begin}; nobody saw it arrive")),
        }
    }

    fn mark(&mut self, mark: &Mark) {
        let (x, y) = (self.layout.x(Line::Client(mark.client)), self.axis.row(mark.row));
        let title = escape(&self.sentences[mark.row]);
        let shape = match mark.sign {
            Sign::Connected => {
                format!("<circle class=\"born\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\">")
            }
            Sign::Recovered => {
                format!("<circle class=\"born again\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\">")
            }
            Sign::Ended => format!(
                "<path class=\"dead\" d=\"M{:.1} {:.1}l10 10m0 -10l-10 10\">",
                x - 5.0,
                y - 5.0
            ),
            Sign::Complaint => {
                format!("<circle class=\"complaint\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\">")
            }
            Sign::Upgraded => {
                format!("<path class=\"upgraded\" d=\"M{:.1} {:.1}l5 -7l5 7z\">", x - 5.0, y + 3.0)
            }
            Sign::Asked | Sign::Answered | Sign::Heard | Sign::Said => {
                let sign =
                    if mark.sign == Sign::Asked || mark.sign == Sign::Said { "out" } else { "in" };
                format!("<circle class=\"dot {sign}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"1.9\">")
            }
        };
        let name = if shape.starts_with("<path") { "path" } else { "circle" };
        self.add(format_args!("{shape}<title>{title}</title></{name}>"));
    }

    fn violation(&mut self) {
        let Some(failure) = self.failure else { return };
        let row = self.failing_row(failure);
        let Some(row) = row else { return };
        let y = self.axis.row(row);
        let (left, right) = (self.layout.left(), self.layout.width());
        self.add(format_args!("<path class=\"violation\" d=\"M{left:.0} {y:.1}H{right:.0}\"/>"));
        let event = &self.history.entries()[row].event;
        let client = event.socket().and_then(|socket| self.clients.get(&socket));
        if let Some(&client) = client {
            let x = self.layout.x(Line::Client(client));
            self.add(format_args!("<circle class=\"ring\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"9\"/>"));
        }
        self.add(format_args!(
            "<text class=\"violationtext\" x=\"{:.0}\" y=\"{:.1}\">{} is broken here</text>",
            right - 286.0,
            y + 15.0,
            escape(&failure.guarantee)
        ));
    }

    /// The last entry of the moment that is about what the failure is about.
    fn failing_row(&self, failure: &Failure) -> Option<usize> {
        let entries = self.history.entries();
        let of_moment =
            || (0..entries.len()).rev().filter(|&row| entries[row].at_us == failure.at_us);
        let concerned = of_moment().find(|&row| {
            let event = &entries[row].event;
            let message = event.message().is_some_and(|it| failure.messages.contains(&it));
            let socket = event.socket().is_some_and(|it| failure.sockets.contains(&it));
            socket && (message || failure.messages.is_empty())
        });
        concerned.or_else(|| of_moment().next())
    }

    fn labels(&mut self) {
        let is_small = self.history.entries().len() <= LABELLED_ENTRIES_MAX;
        let mut texts: Vec<(u8, Line, f64, &'static str, &str)> = Vec::new();
        for span in self.spans {
            texts.push((1, span.line, self.axis.moment(span.from_us) + 10.0, "fault", &span.label));
        }
        for mark in &self.scene.marks {
            let strong = self.is_strong_mark(mark);
            let (priority, class) = match mark.sign {
                _ if strong => (0, "label stronglabel"),
                Sign::Complaint | Sign::Ended => (2, "label"),
                Sign::Connected | Sign::Recovered | Sign::Upgraded => (3, "label"),
                Sign::Asked => (4, "label"),
                Sign::Said => (5, "label"),
                Sign::Heard => (6, "label"),
                Sign::Answered => (7, "label"),
            };
            if priority < 5 || is_small {
                let y = self.axis.row(mark.row) + 3.5;
                texts.push((priority, Line::Client(mark.client), y, class, &mark.label));
            }
        }
        texts.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)).then(a.2.total_cmp(&b.2)));
        let mut placed: BTreeMap<Line, Vec<f64>> = BTreeMap::new();
        for (priority, line, y, class, text) in texts {
            let taken = placed.entry(line).or_default();
            let has_room = taken.iter().all(|other| (other - y).abs() >= TEXT_HEIGHT);
            if has_room || priority == 0 {
                taken.push(y);
                self.text(line, y, class, text);
            }
        }
    }

    fn is_strong_mark(&self, mark: &Mark) -> bool {
        let Some(failure) = self.failure else { return false };
        let event = &self.history.entries()[mark.row].event;
        let is_room =
            failure.rooms.is_empty() || event.rooms().all(|room| failure.rooms.contains(room));
        match event.message() {
            Some(message) => failure.messages.contains(&message),
            None => is_room && event.socket().is_some_and(|it| failure.sockets.contains(&it)),
        }
    }

    fn text(&mut self, line: Line, y: f64, class: &str, text: &str) {
        let x = self.layout.x(line);
        let outward = match line {
            Line::Client(client) => self.layout.outward(client),
            Line::Server => 1.0,
        };
        let distance = 7.0 + self.rooms.len().min(ROOMS) as f64 * (BAND_WIDTH + 1.0);
        let anchor = if outward > 0.0 { "start" } else { "end" };
        let shown = shorten(text, self.layout.letters());
        self.add(format_args!(
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{:.1}\" y=\"{y:.1}\">{}\
             <title>{}</title></text>",
            x + outward * distance,
            escape(&shown),
            escape(text)
        ));
    }
}

/// The colour of a message, if the failure is about it.
fn strong_message(failure: &Failure, message: MessageId) -> Option<usize> {
    failure.messages.iter().position(|it| *it == message).map(|index| index % STRONG)
}

/// A line with a head.
fn path((x1, y1): (f64, f64), (x2, y2): (f64, f64)) -> String {
    const LENGTH: f64 = 7.0;
    const HALF_WIDTH: f64 = 2.8;
    let (dx, dy) = (x2 - x1, y2 - y1);
    let length = dx.hypot(dy).max(1.0);
    let (ux, uy) = (dx / length, dy / length);
    let (bx, by) = (x2 - ux * LENGTH, y2 - uy * LENGTH);
    format!(
        "M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}M{:.1} {:.1}L{x2:.1} {y2:.1}L{:.1} {:.1}",
        bx - uy * HALF_WIDTH,
        by + ux * HALF_WIDTH,
        bx + uy * HALF_WIDTH,
        by - ux * HALF_WIDTH
    )
}

/// A line that ends on its way, in a cross.
fn lost((x, y): (f64, f64), towards: f64) -> String {
    let (end_x, end_y) = (x + (towards - x) * 0.35, y + 9.0);
    format!(
        "M{x:.1} {y:.1}L{end_x:.1} {end_y:.1}M{:.1} {:.1}l7 7m0 -7l-7 7",
        end_x - 3.5,
        end_y - 3.5
    )
}

fn shorten(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let kept: String = text.chars().take(letters - 1).collect();
    format!("{kept}\u{2026}")
}

/// Text as it may stand in HTML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// What faults are shaded with.
const PATTERNS: &str = r##"<defs>
<pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="7" height="7" fill="#fbe3e1"/><path d="M0 0V7" stroke="#e5a6a0" stroke-width="3"/></pattern>
<pattern id="halfhatch" width="9" height="9" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="9" height="9" fill="#fdf0ee"/><path d="M0 0V9" stroke="#efc4bf" stroke-width="2"/></pattern>
</defs>
"##;
