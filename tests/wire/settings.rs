//! Settings as clients feel them. Who wins over whom is in `tests/config.rs`.

use std::path::Path;

use serde_json::Value;

use crate::client::{TARGET, UPGRADE, Wire};
use crate::server::Server;

#[test]
fn the_server_is_as_its_file_says() {
    let text = "path = \"/live\"\nping_interval = \"7s\"\nmax_payload_bytes = \"2kB\"\nnamespace = \"/team\"";
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("wire.toml");
    std::fs::write(&path, text).expect("the folder for tests can be written to");
    let server = Server::start(&["--config", path.to_str().expect("its name is text")]);

    let mut wire = Wire::dial(server.address);
    let target = TARGET.replace("/socket.io/", "/live/");
    wire.send(format!("GET {target} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    // The open packet, a frame of text, comes right behind the answer.
    let seen = wire.everything_until(|bytes| bytes.ends_with(b"}"));
    let open = seen.split(|byte| *byte == b'{').next_back().expect("there is a last piece");
    let open = format!("{{{}", String::from_utf8_lossy(open));
    let open: Value = serde_json::from_str(&open).expect("the open packet is JSON");
    assert_eq!((&open["pingInterval"], &open["maxPayload"]), (&7000.into(), &2000.into()));
    wire.send_text("40/team,");
    assert!(wire.text().starts_with("40/team,{\"sid\":"), "the namespace is served");

    let mut elsewhere = Wire::dial(server.address);
    elsewhere.send(format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", UPGRADE.concat()).as_bytes());
    assert_eq!(elsewhere.response().status, 404);
}
