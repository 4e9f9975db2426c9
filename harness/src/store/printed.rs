//! Text logs of printed tensors: of each its name, its shape, the first and last three values of each axis, and its sum.
//!
//! ```text
//! debug: NAME = (f32) OP(source{8, 2, 1, 1}, }) = {8, 2, 1, 1}
//!     [
//!         [
//!             [      0.1250,      -1.5000,       0.0000,    ...,       2.2500,       0.1250,       0.5000  ],
//!             ...
//!         ],
//!     ]
//!     sum = 12.500000
//! ```
//!
//! Extents are written fastest first. Lines of other programs may stand between.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Place, StoreError, TensorProblem};
use super::item::{Item, TensorSource};
use super::printed_tensor::{PrintedNumber, PrintedTensor};
use super::regular;
use super::stored::StoredTensor;
use crate::tensor::{Dtype, element_count};

/// How far into a file its first tensor may be.
const SEARCHED: u64 = 1 << 22;
/// More than any log that a person keeps.
const MAX_LOG: u64 = 1 << 28;
const MAX_RANK: usize = 8;
const EXPECTED: &str = "a text log of printed tensors";

/// The line that stands before a tensor's values.
struct Heading<'a> {
    name: &'a str,
    dtype: &'a str,
    shape: Vec<usize>,
}

impl<'a> Heading<'a> {
    fn parse(line: &'a str) -> Option<Heading<'a>> {
        let (call, extents) = line.trim_end().strip_suffix('}')?.rsplit_once(" = {")?;
        let (before, after) = call.strip_suffix(')')?.split_once(" = (")?;
        let (_, name) = before.split_once(": ")?;
        let (dtype, _) = after.split_once(')')?;
        let extents: Option<Vec<usize>> =
            extents.split(',').map(|extent| extent.trim().parse().ok()).collect();
        let shape: Vec<usize> = extents?.into_iter().rev().collect();
        let possible = shape.len() <= MAX_RANK && element_count(&shape).is_some();
        (possible && !name.trim().is_empty()).then_some(Heading { name: name.trim(), dtype, shape })
    }
}

/// Whether a file is a log: there is a tensor near its beginning.
pub(super) fn is_log(path: &Path, front: &[u8]) -> bool {
    if front.is_empty() || front.contains(&0) {
        return false;
    }
    let Ok((file, _)) = regular::open(path) else { return false };
    lines(file.take(SEARCHED)).map_while(Result::ok).any(|line| Heading::parse(&line).is_some())
}

/// Lines of a text, whatever bytes are in them.
fn lines(text: impl Read) -> impl Iterator<Item = std::io::Result<String>> {
    let lines = BufReader::new(text).split(b'\n');
    lines.map(|line| Ok(String::from_utf8_lossy(&line?).trim_end().to_string()))
}

/// A tensor that is being read, and how far it is.
struct LogReading {
    name: String,
    dtype: String,
    printed: PrintedTensor,
    /// Brackets that are open.
    depth: usize,
    /// The place in each of the four axes, slowest first; the fastest is gone through within a line.
    at: [usize; 3],
    problem: Option<String>,
}

impl LogReading {
    fn new(heading: &Heading<'_>) -> LogReading {
        let mut shape = heading.shape.clone();
        while shape.len() < 4 {
            shape.insert(0, 1);
        }
        let dtype = dtype_named(heading.dtype).unwrap_or(Dtype::F32);
        let printed = PrintedTensor { shape, dtype, elements: Vec::new(), sum: None };
        let (name, dtype) = (heading.name.to_string(), heading.dtype.to_string());
        LogReading { name, dtype, printed, depth: 0, at: [0; 3], problem: None }
    }

    fn line(&mut self, line: &str) {
        let line = line.trim();
        match (line.trim_end_matches(','), self.depth) {
            ("[", 0 | 1) => {
                self.depth += 1;
                self.at[self.depth..].fill(0);
            }
            ("]", 1 | 2) => {
                self.depth -= 1;
                self.at[self.depth] += 1;
            }
            ("...", depth @ (1 | 2)) => match self.after_gap(depth, self.at[depth]) {
                Some(at) => self.at[depth] = at,
                None => self.broken(format!("more than {:?} holds", self.printed.shape)),
            },
            (row, 2) if row.starts_with('[') => {
                let row = row.trim_start_matches('[').trim_end_matches(']');
                if self.row(row).is_none() {
                    self.broken(format!("a row that does not fit {:?}: {row}", self.printed.shape));
                }
                self.at[2] += 1;
            }
            _ => {
                if let Some(sum) =
                    line.strip_prefix("sum").and_then(|rest| rest.trim_start().strip_prefix('='))
                {
                    self.printed.sum = PrintedNumber::parse(sum);
                }
            }
        }
    }

