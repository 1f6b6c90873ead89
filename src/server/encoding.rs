//! Compression of answers to polls.
//!
//! # Spec
//!
//! RFC 9110, sections 8.4.1 and 12.5.3.

use std::io::Write;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

/// Shorter answers are not worth it.
const COMPRESSED_BYTES_MIN: usize = 1024;

/// Compresses `body` in a way that `accept_encoding` allows, if there is one
/// and the body is long enough; returns its name.
pub(super) fn compress(accept_encoding: &str, body: &mut Vec<u8>) -> Option<&'static str> {
    if body.len() < COMPRESSED_BYTES_MIN {
        return None;
    }
    let encoding = choose(accept_encoding)?;
    let compressed = match encoding {
        "gzip" => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).ok()?;
            encoder.finish().ok()?
        }
        _ => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).ok()?;
            encoder.finish().ok()?
        }
    };
    *body = compressed;
    Some(encoding)
}

/// The coding that the client likes best; of two that it likes as well, gzip.
fn choose(accept_encoding: &str) -> Option<&'static str> {
    let weight = |coding: &str| {
        accept_encoding.split(',').find_map(|item| {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality = quality.map_or(Some(1.0), |quality| quality.parse::<f32>().ok());
            (name.eq_ignore_ascii_case(coding)).then_some(quality?)
        })
    };
    let weight = |coding| weight(coding).or_else(|| weight("*")).unwrap_or(0.0);
    let (gzip, deflate) = (weight("gzip"), weight("deflate"));
    match (gzip, deflate) {
        _ if gzip > 0.0 && gzip >= deflate => Some("gzip"),
        _ if deflate > 0.0 => Some("deflate"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::{GzDecoder, ZlibDecoder};

    use super::*;

    #[test]
    fn the_client_chooses() {
        for (accepted, encoding) in [
            ("gzip, deflate, br", Some("gzip")),
            ("deflate", Some("deflate")),
            ("gzip;q=0.5, deflate;q=0.8", Some("deflate")),
            ("GZIP;q=0, deflate", Some("deflate")),
            ("*", Some("gzip")),
            ("gzip;q=0, *", Some("deflate")),
            ("br", None),
            ("", None),
            ("identity", None),
            ("gzip;q=0", None),
            ("gzip;q=x", None),
        ] {
            assert_eq!(choose(accepted), encoding, "{accepted:?}");
        }
    }

    #[test]
    fn what_is_compressed_is_the_body() {
        let text = "parlor ".repeat(1000);
        for encoding in ["gzip", "deflate"] {
            let mut body = text.clone().into_bytes();
            assert_eq!(compress(encoding, &mut body), Some(encoding));
            assert!(body.len() < text.len() / 10);
            let mut decoded = String::new();
            match encoding {
                "gzip" => GzDecoder::new(&*body).read_to_string(&mut decoded),
                _ => ZlibDecoder::new(&*body).read_to_string(&mut decoded),
            }
            .unwrap();
            assert_eq!(decoded, text);
        }
    }

    #[test]
    fn short_answers_stay_as_they_are() {
        assert_eq!(compress("gzip", &mut vec![b'x'; COMPRESSED_BYTES_MIN - 1]), None);
        assert_eq!(compress("gzip", &mut vec![b'x'; COMPRESSED_BYTES_MIN]), Some("gzip"));
    }
}
