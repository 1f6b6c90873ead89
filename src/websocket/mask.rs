//! Masking: XOR of a payload with a repeated key of four bytes.
//!
//! # Spec
//!
//! RFC 6455, section 5.3.

/// Masks or unmasks `payload`, which starts `offset` bytes into its frame's
/// payload.
pub(super) fn apply(payload: &mut [u8], key: [u8; 4], offset: usize) {
    let mut key = key;
    key.rotate_left(offset % 4);
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = payload.chunks_exact_mut(8);
    for word in &mut words {
        let bytes: [u8; 8] = (&*word).try_into().expect("a chunk has 8 bytes");
        word.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
    }
    for (byte, key) in words.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_length_and_offset_is_the_plain_xor() {
        let key = [0x11, 0x22, 0x43, 0x84];
        let plain: Vec<u8> = (0..67).collect();
        for start in 0..plain.len() {
            for end in start..=plain.len() {
                let mut masked = plain.clone();
                apply(&mut masked[start..end], key, start);
                for (i, &byte) in plain.iter().enumerate() {
                    let key = if (start..end).contains(&i) { key[i % 4] } else { 0 };
                    assert_eq!(masked[i], byte ^ key, "byte {i} of {start}..{end}");
                }
            }
        }
    }
}