    /// Keeps the first thing that is wrong.
    fn broken(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }

    /// The extent of an axis of the last four.
    fn extent(&self, axis: usize) -> usize {
        self.printed.shape[self.printed.shape.len() - 4 + axis]
    }

    /// Where an axis goes on after values that are left out: as many follow as came before.
    fn after_gap(&self, axis: usize, before: usize) -> Option<usize> {
        self.extent(axis).checked_sub(before).filter(|at| *at >= before)
    }

    fn row(&mut self, row: &str) -> Option<()> {
        let [n1, n2, n3] = [1, 2, 3].map(|axis| self.extent(axis));
        let [i0, i1, i2] = self.at;
        if i0 >= self.extent(0) || i1 >= n1 || i2 >= n2 {
            return None;
        }
        let first = ((i0 * n1 + i1) * n2 + i2) * n3;
        let mut at = 0;
        for value in row.split(',').map(str::trim).filter(|value| !value.is_empty()) {
            if value == "..." {
                at = self.after_gap(3, at)?;
                continue;
            }
            if at >= n3 {
                return None;
            }
            self.printed.elements.push((first + at, PrintedNumber::parse(value)?));
            at += 1;
        }
        (at == n3).then_some(())
    }

    /// What is wrong with it, where it cannot be used.
    fn finished(self) -> (String, Result<PrintedTensor, String>) {
        let is_whole = self.depth == 0 && self.at[0] == self.extent(0);
        let result = match self.problem {
            Some(problem) => Err(problem),
            None if dtype_named(&self.dtype).is_none() => Err(format!("values of type {}", self.dtype)),
            None if self.printed.elements.is_empty() => Err("its shape alone, and no value".to_string()),
            None if self.printed.shape.len() > 4 => Err("more than four axes".to_string()),
            None if !is_whole => Err("values that are cut short".to_string()),
            None => Ok(self.printed),
        };
        (self.name, result)
    }
}

fn dtype_named(name: &str) -> Option<Dtype> {
    match name {
        "f64" => Some(Dtype::F64),
        "f32" => Some(Dtype::F32),
        "f16" => Some(Dtype::F16),
        "bf16" => Some(Dtype::Bf16),
        _ => None,
    }
}

/// The tensors of a text in their order.
fn tensors(text: impl Read) -> std::io::Result<Vec<(String, Result<PrintedTensor, String>)>> {
    let mut tensors = Vec::new();
    let mut reading: Option<LogReading> = None;
    for line in lines(text) {
        let line = line?;
        match (Heading::parse(&line), &mut reading) {
            (Some(heading), reading) => {
                tensors.extend(reading.replace(LogReading::new(&heading)).map(LogReading::finished));
            }
            (None, Some(reading)) => reading.line(&line),
            (None, None) => {}
        }
    }
    tensors.extend(reading.map(LogReading::finished));
    Ok(tensors)
}

/// A tensor of a log.
#[derive(Debug)]
struct LoggedTensor {
    path: PathBuf,
    name: String,
    printed: Result<PrintedTensor, String>,
}

/// The tensors of a log. A name that is printed several times is one
/// of several runs.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn items(path: &Path) -> Result<Vec<Item>, StoreError> {
    let place = Place::file(path);
    let (file, length) = regular::open(path).map_err(|problem| place.error(problem))?;
    if length > MAX_LOG {
        let found = format!("one of {length} bytes; cut out the tensors of one run");
        return Err(place.error(TensorProblem::Kind { expected: "a log of at most a gibibyte", found }));
    }
    let tensors = tensors(file.take(MAX_LOG)).map_err(|error| place.error(error.into()))?;
    let mut times: BTreeMap<String, u64> = BTreeMap::new();
    for (name, _) in &tensors {
        *times.entry(name.clone()).or_default() += 1;
    }
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    let mut items = Vec::new();
    for (name, printed) in tensors {
        let number = seen.entry(name.clone()).or_default();
        let several = times.get(&name).is_some_and(|times| *times > 1);
        let key = if *number == 0 { name.clone() } else { format!("{name}#{number}") };
        let call = several.then_some(*number);
        *number += 1;
        let source = LoggedTensor { path: path.to_path_buf(), name: name.clone(), printed };
        items.push(Item { key, stem: name, call, source: Arc::new(source) });
    }
    Ok(items)
}

