//! Pictures: a run as a space-time diagram, on one HTML page that needs nothing else.
//!
//! Time runs downwards; each client and the server have a line; messages are arrows
//! from line to line, faults are shaded, and what a violation is about is drawn last
//! and strong. The page is for people who have never seen this code: the violation's
//! story comes first, and a legend before the diagram.
//!
//! An arrow's middle is what the engine says (the witness): a broken engine may lie
//! there, but not about what clients sent and heard.

mod axis;
mod bands;
mod draw;
mod layout;
mod legend;
mod scene;
mod spans;

use std::fmt::Write;

use crate::history::History;
use crate::judge::Failure;
use crate::plan::{Client, Namespace, Outbound, Plan, Policy, StreamShape, Substrate};
use crate::promise;
use crate::story;

use draw::{Drawing, STRONG, escape};
use layout::Layout;
use scene::{Line, Scene, short};

const STYLE: &str = include_str!("picture/page.html");
const SCRIPT: &str = include_str!("picture/script.js");

/// A page that shows a run of `plan`; if it broke a guarantee, of that. `replay` is the
/// command that runs it again.
pub fn page(plan: &Plan, history: &History, failure: Option<&Failure>, replay: &str) -> String {
    let scene = Scene::of(plan, history);
    let spans = spans::spans(&plan.faults);
    let rooms: Vec<&str> = plan.rooms.iter().map(String::as_str).collect();
    let title = failure.map_or("A clean run", |failure| failure.guarantee.as_str());
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{}</title>\n{STYLE}</head>\n<body>\n",
        escape(title)
    );
    match failure {
        Some(failure) => page.push_str(&broken(failure, history, &scene)),
        None => page.push_str(
            "<h1>A clean run</h1>\n<p>Every guarantee was kept. The picture shows what happened.</p>\n",
        ),
    }
    write!(
        page,
        "<h2>Run it again</h2>\n<pre class=\"now\">{}</pre>\n<h2>The plan</h2>\n{}\
         <h2>How to read the picture</h2>\n{}",
        escape(replay),
        settings(plan),
        legend::legend(&rooms, failure.is_some())
    )
    .expect("a string grows");
    page.push_str(&heads(plan, &scene, failure));
    page.push_str(&Drawing::new(&scene, &spans, history, failure, rooms).draw());
    write!(page, "<script>\n{SCRIPT}</script>\n</body>\n</html>\n").expect("a string grows");
    page
}

