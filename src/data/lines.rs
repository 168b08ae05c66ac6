//! Delimited text as records that know their line: any delimiter, quotes over several lines, plain or gzip.
//! One record is in memory at a time.

use crate::error::{Error, Result};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A longer line is not text of events.
const LONGEST_LINE: u64 = 1 << 20;
/// A quoted field that goes on for longer was opened by mistake.
const LONGEST_QUOTE: usize = 1 << 16;

pub struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    delimiter: String,
    quoted: bool,
    latin1: bool,
    /// Lines read so far.
    read: u64,
    /// Line on which the present record starts.
    line: u64,
    bytes: Vec<u8>,
    /// The fields' text, quotes removed.
    text: String,
    fields: Vec<Range<usize>>,
}

impl Lines {
    /// Opens `path`, unpacking it if its first bytes are gzip's.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| Error::file(path, &e))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(Error::data(path, 0, "is a folder; name the files in it"));
        }
        let mut reader: Box<dyn BufRead> = Box::new(BufReader::with_capacity(1 << 16, file));
        let start = reader.fill_buf().map_err(|e| Error::file(path, &e))?;
        if start.starts_with(b"PK\x03\x04") {
            return Err(Error::data(path, 0, "is a zip archive; unpack it and name the file inside"));
        }
        if start.starts_with(&[0x1f, 0x8b]) {
            reader = Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)));
        }
        let mut lines = Lines {
            path: path.into(),
            reader,
            delimiter: ",".into(),
            quoted: false,
            latin1: false,
            read: 0,
            line: 0,
            bytes: Vec::new(),
            text: String::new(),
            fields: Vec::new(),
        };
        lines.skip_mark()?;
        Ok(lines)
    }

    /// Past the byte order mark that some spreadsheets write.
    fn skip_mark(&mut self) -> Result<()> {
        let start = self.reader.fill_buf().map_err(|e| damaged(&self.path, 1, &e))?;
        if start.starts_with(&[0xff, 0xfe]) || start.starts_with(&[0xfe, 0xff]) {
            return Err(Error::data(
                &self.path,
                1,
                "is UTF-16, not UTF-8; convert it first (iconv -f utf-16 -t utf-8)",
            ));
        }
        if start.starts_with(b"\xef\xbb\xbf") {
            self.reader.consume(3);
        }
        Ok(())
    }

    pub fn set_dialect(&mut self, delimiter: &str, quoted: bool) {
        self.delimiter = delimiter.into();
        self.quoted = quoted;
    }

    /// Reads bytes as ISO 8859-1, as GroupLens wrote its titles.
    pub fn set_latin1(&mut self) {
        self.latin1 = true;
    }

    /// The first line that is not blank, unsplit; `None` if there is none. [`Lines::split_again`] makes it a record.
    pub fn first(&mut self) -> Result<Option<std::result::Result<&str, String>>> {
        if !self.next_line()? {
            return Ok(None);
        }
        Ok(Some(self.decode().map(|()| self.text.as_str())))
    }

    /// The next record that is not blank. The inner error is about this record only: reading can go on.
    pub fn next_record(&mut self) -> Result<Option<std::result::Result<(), String>>> {
        if !self.next_line()? {
            return Ok(None);
        }
        self.split_again().map(Some)
    }

    /// Splits the present line with the dialect set now.
    pub fn split_again(&mut self) -> Result<std::result::Result<(), String>> {
        loop {
            if let Err(message) = self.decode() {
                return Ok(Err(message));
            }
            if !self.quoted || !self.text.contains('"') {
                split_plain(&self.text, &self.delimiter, &mut self.fields);
                return Ok(Ok(()));
            }
            if let Some(text) = split_quoted(&self.text, &self.delimiter, &mut self.fields) {
                self.text = text;
                return Ok(Ok(()));
            }
            // A quote is open: the field goes on in the next line.
            let before = self.bytes.len();
            self.bytes.push(b'\n');
            if before > LONGEST_QUOTE || !self.append_line()? {
                return Ok(Err(format!("the quote opened here is not closed by line {}", self.read)));
            }
        }
    }

    pub fn line(&self) -> u64 {
        self.line
    }

    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// A field without the blanks around it.
    pub fn field(&self, column: usize) -> &str {
        self.text[self.fields[column].clone()].trim()
    }

    fn next_line(&mut self) -> Result<bool> {
        loop {
            self.bytes.clear();
            if !self.append_line()? {
                return Ok(false);
            }
            if !self.bytes.iter().all(u8::is_ascii_whitespace) {
                self.line = self.read;
                return Ok(true);
            }
        }
    }

    /// Appends the next line without its end (LF or CRLF).
    fn append_line(&mut self) -> Result<bool> {
        let before = self.bytes.len();
        let mut limited = (&mut self.reader).take(LONGEST_LINE);
        let count = limited.read_until(b'\n', &mut self.bytes).map_err(|e| damaged(&self.path, self.read + 1, &e))?;
        if count == 0 {
            return Ok(false);
        }
        self.read += 1;
        if count as u64 == LONGEST_LINE && self.bytes.last() != Some(&b'\n') {
            return Err(Error::data(
                &self.path,
                self.read,
                "is longer than 1 MiB; is this a text file with line ends?",
            ));
        }
        for end in [b'\n', b'\r'] {
            if self.bytes.len() > before && self.bytes.last() == Some(&end) {
                self.bytes.pop();
            }
        }
        Ok(true)
    }

    fn decode(&mut self) -> std::result::Result<(), String> {
        self.text.clear();
        if self.latin1 {
            self.text.extend(self.bytes.iter().map(|b| *b as char));
            return Ok(());
        }
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => {
                self.text.push_str(text);
                Ok(())
            }
            Err(e) => {
                Err(format!("byte {} of the line is not UTF-8; convert the file (iconv -t utf-8)", e.valid_up_to() + 1))
            }
        }
    }
}