impl TensorSource for LoggedTensor {
    fn open(&self) -> Result<StoredTensor, StoreError> {
        let place = Place::inside(&self.path, &self.name);
        Err(place.error(match &self.printed {
            Ok(_) => TensorProblem::Kind {
                expected: "a whole tensor",
                found: format!("{EXPECTED}, in which most values are left out; dump the tensor to a file"),
            },
            Err(found) => {
                TensorProblem::Kind { expected: "a tensor with printed values", found: found.clone() }
            }
        }))
    }

    fn printed(&self) -> Option<&PrintedTensor> {
        self.printed.as_ref().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(String, Result<PrintedTensor, String>)> {
        tensors(text.as_bytes()).unwrap()
    }

    const LOG: &str = "\
build: 1234
common_debug_cb_eval:                   inp = (f32)     RESHAPE(x{2, 1, 1, 1}, }) = {2, 1, 1, 1}
    [
        [
            [      0.1250,      -1.5000  ],
        ],
    ]
    sum = -1.375000
some other line
debug:   block 1 (view) = (f16)    MUL_MAT(w{2, 8, 1, 1}, inp{2, 1, 1, 1}}) = {8, 7, 1, 1}
    [
        [
            [      0.0000,       1.0000,       2.0000,    ...,       5.0000,       6.0000,       7.0000  ],
            [      8.0000,       9.0000,      10.0000,    ...,      13.0000,      14.0000,         -nan  ],
            [     16.0000,      17.0000,      18.0000,    ...,      21.0000,      22.0000,      23.0000  ],
            ...,\u{20}
            [     32.0000,      33.0000,      34.0000,    ...,      37.0000,      38.0000,      39.0000  ],
            [     40.0000,      41.0000,      42.0000,    ...,      45.0000,      46.0000,      47.0000  ],
            [     48.0000,      49.0000,      50.0000,    ...,      53.0000,      54.0000,      55.0000  ],
        ],
    ]
    sum = 1540.000000
debug: ids = (i32) CPY(a{1, 1, 1, 1}, }) = {1, 1, 1, 1}
    [
        [
            [      3.0000  ],
        ],
    ]
    sum = 3.000000
debug: packed = (q8_0) CPY(a{32, 1, 1, 1}, }) = {32, 1, 1, 1}
";

    #[test]
    fn corners_are_where_they_belong() {
        let tensors = read(LOG);
        let names: Vec<&str> = tensors.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["inp", "block 1 (view)", "ids", "packed"]);
        let inp = tensors[0].1.as_ref().unwrap();
        assert_eq!((inp.shape.as_slice(), inp.dtype), (&[1, 1, 1, 2][..], Dtype::F32));
        assert_eq!(inp.elements[1], (1, PrintedNumber { value: -1.5, half_unit: 0.5e-4 }));
        assert_eq!(inp.sum, Some(PrintedNumber { value: -1.375, half_unit: 0.5e-6 }));
        let block = tensors[1].1.as_ref().unwrap();
        assert_eq!((block.shape.as_slice(), block.elements.len()), (&[1, 1, 7, 8][..], 36));
        let wrong = block.elements.iter().filter(|(at, number)| *at as f64 != number.value);
        assert_eq!(wrong.map(|(at, _)| *at).collect::<Vec<_>>(), [15]);
        assert_eq!(tensors[2].1, Err("values of type i32".to_string()));
        assert_eq!(tensors[3].1, Err("values of type q8_0".to_string()));
    }

    #[test]
    fn what_does_not_fit_its_shape_is_told() {
        let problem = |log: &str| read(log).remove(1).1.unwrap_err();
        assert!(
            problem(&LOG.replace("= {8, 7, 1, 1}", "= {8, 4, 1, 1}"))
                .contains("more than [1, 1, 4, 8] holds")
        );
        assert!(problem(&LOG.replace("= {8, 7, 1, 1}", "= {5, 7, 1, 1}")).contains("does not fit"));
        assert!(problem(&LOG.replace("= {8, 7, 1, 1}", "= {8, 7, 1, 2}")).contains("cut short"));
        let half = LOG.find("            ...,").unwrap();
        assert!(problem(&LOG[..half]).contains("cut short"));
        assert_eq!(read("a: b = (f32) C(}) = {18446744073709551615, 2}\n"), []);
    }
}
