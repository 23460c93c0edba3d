//! Standard output: lines, tables that fit the terminal, JSON; and how sizes and times are written.

use std::io::{self, IsTerminal, Write};

use console::{Alignment, Term, measure_text_width, pad_str, truncate_str};
use indicatif::DecimalBytes;
use serde::Serialize;

use crate::exit::{Failure, Result};

/// Standard output.
pub struct Out {
    /// Whether the verb prints JSON.
    pub json: bool,
}

impl Out {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|e| Failure::output(&e))
    }

    pub fn line(&self, line: impl std::fmt::Display) -> Result<()> {
        self.write(format!("{line}\n").as_bytes())
    }

    /// The one JSON document of a verb.
    pub fn document(&self, document: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(document).map_err(|e| Failure::output(&e.into()))?;
        // JSON escapes the control characters of ASCII only, and without 0x7F.
        let escaped =
            |c: char| if c >= '\x7f' && c.is_control() { format!("\\u{:04x}", u32::from(c)) } else { c.into() };
        match text.contains(|c: char| c >= '\x7f' && c.is_control()) {
            true => self.line(text.chars().map(escaped).collect::<String>()),
            false => self.line(text),
        }
    }

    /// A table, its rows cut to the width of the terminal.
    pub fn table(&self, table: &Table) -> Result<()> {
        self.write(table.fit(width()).as_bytes())
    }
}

/// The columns of the terminal, or what `COLUMNS` says; elsewhere rows have all the room they need.
pub fn width() -> Option<usize> {
    let columns = || std::env::var("COLUMNS").ok()?.parse().ok().filter(|columns| *columns > 0);
    io::stdout().is_terminal().then(|| columns().unwrap_or_else(|| usize::from(Term::stdout().size().1)))
}

/// How a column gives way when the terminal is narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It stays as it is.
    Whole,
    /// Numbers: it stays as it is, and is aligned to the right.
    Right,
    /// The middle of its texts is left out, not of its title: ids and versions.
    Middle,
    /// It is left out: the last of these columns first.
    Drop,
}

/// Rows under titles.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<String>>,
}

/// The space between columns.
const GAP: usize = 2;
/// What is left of a shortened text at least.
const SHORTEST: usize = 5;

