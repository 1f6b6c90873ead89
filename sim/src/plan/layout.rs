//! How a plan's JSON lies on the page.

/// Writes JSON with small values on one line: a plan is read by people, and
/// neither one long line nor a line per brace is readable.
pub(super) fn lay_out(value: &serde_json::Value, indent: usize, out: &mut String) {
    const LINE_BYTES_MAX: usize = 100;
    let flat = value.to_string();
    if flat.len() + indent <= LINE_BYTES_MAX && indent > 0 {
        out.push_str(&flat);
        return;
    }
    let inner = indent + 2;
    let (open, close, items): (_, _, Vec<(String, &serde_json::Value)>) = match value {
        serde_json::Value::Array(items) => {
            ('[', ']', items.iter().map(|item| (String::new(), item)).collect())
        }
        serde_json::Value::Object(fields) => {
            let named = |(name, value)| (format!("{}: ", serde_json::Value::from(name)), value);
            let fields = fields.iter().map(|(name, value)| (name.as_str(), value));
            ('{', '}', fields.map(named).collect())
        }
        serde_json::Value::Bool(_)
        | serde_json::Value::Null
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => {
            out.push_str(&flat);
            return;
        }
    };
    out.push(open);
    for (index, (name, item)) in items.iter().enumerate() {
        out.push_str(if index == 0 { "\n" } else { ",\n" });
        out.push_str(&" ".repeat(inner));
        out.push_str(name);
        lay_out(item, inner, out);
    }
    out.push('\n');
    out.push_str(&" ".repeat(indent));
    out.push(close);
}
