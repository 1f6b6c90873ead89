//! Numbers as `JSON.stringify` writes them.

use crate::socketio::packet::push_number;

/// Appends all the digits of `integer`, which is one of 64 bits.
pub(super) fn push_integer(integer: i128, json: &mut String) {
    if integer < 0 {
        json.push('-');
    }
    push_number(integer.unsigned_abs() as u64, json);
}

/// Appends the shortest digits that mean `float`, or `null` if it is no number.
///
/// # Spec
///
/// ECMAScript, "Number::toString".
pub(super) fn push_float(float: f64, json: &mut String) {
    if !float.is_finite() {
        json.push_str("null");
    } else if float == 0.0 {
        // There is no minus before it.
        json.push('0');
    } else if (1e-6..1e21).contains(&float.abs()) {
        json.push_str(&float.to_string());
    } else {
        let text = format!("{float:e}");
        json.push_str(&if text.contains("e-") { text } else { text.replace('e', "e+") });
    }
}
