//! What a running server counts, for people and for Prometheus.
//!
//! Each shard counts for itself, in plain fields; whoever looks asks each for a
//! [`Snapshot`] and spells them as one text ([`to_prometheus`]). Nothing here is
//! kept or added up: that is what a time series database is for.

use std::fmt::{self, Write};

use crate::hub::{Census, Counters, Histogram};
use crate::room::ShardId;

/// One shard at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Which one.
    pub shard: ShardId,
    /// Whether it lets its clients go, and no new ones in.
    pub draining: bool,
    /// What it holds.
    pub census: Census,
    /// Sessions that are served by long-polling; the others have WebSockets.
    pub polling: usize,
    /// What waits for peers that do not take it.
    pub queued: Queued,
    /// What has happened since it began.
    pub counters: Counters,
}

/// What waits for peers that do not take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queued {
    /// Connections for which something waits.
    pub connections: usize,
    /// Packets of all of them.
    pub packets: usize,
    /// Bytes of these.
    pub bytes: usize,
    /// Packets of the one for which most wait.
    pub packets_max: usize,
    /// Bytes of the one for which most wait.
    pub bytes_max: usize,
    /// The most packets that have ever waited for one.
    pub packets_peak: usize,
    /// The most bytes that have ever waited for one.
    pub bytes_peak: usize,
}

/// One value of a metric: a label besides the shard's, if there is one, and the number.
type Value = (Option<(&'static str, &'static str)>, u64);

fn with(label: &'static str, value: &'static str, number: u64) -> Value {
    (Some((label, value)), number)
}

/// Spells what shards have counted, in Prometheus' text format (version 0.0.4).
///
/// Every line has the label `shard`; sums are for the query to make.
pub fn to_prometheus(shards: &[Snapshot]) -> String {
    let mut text = Text { shards, out: String::new() };
    // Writing to a string does not fail.
    let _ = text.gauges().and_then(|()| text.counters()).and_then(|()| text.durations());
    text.out
}

struct Text<'a> {
    shards: &'a [Snapshot],
    out: String,
}