fn damaged(path: &Path, line: u64, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput => {
            Error::data(path, line, format!("the compressed file is cut off or damaged here ({error}); fetch it again"))
        }
        _ => Error::file(path, error),
    }
}

fn split_plain(text: &str, delimiter: &str, fields: &mut Vec<Range<usize>>) {
    fields.clear();
    let mut start = 0;
    if let [byte] = delimiter.as_bytes() {
        for (i, b) in text.bytes().enumerate() {
            if b == *byte {
                fields.push(start..i);
                start = i + 1;
            }
        }
    } else {
        for (i, _) in text.match_indices(delimiter) {
            fields.push(start..i);
            start = i + delimiter.len();
        }
    }
    fields.push(start..text.len());
}

/// Splits as RFC 4180 says and gives the text without quotes; `None` if a quote stays open.
fn split_quoted(text: &str, delimiter: &str, fields: &mut Vec<Range<usize>>) -> Option<String> {
    fields.clear();
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let start = out.len();
        // Blanks before a quote belong to nothing.
        if let Some(mut inner) = rest.trim_start_matches(' ').strip_prefix('"') {
            loop {
                let close = inner.find('"')?;
                out.push_str(&inner[..close]);
                inner = &inner[close + 1..];
                match inner.strip_prefix('"') {
                    Some(after) => {
                        out.push('"');
                        inner = after;
                    }
                    None => break,
                }
            }
            rest = inner;
        }
        let end = rest.find(delimiter).unwrap_or(rest.len());
        out.push_str(&rest[..end]);
        fields.push(start..out.len());
        if end == rest.len() {
            return Some(out);
        }
        rest = &rest[end + delimiter.len()..];
    }
}

/// The likeliest delimiter of a first line: of tab, semicolon, bar and comma the one that occurs most.
pub fn guess_delimiter(line: &str) -> &'static str {
    let mut best = (",", line.matches(',').count());
    for candidate in ["\t", ";", "|"] {
        let count = line.matches(candidate).count();
        if count > best.1 {
            best = (candidate, count);
        }
    }
    best.0
}
