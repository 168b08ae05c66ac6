//! Delimited text as records with line numbers: any delimiter, quotes, `::`, plain or gzip, never whole in memory.

use crate::error::{Error, Result};
use csv::{ByteRecord, ReaderBuilder};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// How fields are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One byte between fields; `quoted` fields may hold it, and line ends.
    Byte { delimiter: u8, quoted: bool },
    /// `::`, as in MovieLens 1M.
    DoubleColon,
}

/// A byte stream of the file, unpacked if it starts like gzip.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    let file = File::open(path).map_err(|e| Error::file(path, &e))?;
    if file.metadata().is_ok_and(|m| m.is_dir()) {
        return Err(Error::data(path, 0, "is a folder; name the files in it"));
    }
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let start = reader.fill_buf().map_err(|e| Error::file(path, &e))?;
    if start.starts_with(&[0x1f, 0x8b]) {
        return Ok(Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader))));
    }
    Ok(Box::new(reader))
}

/// The first line without its end, to recognise a format by. Invalid UTF-8 is replaced: the readers report it properly.
pub fn first_line(path: &Path) -> Result<String> {
    let mut line = Vec::new();
    let mut limited = open(path)?.take(1 << 16);
    limited.read_until(b'\n', &mut line).map_err(|e| Error::file(path, &e))?;
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line);
    Ok(String::from_utf8_lossy(line).trim_end().to_string())
}

/// The likeliest delimiter of a header: of tab, semicolon, bar and comma the one that occurs most.
pub fn guess_delimiter(header: &str) -> u8 {
    let count = |d: &u8| header.bytes().filter(|b| b == d).count();
    let mut best = b',';
    for candidate in [b'\t', b';', b'|'] {
        if count(&candidate) > count(&best) {
            best = candidate;
        }
    }
    best
}

/// Calls `each` with the line number (from 1) and the fields of every record that is not blank.
pub fn for_each_record(
    path: &Path,
    dialect: Dialect,
    each: &mut dyn FnMut(u64, &ByteRecord) -> Result<()>,
) -> Result<()> {
    match dialect {
        Dialect::Byte { delimiter, quoted } => {
            let mut builder = ReaderBuilder::new();
            builder.has_headers(false).flexible(true).delimiter(delimiter).quoting(quoted);
            let mut reader = builder.from_reader(open(path)?);
            let mut record = ByteRecord::new();
            loop {
                let line = reader.position().line();
                match reader.read_byte_record(&mut record) {
                    Ok(true) => each(record.position().map_or(line, |p| p.line()), &record)?,
                    Ok(false) => return Ok(()),
                    Err(e) => return Err(broken(path, line, &e.to_string())),
                }
            }
        }
        Dialect::DoubleColon => {
            let mut reader = open(path)?;
            let (mut line, mut number) = (Vec::new(), 0);
            loop {
                line.clear();
                let n = reader.read_until(b'\n', &mut line).map_err(|e| broken(path, number + 1, &e.to_string()))?;
                if n == 0 {
                    return Ok(());
                }
                number += 1;
                let text = line.trim_ascii_end();
                if !text.is_empty() {
                    each(number, &split_double_colon(text))?;
                }
            }
        }
    }
}

fn broken(path: &Path, line: u64, message: &str) -> Error {
    Error::data(path, line, format!("cannot be read on: {message}"))
}

fn split_double_colon(text: &[u8]) -> ByteRecord {
    let mut record = ByteRecord::new();
    let (mut start, mut i) = (0, 0);
    while i + 1 < text.len() {
        if &text[i..i + 2] == b"::" {
            record.push_field(&text[start..i]);
            start = i + 2;
            i += 1;
        }
        i += 1;
    }
    record.push_field(&text[start..]);
    record
}

/// A field as text without surrounding blanks.
pub fn text<'a>(record: &'a ByteRecord, column: usize, name: &str) -> std::result::Result<&'a str, String> {
    let field =
        record.get(column).ok_or_else(|| format!("{} fields, but {name} is field {}", record.len(), column + 1))?;
    std::str::from_utf8(field.trim_ascii()).map_err(|_| format!("{name} is not UTF-8; convert the file first"))
}