impl Table {
    pub fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let mut row: Vec<String> = cells.into_iter().map(|cell| printable(&cell)).collect();
        row.resize(self.columns.len(), String::new());
        self.rows.push(row);
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as text, no line of it wider than `width`.
    pub fn fit(&self, width: Option<usize>) -> String {
        let mut widths: Vec<Option<usize>> = (0..self.columns.len()).map(|i| Some(self.widest(i))).collect();
        if let Some(width) = width {
            self.shrink(&mut widths, width);
        }
        let titles = self.columns.iter().map(|(title, _)| (*title).to_owned()).collect();
        let mut text = String::new();
        for row in std::iter::once(&titles).chain(&self.rows) {
            let cells = widths.iter().zip(row).zip(&self.columns);
            let cells = cells.filter_map(|((width, cell), (_, fit))| Some(aligned(cell, (*width)?, *fit)));
            let line = cells.collect::<Vec<_>>().join(&" ".repeat(GAP));
            let line = width.map_or(line.as_str().into(), |width| truncate_str(&line, width, "…"));
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }

    /// The width that a column wants.
    fn widest(&self, i: usize) -> usize {
        let cells = self.rows.iter().map(|row| measure_text_width(&row[i]));
        cells.max().unwrap_or(0).max(measure_text_width(self.columns[i].0))
    }

    /// Makes columns narrower, or leaves them out, until the table is no wider than `width`.
    fn shrink(&self, widths: &mut [Option<usize>], width: usize) {
        let excess = |widths: &[Option<usize>]| {
            let shown = widths.iter().flatten();
            (shown.clone().sum::<usize>() + shown.count().saturating_sub(1) * GAP).saturating_sub(width)
        };
        let columns = |fit: Fit| (0..self.columns.len()).filter(move |i| self.columns[*i].1 == fit);
        while excess(widths) > 0 {
            let least = |i: &usize| Some(SHORTEST.max(measure_text_width(self.columns[*i].0)));
            let longest = columns(Fit::Middle).filter(|i| widths[*i] > least(i)).max_by_key(|i| widths[*i]);
            if let Some(i) = longest {
                widths[i] = widths[i].map(|width| width - 1);
            } else if let Some(i) = columns(Fit::Drop).rfind(|i| widths[*i].is_some()) {
                // Room again for what was shortened.
                widths[i] = None;
                for i in columns(Fit::Middle) {
                    widths[i] = Some(self.widest(i));
                }
            } else {
                return;
            }
        }
    }
}

fn aligned(cell: &str, width: usize, fit: Fit) -> String {
    let alignment = if fit == Fit::Right { Alignment::Right } else { Alignment::Left };
    pad_str(&middle(cell, width), width, alignment, None).into_owned()
}

/// `text`, or its beginning and end with `…` between them: no wider than `width`.
pub fn middle(text: &str, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    let end = width.saturating_sub(1) / 2;
    let head = truncate_str(text, width - end, "…");
    let mut tail = String::new();
    for character in text.chars().rev() {
        if measure_text_width(&tail) + measure_text_width(character.encode_utf8(&mut [0; 4])) > end {
            break;
        }
        tail.insert(0, character);
    }
    format!("{head}{tail}")
}

/// What comes from the service or an archive, without invisible characters and those that move the cursor or change
/// colours.
pub fn printable(text: &str) -> String {
    let invisible = ['\u{ad}'..='\u{ad}', '\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    let is_invisible = |c| c == '\u{feff}' || invisible.iter().any(|range| range.contains(&c));
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { shown.extend(c.escape_debug()) } else { shown.push(c) }
    }
    shown
}

/// `12.90 MB`
pub fn size(bytes: u64) -> String {
    DecimalBytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let columns = [("NAME", Fit::Middle), ("SIZE", Fit::Right), ("ID", Fit::Middle), ("NOTE", Fit::Drop)];
        let mut table = Table::new(&columns);
        let row =
            |name: &str, size: &str| [name, size, "c0ffee00d15e4a5eb10c5ca1ab1e0001", "manual"].map(str::to_owned);
        table.row(row("demo-bot", "12.90 MB"));
        table.row(row("a\tname\x1b[31m of many words", "7 B"));
        table
    }

    #[test]
    fn no_row_is_wider_than_the_terminal() {
        for width in 1..150 {
            for line in table().fit(Some(width)).lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
        }
        let wide = table().fit(None);
        assert!(wide.contains("12.90 MB  c0ffee00d15e4a5eb10c5ca1ab1e0001  manual"), "{wide}");
        assert!(wide.contains("a\\tname\\u{1b}[31m"), "{wide}");
        let narrow = table().fit(Some(40));
        assert!(narrow.contains(" 12.90 MB  c0ff") && narrow.contains("     7 B"), "{narrow}");
    }

    #[test]
    fn columns_are_left_out_before_ids_are_useless() {
        let narrow = table().fit(Some(24));
        assert!(!narrow.contains("NOTE") && narrow.contains("ID"), "{narrow}");
        assert!(table().fit(Some(60)).contains("NOTE"));
    }

    #[test]
    fn the_middle_is_left_out() {
        let cases = [
            ("abc", 3, "abc"),
            ("abcdefghij", 7, "abc…hij"),
            ("abcdefghij", 4, "ab…j"),
            ("日本語日本語", 7, "日…本語"),
        ];
        for (text, width, expected) in cases {
            let short = middle(text, width);
            assert!(measure_text_width(&short) <= width, "{short}");
            if text.is_ascii() {
                assert_eq!(short, expected);
            }
        }
    }
}