impl Text<'_> {
    fn gauges(&mut self) -> fmt::Result {
        self.metric("connections", "gauge", "Open sessions, by transport.", |shard| {
            let websocket = shard.census.connections.saturating_sub(shard.polling);
            vec![
                with("transport", "polling", shard.polling as u64),
                with("transport", "websocket", websocket as u64),
            ]
        })?;
        self.gauge("sockets", "Sockets in all namespaces.", |shard| shard.census.sockets)?;
        self.gauge("rooms", "Rooms of the namespaces whose order this shard keeps.", |shard| {
            shard.census.rooms
        })?;
        self.gauge(
            "recoverable_sessions",
            "Sessions without a connection that wait for their clients.",
            |shard| shard.census.sessions_waiting,
        )?;
        self.gauge("queue_connections", "Connections that do not take all at once.", |shard| {
            shard.queued.connections
        })?;
        self.gauge("queue_packets", "Packets that wait for such connections.", |shard| {
            shard.queued.packets
        })?;
        self.gauge("queue_bytes", "Bytes that wait for such connections.", |shard| {
            shard.queued.bytes
        })?;
        self.gauge(
            "queue_packets_max",
            "Packets that wait for the slowest connection.",
            |shard| shard.queued.packets_max,
        )?;
        self.gauge("queue_bytes_max", "Bytes that wait for the slowest connection.", |shard| {
            shard.queued.bytes_max
        })?;
        self.gauge(
            "queue_packets_peak",
            "The most packets that have waited for one connection.",
            |shard| shard.queued.packets_peak,
        )?;
        self.gauge(
            "queue_bytes_peak",
            "The most bytes that have waited for one connection.",
            |shard| shard.queued.bytes_peak,
        )?;
        self.gauge("draining", "Whether the server lets its clients go.", |shard| {
            usize::from(shard.draining)
        })
    }

    fn counters(&mut self) -> fmt::Result {
        self.metric(
            "connections_opened_total",
            "counter",
            "Sessions that began, by the transport they began with.",
            |Snapshot { counters, .. }| {
                vec![
                    with("transport", "polling", counters.opened_polling),
                    with("transport", "websocket", counters.opened_websocket),
                ]
            },
        )?;
        self.counter("upgrades_total", "Sessions that went from polling to a WebSocket.", |it| {
            it.upgraded
        })?;
        self.closes()?;
        self.counter("events_in_total", "Events of clients.", |it| it.events_in)?;
        self.counter("events_out_total", "Events to clients; one to many is one.", |it| {
            it.events_out
        })?;
        self.counter("deliveries_total", "Events handed to connections.", |it| it.deliveries)?;
        self.counter("bytes_in_total", "Bytes of frames and posts.", |it| it.bytes_in)?;
        self.counter("bytes_out_total", "Bytes of frames and polls.", |it| it.bytes_out)?;
        self.drops()?;
        self.turned_away()?;
        self.counter("events_refused_total", "Events that came too fast.", |it| it.events_refused)?;
        self.counter("read_pauses_total", "Pauses for connections that send too much.", |it| {
            it.pauses
        })?;
        self.counter("accept_errors_total", "Connections that could not be accepted.", |it| {
            it.accepts_failed
        })?;
        self.counter("handler_panics_total", "Handlers that panicked.", |it| it.panics)
    }

    fn closes(&mut self) -> fmt::Result {
        let help = "Sessions that ended, by reason.";
        self.metric("connections_closed_total", "counter", help, |Snapshot { counters, .. }| {
            let closed = counters.closed.iter();
            closed.map(|(reason, count)| with("reason", reason.name(), count)).collect()
        })
    }

    fn drops(&mut self) -> fmt::Result {
        let help = "Events that a connection did not get, by why.";
        self.metric("dropped_total", "counter", help, |Snapshot { counters, .. }| {
            vec![
                with("reason", "drop_newest", counters.dropped.newest),
                with("reason", "drop_oldest", counters.dropped.oldest),
                with("reason", "volatile", counters.dropped.volatile),
            ]
        })
    }

    fn turned_away(&mut self) -> fmt::Result {
        let help = "Connections that were not let in, by why.";
        self.metric("turned_away_total", "counter", help, |Snapshot { counters, .. }| {
            vec![
                with("reason", "full", counters.turned_away_full),
                with("reason", "address_too_fast", counters.turned_away_too_fast),
                with("reason", "address_too_many", counters.turned_away_too_many),
            ]
        })
    }

    fn durations(&mut self) -> fmt::Result {
        self.histogram("handler_seconds", "How long handlers took.", |it| &it.handler_time)?;
        self.histogram("tick_seconds", "From a tick's first cause to its last write.", |it| {
            &it.tick_length
        })
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) -> fmt::Result {
        writeln!(self.out, "# HELP parlor_{name} {help}\n# TYPE parlor_{name} {kind}")
    }

    fn metric(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl Fn(&Snapshot) -> Vec<Value>,
    ) -> fmt::Result {
        self.head(name, kind, help)?;
        for shard in self.shards {
            for (label, number) in values(shard) {
                write!(self.out, "parlor_{name}{{shard=\"{}\"", shard.shard.0)?;
                if let Some((label, value)) = label {
                    write!(self.out, ",{label}=\"{value}\"")?;
                }
                writeln!(self.out, "}} {number}")?;
            }
        }
        Ok(())
    }

    fn gauge(&mut self, name: &str, help: &str, get: fn(&Snapshot) -> usize) -> fmt::Result {
        self.metric(name, "gauge", help, |shard| vec![(None, get(shard) as u64)])
    }

    fn counter(&mut self, name: &str, help: &str, get: fn(&Counters) -> u64) -> fmt::Result {
        self.metric(name, "counter", help, |shard| vec![(None, get(&shard.counters))])
    }

    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        get: fn(&Counters) -> &Histogram,
    ) -> fmt::Result {
        self.head(name, "histogram", help)?;
        for Snapshot { shard, counters, .. } in self.shards {
            let (shard, histogram) = (shard.0, get(counters));
            let begin = format!("parlor_{name}");
            for (bound, count) in histogram.up_to() {
                let bound = bound.as_secs_f64();
                let labels = format!("shard=\"{shard}\",le=\"{bound}\"");
                writeln!(self.out, "{begin}_bucket{{{labels}}} {count}")?;
            }
            let (count, sum) = (histogram.count(), histogram.sum().as_secs_f64());
            writeln!(self.out, "{begin}_bucket{{shard=\"{shard}\",le=\"+Inf\"}} {count}")?;
            writeln!(self.out, "{begin}_sum{{shard=\"{shard}\"}} {sum}")?;
            writeln!(self.out, "{begin}_count{{shard=\"{shard}\"}} {count}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;
    use crate::hub::{Closes, Drops, Reason};

    fn two_shards() -> [Snapshot; 2] {
        let mut counters = Counters { opened_polling: 3, deliveries: 70, ..Counters::default() };
        counters.closed.add(Reason::SlowReader);
        counters.dropped.oldest = 5;
        counters.tick_length.record(Duration::from_micros(30));
        let census = Census { connections: 10, rooms: 4, ..Census::default() };
        let (packets_peak, bytes_peak) = (12, 1300);
        let queued = Queued {
            connections: 1,
            packets: 8,
            bytes: 900,
            packets_max: 8,
            bytes_max: 900,
            packets_peak,
            bytes_peak,
        };
        let draining = false;
        let first = Snapshot { shard: ShardId(0), draining, census, polling: 4, queued, counters };
        [first, Snapshot { shard: ShardId(1), draining: true, ..first }]
    }

    #[test]
    fn each_value_is_told_with_its_labels() {
        let text = to_prometheus(&two_shards());
        for line in [
            "# TYPE parlor_connections gauge",
            "parlor_connections{shard=\"0\",transport=\"polling\"} 4",
            "parlor_connections{shard=\"1\",transport=\"websocket\"} 6",
            "parlor_rooms{shard=\"0\"} 4",
            "parlor_draining{shard=\"0\"} 0",
            "parlor_draining{shard=\"1\"} 1",
            "parlor_queue_packets{shard=\"0\"} 8",
            "parlor_queue_bytes{shard=\"0\"} 900",
            "parlor_queue_packets_peak{shard=\"0\"} 12",
            "parlor_queue_bytes_peak{shard=\"0\"} 1300",
            "# TYPE parlor_deliveries_total counter",
            "parlor_deliveries_total{shard=\"0\"} 70",
            "parlor_connections_opened_total{shard=\"0\",transport=\"polling\"} 3",
            "parlor_connections_closed_total{shard=\"0\",reason=\"slow_reader\"} 1",
            "parlor_connections_closed_total{shard=\"0\",reason=\"ping_timeout\"} 0",
            "parlor_dropped_total{shard=\"0\",reason=\"drop_oldest\"} 5",
            "# TYPE parlor_tick_seconds histogram",
            "parlor_tick_seconds_bucket{shard=\"0\",le=\"0.000025\"} 0",
            "parlor_tick_seconds_bucket{shard=\"0\",le=\"0.00005\"} 1",
            "parlor_tick_seconds_bucket{shard=\"0\",le=\"+Inf\"} 1",
            "parlor_tick_seconds_sum{shard=\"0\"} 0.00003",
            "parlor_tick_seconds_count{shard=\"0\"} 1",
        ] {
            assert!(text.lines().any(|said| said == line), "{line} is not in\n{text}");
        }
    }

    /// Of each counter a number of its own: none is told by another's name.
    #[test]
    fn each_counter_is_told_by_its_own_name() {
        let mut dropped = Drops::default();
        dropped += Drops { newest: 17, oldest: 18, volatile: 19 };
        let counters = Counters {
            opened_websocket: 1,
            opened_polling: 2,
            upgraded: 3,
            closed: Closes::default(),
            events_in: 4,
            events_out: 5,
            deliveries: 6,
            bytes_in: 7,
            bytes_out: 8,
            panics: 9,
            handler_time: Histogram::default(),
            tick_length: Histogram::default(),
            dropped,
            events_refused: 10,
            // Told as the reasons of closes.
            event_floods: 98,
            slow_readers: 99,
            pauses: 11,
            turned_away_full: 12,
            turned_away_too_fast: 13,
            turned_away_too_many: 14,
            accepts_failed: 15,
        };
        let [first, _] = two_shards();
        let text = to_prometheus(&[Snapshot { counters, ..first }]);
        let expected = [
            "connections_opened_total{shard=\"0\",transport=\"polling\"} 2",
            "connections_opened_total{shard=\"0\",transport=\"websocket\"} 1",
            "upgrades_total{shard=\"0\"} 3",
            "events_in_total{shard=\"0\"} 4",
            "events_out_total{shard=\"0\"} 5",
            "deliveries_total{shard=\"0\"} 6",
            "bytes_in_total{shard=\"0\"} 7",
            "bytes_out_total{shard=\"0\"} 8",
            "dropped_total{shard=\"0\",reason=\"drop_newest\"} 17",
            "dropped_total{shard=\"0\",reason=\"drop_oldest\"} 18",
            "dropped_total{shard=\"0\",reason=\"volatile\"} 19",
            "turned_away_total{shard=\"0\",reason=\"full\"} 12",
            "turned_away_total{shard=\"0\",reason=\"address_too_fast\"} 13",
            "turned_away_total{shard=\"0\",reason=\"address_too_many\"} 14",
            "events_refused_total{shard=\"0\"} 10",
            "read_pauses_total{shard=\"0\"} 11",
            "accept_errors_total{shard=\"0\"} 15",
            "handler_panics_total{shard=\"0\"} 9",
        ];
        let is_counter = |line: &&str| line.contains("_total{") && !line.contains("_closed_");
        let told: Vec<_> = text.lines().filter(is_counter).collect();
        assert_eq!(told, expected.map(|line| format!("parlor_{line}")));
    }

    /// The rules of the format that a scraper minds: one head per metric, before
    /// its lines, which stand together; every line is a name, labels and a number;
    /// no line occurs twice.
    #[test]
    fn the_text_is_as_a_scraper_wants_it() {
        let text = to_prometheus(&two_shards());
        let (mut seen, mut lines, mut current) = (BTreeSet::new(), BTreeSet::new(), "");
        for line in text.lines() {
            if let Some(head) = line.strip_prefix("# ") {
                let mut words = head.splitn(3, ' ');
                let (word, name) = (words.next().unwrap(), words.next().unwrap());
                assert!(!words.next().unwrap().is_empty());
                match word {
                    "HELP" => assert!(seen.insert(name), "{name} comes twice"),
                    _ => assert_eq!((word, name), ("TYPE", *seen.get(name).unwrap())),
                }
                current = name;
            } else {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let (name, labels) = series.split_once('{').unwrap();
                let base = ["_bucket", "_sum", "_count"]
                    .iter()
                    .find_map(|end| name.strip_suffix(end).filter(|base| *base == current));
                assert_eq!(base.unwrap_or(name), current, "{line}");
                assert!(labels.starts_with("shard=\"") && labels.ends_with("\"}"), "{line}");
                value.parse::<f64>().unwrap();
                assert!(lines.insert(series), "{series} comes twice");
            }
        }
        assert!(seen.len() > 20);
    }
}
