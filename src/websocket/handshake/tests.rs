use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

#[test]
fn handshake_of_the_rfc_example() {
    let mut out = Vec::new();
    encode_accept(KEY, &mut out);
    let answer = String::from_utf8(out).unwrap();
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"));
}

#[test]
fn both_ends_agree() {
    let key = [7; 16];
    let mut request = Vec::new();
    let cookie = ("Cookie".to_owned(), "a=b".to_owned());
    encode_request("chat:80", "/socket.io/?EIO=4&x=a%20b+c", key, &[cookie], &mut request);
    let (decoded, head_len) = decode_request(&request).unwrap().unwrap();
    assert_eq!(head_len, request.len());
    assert_eq!((decoded.method.as_str(), decoded.path.as_str()), ("GET", "/socket.io/"));
    assert_eq!((decoded.query("EIO"), decoded.query("x")), (Some("4"), Some("a b c")));
    assert_eq!((decoded.header("cookie"), decoded.header("host")), (Some("a=b"), Some("chat:80")));

    let mut answer = Vec::new();
    encode_accept(decoded.websocket_key().unwrap(), &mut answer);
    assert_eq!(decode_accept(&answer, key), Ok(Some(answer.len())));
    assert_eq!(decode_accept(&answer, [8; 16]), Err(HandshakeError::AcceptKey));
}
