//! What must hold of every row, also of those to come.

use std::collections::BTreeSet;

use parlor::hub::Recovery;
use parlor::server::{Cors, Origins};
use parlor::{Config, Rates};
use toml::Value;

use super::*;
use crate::settings::kind::Written;
use crate::settings::options::{Options, Tls};
use crate::settings::setting::{Setting, settings};

/// Values besides the default: enough that two fields with the same default differ.
const VALUES: [(&str, &str); 55] = [
    ("listen", "127.0.0.1:4001"),
    ("path", "/live/"),
    ("namespace", "/a,/b"),
    ("shards", "3"),
    ("share_address", "true"),
    ("ping_interval", "4005ms"),
    ("ping_timeout", "4006ms"),
    ("connect_timeout", "4007ms"),
    ("close_timeout", "4008ms"),
    ("max_payload_bytes", "4009"),
    ("drain.window", "4027ms"),
    ("page.enabled", "false"),
    ("page.client_script", "/srv/socket.io.min.js"),
    ("http.allow_eio3", "true"),
    ("http.compression", "false"),
    ("http.keep_alive_timeout", "4016ms"),
    ("http.upgrade_timeout", "4017ms"),
    ("websocket.compression", "true"),
    ("websocket.compression_threshold_bytes", "4029"),
    ("cors.origin", "https://a.example,http://b.example:8080"),
    ("cors.credentials", "true"),
    ("limits.outbound_bytes_max", "4010"),
    ("limits.outbound_packets_max", "4018"),
    ("limits.policy", "drop_oldest"),
    ("limits.events_waiting_max", "4011"),
    ("limits.attachments_max", "12"),
    ("limits.rooms_per_socket_max", "4013"),
    ("limits.namespaces_per_connection_max", "4014"),
    ("limits.acks_in_flight_max", "4015"),
    ("limits.connections_max", "4019"),
    ("limits.connections_per_address_max", "4020"),
    ("limits.events_per_second", "4021"),
    ("limits.bytes_per_second", "4022"),
    ("limits.address_connections_per_second", "4023"),
    ("limits.address_events_per_second", "4024"),
    ("limits.address_bytes_per_second", "4025"),
    ("limits.rate_burst", "4026ms"),
    ("limits.rate_policy", "disconnect"),
    ("recovery.enabled", "true"),
    ("recovery.window", "4018ms"),
    ("recovery.packets_max", "4019"),
    ("recovery.bytes_max", "4020"),
    ("recovery.sessions_max", "4021"),
    ("recovery.own_packets_max", "4022"),
    ("recovery.missed_packets_max", "4023"),
    ("recovery.missed_bytes_max", "4024"),
    ("metrics.address", "127.0.0.1:4028"),
    ("tls.certificate", "certificate.pem"),
    ("tls.key", "key.pem"),
    ("admin.username", "root"),
    ("admin.password_hash", "$2a$04$s6wa2z9Bs1dt.mllNxnq7ev5Ia5nZ0qfMWCs/tl2DVJnPSc5YXYde"),
    ("admin.mode", "development"),
    ("admin.read_only", "true"),
    ("log.filter", "debug"),
    ("log.format", "json"),
];

/// What [`VALUES`] has for this setting.
fn word(setting: &Setting) -> Written {
    let row = VALUES.iter().find(|(key, _)| *key == setting.key);
    Written::Word(row.unwrap_or_else(|| panic!("{} has a row", setting.key)).1.to_owned())
}

fn values(table: &[Group], options: &Options) -> Vec<Value> {
    settings(table).map(|setting| setting.value(options)).collect()
}

#[test]
fn every_name_is_used_once_and_for_settings_only() {
    let mut names = BTreeSet::from(
        ["config", "print-config", "check-config", "help", "version"].map(str::to_owned),
    );
    names.insert("PARLOR_CONFIG".to_owned());
    for setting in settings(&table()) {
        assert!(names.insert(setting.flag()), "--{} is taken", setting.flag());
        assert!(names.insert(setting.variable()), "{} is taken", setting.variable());
    }
}

#[test]
fn every_name_is_one_that_can_be_typed() {
    for setting in settings(&table()) {
        let plain =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
        assert!(setting.key.chars().all(plain), "{}", setting.key);
        assert!(setting.key.matches('.').count() <= 1, "{}: one group at most", setting.key);
    }
    for group in table() {
        assert!(!group.name.contains('_'), "[{}]: a flag would not tell where it ends", group.name);
    }
}

#[test]
fn kubernetes_sets_none_of_the_variables() {
    for setting in settings(&table()) {
        let name = setting.variable();
        for part in ["_PORT", "_SERVICE"] {
            assert!(
                !name.ends_with(part) && !name.contains(&format!("{part}_")),
                "{name} is what a container is told of a service"
            );
        }
    }
}

#[test]
fn every_help_is_a_sentence_and_every_unit_is_known() {
    for group in table() {
        assert!(group.help.ends_with('.'), "[{}]", group.name);
        for setting in group.settings {
            assert!(setting.help.ends_with('.') && !setting.help.contains('\n'), "{}", setting.key);
            let is_bytes = setting.value_name == "BYTES";
            assert_eq!(setting.key.contains("bytes"), is_bytes, "{}: says its unit", setting.key);
        }
    }
}

