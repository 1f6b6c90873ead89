//! What it costs to get from bytes to a packet and back.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use parlor::socketio::{self, Args, Kind, Limits, encode_head, json, msgpack};
use parlor::websocket::{Decoder, Opcode, Role, encode};

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const MESSAGE_BYTES_MAX: usize = 1_000_000;

criterion_group!(
    benches,
    frame_decode,
    frame_encode,
    packet_decode,
    event_encode,
    json_scan,
    msgpack_decode,
    msgpack_encode
);
criterion_main!(benches);

/// A complete masked frame in the buffer, as a server mostly sees them. Every
/// iteration copies the frame to the buffer first, since decoding unmasks it.
fn frame_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame_decode");
    for len in [128, 1024, 16 * 1024] {
        let mut frame = Vec::new();
        encode(Opcode::Text, &[message(len).as_bytes()], Some(MASK), &mut frame);
        let mut buffer = frame.clone();
        let mut decoder = Decoder::new(Role::Server);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("{len}_bytes"), |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(&frame);
                black_box(decoder.decode(&mut buffer, MESSAGE_BYTES_MAX)).is_ok()
            });
        });
        group.bench_function(format!("{len}_bytes_in_two_reads"), |bencher| {
            bencher.iter(|| {
                buffer.copy_from_slice(&frame);
                let (first, second) = buffer.split_at_mut(len / 2);
                let incomplete = decoder.decode(first, MESSAGE_BYTES_MAX).is_ok();
                incomplete && black_box(decoder.decode(second, MESSAGE_BYTES_MAX)).is_ok()
            });
        });
    }
}

fn frame_encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame_encode");
    let message = message(128);
    for (name, mask) in [("server_128_bytes", None), ("client_128_bytes", Some(MASK))] {
        let mut out = Vec::new();
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                encode(Opcode::Text, &[black_box(message.as_bytes())], mask, &mut out);
                out.len()
            });
        });
    }
}

fn packet_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet_decode");
    let limits = Limits::default();
    for len in [128, 1024] {
        let text = message(len);
        let mut decoder = socketio::Decoder::new();
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(format!("event_{len}_bytes"), |bencher| {
            bencher.iter(|| black_box(decoder.text(black_box(&text[1..]), &limits)).is_ok());
        });
    }
    let text = r#"51-["message",{"room":"lobby","body":{"_placeholder":true,"num":0}}]"#;
    let mut decoder = socketio::Decoder::new();
    group.bench_function("event_with_attachment", |bencher| {
        bencher.iter(|| {
            let head = decoder.text(black_box(text), &limits).is_ok();
            head && black_box(decoder.binary(&[7; 64], &limits)).is_ok()
        });
    });
}

/// From an event that came in to the frame of the one that goes out.
fn event_encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event_encode");
    let text = message(128);
    let plain = Args::new(&text[2..], vec![]);
    let json = r#"["message",{"room":"lobby","body":{"_placeholder":true,"num":0}}]"#;
    let binary = Args::new(json, vec![Bytes::from_static(b"attached")]);
    for (name, args) in [("plain_128_bytes", plain), ("with_attachment", binary)] {
        let body = args.elements().nth(1).expect("it has a body").to_owned();
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || (String::with_capacity(256), Vec::with_capacity(256), Vec::with_capacity(4)),
                |(text, out, attachments)| {
                    text.push_str("[\"message\",");
                    args.forward(&body, text, attachments);
                    text.push(']');
                    let mut head = String::with_capacity(16);
                    head.push('4');
                    encode_head(Kind::Event, attachments.len(), "/", None, &mut head);
                    encode(Opcode::Text, &[head.as_bytes(), text.as_bytes()], None, out);
                },
                BatchSize::SmallInput,
            );
        });
    }
}

fn json_scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json_scan");
    let text = message(16 * 1024);
    let structure = format!("[{}0]", r#"{"id":12,"at":[1,2.5e3],"ok":true},"#.repeat(500));
    for (name, json) in [("one_long_string", &text[2..]), ("small_objects", &structure)] {
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| json::scan(black_box(json), 128).is_ok())
        });
    }
}

/// The packets of `packet_decode`, and one of many small items, from clients with the
/// MessagePack parser.
fn msgpack_decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("msgpack_decode");
    let limits = Limits::default();
    for (name, json, attachments) in msgpack_cases() {
        let mut packet = Vec::new();
        msgpack::encode(Kind::Event, "/", None, Some(&json), &attachments, &mut packet);
        group.throughput(Throughput::Bytes(packet.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| black_box(msgpack::decode(black_box(&packet), &limits)).is_ok());
        });
    }
}

fn msgpack_encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("msgpack_encode");
    for (name, json, attachments) in msgpack_cases() {
        let mut out = Vec::new();
        group.throughput(Throughput::Bytes(json.len() as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                out.clear();
                let json = Some(black_box(&*json));
                msgpack::encode(Kind::Event, "/", None, json, &attachments, &mut out);
                out.len()
            });
        });
    }
}

fn msgpack_cases() -> [(&'static str, String, Vec<Bytes>); 4] {
    let binary = r#"["message",{"room":"lobby","body":{"_placeholder":true,"num":0}}]"#;
    let structure = r#"{"id":12,"at":[1,2.5e3],"ok":true},"#.repeat(500);
    [
        ("event_128_bytes", message(128)[2..].to_owned(), vec![]),
        ("event_1024_bytes", message(1024)[2..].to_owned(), vec![]),
        ("event_with_attachment", binary.to_owned(), vec![Bytes::from_static(&[7; 64])]),
        ("small_objects", format!("[\"message\",{structure}0]"), vec![]),
    ]
}

/// A chat message as an Engine.IO packet of `len` bytes.
fn message(len: usize) -> String {
    let head = r#"42["message",{"room":"lobby","body":""#;
    let tail = r#""}]"#;
    format!("{head}{}{tail}", "x".repeat(len - head.len() - tail.len()))
}
