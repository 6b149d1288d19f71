//! Typed netstrings: `LENGTH:CONTENT TYPE`, the type one byte behind the content.

/// The beginning of the year 10000, in seconds since the Unix epoch.
const LATEST_S: f64 = 253_402_300_800.0;
/// How deep lists and dictionaries may be nested.
const MAX_DEPTH: usize = 64;

/// A value; texts are where they stand.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// `~`
    Null,
    /// `!`
    Bool(bool),
    /// `#`
    Integer(i64),
    /// `^`
    Float(f64),
    /// `,`: bytes; `;`: UTF-8
    Bytes(&'a [u8]),
    /// `]`
    List(Vec<Value<'a>>),
    /// `}`
    Dict(Vec<(&'a [u8], Value<'a>)>),
}

impl<'a> Value<'a> {
    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&Value<'a>> {
        let Value::Dict(entries) = self else { return None };
        entries.iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// The value of a key, unless it is null.
    pub(super) fn said(&self, key: &str) -> Option<&Value<'a>> {
        self.get(key).filter(|value| **value != Value::Null)
    }

    /// The bytes of a text.
    pub(super) fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// A text; what is no UTF-8 in it is replaced.
    pub(super) fn text(&self) -> Option<String> {
        self.bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// A whole number.
    pub(super) fn integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// True or false.
    pub(super) fn truth(&self) -> Option<bool> {
        match self {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// A time since the Unix epoch; none of what is before it, or behind the year 9999.
    pub(super) fn seconds(&self) -> Option<f64> {
        let number = match self {
            Value::Float(number) => *number,
            Value::Integer(number) => *number as f64,
            _ => return None,
        };
        Some(number).filter(|number| (0.0..LATEST_S).contains(number))
    }

    /// Of a list; nothing of others.
    pub(super) fn elements(&self) -> &[Value<'a>] {
        match self {
            Value::List(elements) => elements,
            _ => &[],
        }
    }
}

/// The value at the beginning, and what is behind it.
///
/// # Errors
/// What is wrong, in words.
pub(super) fn read(bytes: &[u8]) -> Result<(Value<'_>, &[u8]), String> {
    read_at(bytes, MAX_DEPTH)
}

fn read_at(bytes: &[u8], depth: usize) -> Result<(Value<'_>, &[u8]), String> {
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (length, rest) = bytes.split_at(digits);
    let length = std::str::from_utf8(length).ok().and_then(|length| length.parse::<usize>().ok());
    let (Some(length), Some((b':', rest))) = (length, rest.split_first()) else {
        return Err("no tnetstring, which begins with a length and a colon".into());
    };
    let cut_off = || format!("it is cut off: {length} bytes are said to follow, {} do", rest.len());
    let (content, rest) = rest.split_at_checked(length).ok_or_else(cut_off)?;
    let (kind, rest) = rest.split_first().ok_or_else(cut_off)?;
    let text = || std::str::from_utf8(content).unwrap_or_default();
    let value = match kind {
        b',' | b';' => Value::Bytes(content),
        b'~' => Value::Null,
        b'!' => Value::Bool(content == b"true"),
        b'#' => Value::Integer(text().parse().map_err(|_| format!("no whole number: {:?}", text()))?),
        b'^' => Value::Float(text().parse().map_err(|_| format!("no number: {:?}", text()))?),
        b']' | b'}' if depth == 0 => return Err(format!("nested deeper than {MAX_DEPTH}")),
        b']' => {
            let (mut elements, mut inner) = (Vec::new(), content);
            while !inner.is_empty() {
                let (element, behind) = read_at(inner, depth - 1)?;
                elements.push(element);
                inner = behind;
            }
            Value::List(elements)
        }
        b'}' => {
            let (mut entries, mut inner) = (Vec::new(), content);
            while !inner.is_empty() {
                let (key, behind) = read_at(inner, depth - 1)?;
                let (value, behind) = read_at(behind, depth - 1)?;
                entries.push((key.bytes().ok_or("a key of a dictionary that is no text")?, value));
                inner = behind;
            }
            Value::Dict(entries)
        }
        other => return Err(format!("a value of an unknown type, {:?}", char::from(*other))),
    };
    Ok((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read() {
        let inner = [
            &b"4:text;"[..],
            b"5:a\0b\xffc,",
            b"3:num;2:-7#",
            b"3:flo;3:1.5^",
            b"3:non;0:~",
            b"3:yes;4:true!",
            b"4:list;8:1:1#1:2#]",
        ]
        .concat();
        let whole = [inner.len().to_string().as_bytes(), b":", &inner, b"}more"].concat();
        let (value, rest) = read(&whole).unwrap();
        assert_eq!(rest, b"more");
        assert_eq!(value.get("text").unwrap().bytes(), Some(&b"a\0b\xffc"[..]));
        assert_eq!(value.get("num").unwrap().integer(), Some(-7));
        assert_eq!(value.get("flo").unwrap().seconds(), Some(1.5));
        assert_eq!((value.get("non"), value.said("non")), (Some(&Value::Null), None));
        assert_eq!(value.get("yes"), Some(&Value::Bool(true)));
        assert_eq!(value.get("list").unwrap().elements(), [Value::Integer(1), Value::Integer(2)]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut deep = b"0:~".to_vec();
        for _ in 0..100 {
            deep = [deep.len().to_string().as_bytes(), b":", &deep, b"]"].concat();
        }
        for (bytes, wanted) in [
            (&b"x"[..], "begins with a length"),
            (b"5:abc", "cut off: 5 bytes are said to follow, 3 do"),
            (b"99999999999999999999999:abc,", "begins with a length"),
            (b"3:abc", "cut off"),
            (b"1:x#", "no whole number"),
            (b"1:x^", "no number"),
            (b"1:x?", "unknown type"),
            (b"3:0:~}", "begins with a length"),
            (b"6:0:~0:~}", "no text"),
            (&deep, "nested deeper"),
        ] {
            let error = read(bytes).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