#[test]
fn every_default_is_a_value_of_its_setting() {
    for setting in settings(&table()) {
        let mut options = Options::default();
        let default = setting.value(&options);
        assert!(setting.set(&mut options, &Written::Typed(default.clone())), "{}", setting.key);
        assert_eq!(setting.value(&options), default, "{}", setting.key);
    }
}

#[test]
fn every_setting_has_a_field_of_its_own() {
    let table = table();
    for (at, setting) in settings(&table).enumerate() {
        let mut options = Options::default();
        let mut expected = values(&table, &options);
        assert!(setting.set(&mut options, &word(setting)), "{}", setting.key);
        assert_ne!(setting.value(&options), expected[at], "{} is stored", setting.key);
        expected[at] = setting.value(&options);
        assert_eq!(values(&table, &options), expected, "{} changes nothing else", setting.key);
    }
}

/// What was asked for if every setting has its value of [`VALUES`].
fn all_set() -> Options {
    let mut options = Options::default();
    for setting in settings(&table()) {
        assert!(setting.set(&mut options, &word(setting)), "{}", setting.key);
    }
    options
}

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

#[test]
fn every_setting_of_the_server_arrives_where_it_is_used() {
    let options = all_set();
    assert_eq!((options.listen.port(), options.metrics.map(|it| it.port())), (4001, Some(4028)));
    assert_eq!(options.namespaces(), ["/", "/a", "/b"]);
    let admin = options.admin().expect("a password is set");
    assert_eq!((&*admin.username, admin.mode, admin.read_only), ("root", Mode::Development, true));
    assert_eq!((options.log.filter.as_str(), options.log.format), ("debug", LogFormat::Json));
    let Config {
        // They have a test of their own.
        limits: _,
        path,
        outbound_bytes_max,
        outbound_packets_max,
        policy,
        events_waiting_max,
        close_timeout,
        drain_window,
        allow_eio3,
        cors,
        // Only for applications of their own.
        cookie: _,
        http_compression,
        websocket_compression,
        websocket_compression_threshold_bytes,
        keep_alive_timeout,
        upgrade_timeout,
        keep_handshake: _,
        time_of_day: _,
        seed: _,
    } = options.config();
    let origins = ["https://a.example", "http://b.example:8080"].map(str::to_owned).to_vec();
    assert_eq!(cors, Some(Cors { origins: Origins::These(origins), credentials: true }));
    assert_eq!((allow_eio3, http_compression), (true, false));
    assert_eq!((websocket_compression, websocket_compression_threshold_bytes), (true, 4029));
    assert_eq!((keep_alive_timeout, upgrade_timeout), (ms(4016), ms(4017)));
    assert_eq!((path.as_str(), options.shards, options.share_address), ("/live/", Some(3), true));
    assert_eq!((outbound_bytes_max, outbound_packets_max), (4010, 4018));
    assert_eq!((policy, events_waiting_max), (Policy::DropOldest, 4011));
    assert_eq!((close_timeout, drain_window), (ms(4008), ms(4027)));
    let page = options.page;
    assert_eq!((page.enabled, page.client_script), (false, Some("/srv/socket.io.min.js".into())));
    let Tls { certificate, key } = options.tls;
    assert_eq!((certificate, key), (Some("certificate.pem".into()), Some("key.pem".into())));
}

#[test]
fn every_limit_arrives_where_it_is_used() {
    let parlor::Limits {
        attachments_max,
        connections_max,
        connections_per_address_max,
        rates,
        connect_timeout,
        acks_in_flight_max,
        max_payload,
        namespaces_per_connection_max,
        ping_interval,
        ping_timeout,
        recovery,
        rooms_per_socket_max,
    } = all_set().config().limits;
    let expected = Recovery {
        window: ms(4018),
        packets_max: 4019,
        bytes_max: 4020,
        sessions_max: 4021,
        own_packets_max: 4022,
        missed_packets_max: 4023,
        missed_bytes_max: 4024,
    };
    assert_eq!(recovery, Some(expected));
    assert_eq!((ping_interval, ping_timeout, connect_timeout), (ms(4005), ms(4006), ms(4007)));
    assert_eq!((max_payload, attachments_max, rooms_per_socket_max), (4009, 12, 4013));
    assert_eq!((namespaces_per_connection_max, acks_in_flight_max), (4014, 4015));
    assert_eq!((connections_max, connections_per_address_max), (Some(4019), 4020));
    let Rates {
        burst,
        events_per_second,
        bytes_per_second,
        address_connections_per_second,
        address_events_per_second,
        address_bytes_per_second,
        policy,
    } = rates;
    assert_eq!((events_per_second, bytes_per_second), (4021, 4022));
    assert_eq!((address_events_per_second, address_bytes_per_second), (4024, 4025));
    assert_eq!(address_connections_per_second, 4023);
    assert_eq!((burst, policy), (ms(4026), RatePolicy::Disconnect));
}