fn broken(failure: &Failure, history: &History, scene: &Scene<'_>) -> String {
    let witness = match failure.needs_witness {
        true => " It took what the engine says of its own order to see it.",
        false => " Clients alone can see it.",
    };
    let clients = scene.lives.iter().map(|life| (life.socket, life.client)).collect();
    let named = failure.messages.iter().enumerate().take(12).map(|(index, message)| {
        let name = short(&clients, *message);
        format!("<b style=\"color:var(--s{})\">{name}</b>", index % STRONG)
    });
    let messages: Vec<String> = named.collect();
    let about = match messages.is_empty() {
        true => String::new(),
        false => format!("<p>It is about message {}.</p>\n", messages.join(", ")),
    };
    let story = story::tell(failure, history);
    let lines = story.lines().skip(1).map(|line| match line.starts_with(">>") {
        true => format!("<mark>{}</mark>", escape(line)),
        false => escape(line),
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "<h1 class=\"broken\">{guarantee} is broken</h1>\n\
         <p class=\"promise\"><b>Promised:</b> {}</p>\n\
         <p class=\"promise\"><b>Seen:</b> {}.{witness}</p>\n{about}\
         <h2>What happened</h2>\n<pre>{}</pre>\n",
        promise::sentence(&failure.guarantee)
            .unwrap_or("what the application says of itself under this name"),
        escape(failure.sentence.trim_end_matches('.')),
        lines.join("\n"),
        guarantee = escape(&failure.guarantee),
    )
}

fn settings(plan: &Plan) -> String {
    let (network, server) = (&plan.network, &plan.server);
    let latency = network.latency;
    let stream = network.stream;
    let carrier = match network.substrate {
        Substrate::Packets => "packets, sent again when lost",
        Substrate::Turmoil => "streams, broken by what is lost",
    };
    let shape = match stream {
        StreamShape::WIDE => "nothing is narrow".to_owned(),
        StreamShape { read_bytes_max, buffer_bytes, bytes_per_ms } => format!(
            "reads of up to {read_bytes_max} bytes, buffers of {buffer_bytes} bytes, \
             {bytes_per_ms} bytes/ms"
        ),
    };
    let shards = match (server.shards, server.exchange_delay_max_ms) {
        (1, _) => "one shard".to_owned(),
        (shards, delay_ms) => format!("{shards} shards, up to {delay_ms} ms between them"),
    };
    let waiting = waiting(plan);
    let sessions = match (server.recovery_window_ms, server.recovery_packets_max) {
        (0, _) => "not kept for who comes back".to_owned(),
        (window_ms, 0) => format!("kept for {window_ms} ms"),
        (window_ms, max) => format!("kept for {window_ms} ms, with at most {max} broadcasts"),
    };
    let rows = [
        ("Size", plan.size()),
        ("From seed", plan.origin.map_or_else(|| "none".to_owned(), |seed| seed.to_string())),
        (
            "Network",
            format!(
                "{carrier}; {} to {} ms one way, steps of {} ms; {shape}",
                latency.min_ms, latency.max_ms, network.tick_ms
            ),
        ),
        (
            "Server",
            format!(
                "{shards}; ping every {} ms, timeout {} ms; {waiting}",
                server.ping_interval_ms, server.ping_timeout_ms
            ),
        ),
        ("Sessions", sessions),
        (
            "Clients",
            format!(
                "reconnect after {} to {} ms, give up an attempt after {} ms",
                plan.reconnect.delay_min_ms,
                plan.reconnect.delay_max_ms,
                plan.reconnect.connect_timeout_ms
            ),
        ),
    ];
    let rows = rows.map(|(name, text)| format!("<dt>{name}</dt><dd>{}</dd>\n", escape(&text)));
    format!("<dl>\n{}</dl>\n", rows.concat())
}

/// How much may wait for clients and for handlers, where that is less than usual.
fn waiting(plan: &Plan) -> String {
    let mut waiting = match plan.server.outbound {
        None => "as much may wait for a client as usual".to_owned(),
        Some(Outbound { packets_max, bytes_max, policy }) => {
            let what = match policy {
                Policy::Disconnect => "at one more it is closed",
                Policy::DropNewest => "one more is dropped",
                Policy::DropOldest => "for one more the oldest is dropped",
            };
            format!("{packets_max} packets of {bytes_max} bytes may wait for a client, {what}")
        }
    };
    match plan.server.events_waiting_max {
        0 => {}
        1 => waiting.push_str("; one event of it may wait for handlers"),
        max => {
            write!(waiting, "; {max} events of it may wait for handlers").expect("a string grows");
        }
    }
    waiting
}

/// The names of the lines; they stay in sight.
fn heads(plan: &Plan, scene: &Scene<'_>, failure: Option<&Failure>) -> String {
    let layout = Layout::new(&scene.clients);
    let width = layout.width();
    let filter = match failure {
        Some(_) => {
            "<label><input type=\"checkbox\" id=\"only\"> only what the violation is about</label>"
        }
        None => "",
    };
    let mut heads = format!(
        "<p id=\"tools\">{filter}Hover over anything to read what it is; over a message's arrow to see \
         all of its arrows; click to keep them.</p>\n<div id=\"heads\"><svg width=\"{width:.0}\" \
         height=\"36\">\n<text class=\"sub\" x=\"44\" y=\"30\">ms</text>\n"
    );
    let concerned = |client: u32| {
        let of_client = |socket| scene.life(socket).is_some_and(|life| life.client == client);
        failure.is_some_and(|failure| failure.sockets.iter().any(|&socket| of_client(socket)))
    };
    for client in &plan.clients {
        let class = if concerned(client.id) { "concerned" } else { "" };
        head(&mut heads, layout.x(Line::Client(client.id)), class, client);
    }
    let server = layout.x(Line::Server);
    writeln!(heads, "<text x=\"{server:.1}\" y=\"16\">server</text>\n</svg></div>")
        .expect("a string grows");
    heads
}

fn head(heads: &mut String, x: f64, class: &str, client: &Client) {
    let mut transport = match client.over {
        None => format!("{:?}", client.transport).to_lowercase(),
        Some(host) => format!("over {host}"),
    };
    if client.namespace != Namespace::Root {
        transport = format!("{transport} {}", client.namespace.path());
    }
    if client.half_open.is_some() {
        transport.push_str(", half open");
    }
    if client.recovers {
        transport.push_str(", recovers");
    }
    writeln!(
        heads,
        "<text class=\"{class}\" x=\"{x:.1}\" y=\"16\">client {}</text>\
         <text class=\"sub\" x=\"{x:.1}\" y=\"30\">{transport}</text>",
        client.id
    )
    .expect("a string grows");
}
