//! What the command line says.

use std::path::PathBuf;

use clap::Args;

use super::device::{Elsewhere, Kind};
use super::plan::Operation;

/// How far too much is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    /// So many times what the service does at its best.
    pub(super) factor: f64,
    pub(super) connections: usize,
}

/// Options of `chancery bench`.
#[derive(Debug, Args)]
#[command(after_long_help = AFTERWARDS)]
pub(in crate::cli) struct Options {
    /// Which kinds of request [default: all that there are means for]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "KINDS",
        hide_possible_values = false
    )]
    operation: Vec<Operation>,
    /// Out of which devices [default: all that are there]
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "DEVICES",
        conflicts_with = "url"
    )]
    pub(super) backend: Vec<Kind>,
    /// On how many connections, each number a row
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS", default_values_t = [1, 16, 64], value_parser = parse_many)]
    pub(super) connections: Vec<usize>,
    /// Orders also in requests of so many, each number a row; 0 for none
    #[arg(long, value_delimiter = ',', value_name = "NUMBERS", default_values_t = [15, 100], value_parser = parse_batch)]
    pub(super) batch: Vec<usize>,
    /// Ask in an open loop, so many requests a second, whatever was answered. Times run from the moment
    /// when a request was due. Without it each connection asks again when it was answered
    #[arg(long, value_name = "A_SECOND", value_parser = parse_positive)]
    pub(super) rate: Option<f64>,
    /// Ask for so many times what the service does at its best (on the most of --connections), and say
    /// what goes on, what is refused and when it is as before
    #[arg(long, value_name = "TIMES", num_args = 0..=1, default_missing_value = "10", value_parser = parse_positive, conflicts_with = "rate")]
    overload: Option<f64>,
    /// On so many connections with --overload
    #[arg(long, value_name = "NUMBER", default_value = "1500", value_parser = parse_many)]
    overload_connections: usize,
    /// How many callers ask, in a world of its own; connections take them in turn
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = parse_many, conflicts_with = "url")]
    pub(super) callers: usize,
    /// Seconds for each row
    #[arg(long, default_value = "3", value_parser = parse_positive)]
    pub(super) seconds: f64,
    /// Seconds before each row that do not count
    #[arg(long, default_value = "1", value_parser = parse_seconds)]
    pub(super) warm_up: f64,
    /// Only rows whose name contains this, such as "order, sealed"
    #[arg(
        long,
        default_value = "",
        value_name = "TEXT",
        hide_default_value = true
    )]
    pub(super) only: String,
    /// Write everything as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(super) json: Option<PathBuf>,
    /// Draw the histograms of the latencies, on a logarithmic axis
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
    /// Measure in the directory of `chancery dev`, which has to be stopped, with what is in it and as it
    /// is configured, and leave there what is signed [default: a new one, gone afterwards]
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(super) data_dir: Option<PathBuf>,
    /// Another build of the program, to compare with
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    pub(super) program: Option<PathBuf>,
    #[command(flatten)]
    pub(super) elsewhere: Elsewhere,
    #[command(flatten)]
    pub(super) whose: Whose,
    /// Measures a device, for the process that asks on standard input.
    #[arg(long, hide = true)]
    pub(super) floor: bool,
}

/// A service that runs already.
#[derive(Debug, Args)]
pub(super) struct Whose {
    /// Measure a service that runs, at its own address. What is asked for is signed and on its record;
    /// nothing is known of the device, the database and the processors behind it
    #[arg(long, value_name = "URL", requires = "token_file")]
    pub(super) url: Option<String>,
    /// The file with the token of who asks there
    #[arg(long, value_name = "FILE", requires = "url")]
    pub(super) token_file: Option<PathBuf>,
    /// The wallet there, for orders, replays, look-ups, and L2 headers where they are asked for
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(super) wallet: Option<String>,
    /// The client there, for assertions, and tokens where they are asked for
    #[arg(long, value_name = "NAME", requires = "url")]
    pub(super) client: Option<String>,
    /// The scope of its tokens
    #[arg(long, value_name = "SCOPE", default_value = super::provision::SCOPE, requires = "url")]
    pub(super) scope: String,
}

/// What stands below the options.
const AFTERWARDS: &str = "\
Everything shares the machine's processors, so the ratios at the end are the result, not the figures. A row
counts orders, not requests; the time of a batch is that of its request.

  chancery bench                                             everything, about five minutes
  chancery bench --backend sealed --operation order --json - one device, for programs
  chancery bench --rate 1500 --connections 256 --svg half.svg
                                                             latency at half load
  chancery bench --overload --operation order --batch 0      ten times too much
  chancery bench --url http://127.0.0.1:7300 --token-file trader.token --wallet w
                                                             a service that runs";

impl Options {
    /// Which kinds of request.
    pub(super) fn operations(&self) -> Vec<Operation> {
        if self.operation.is_empty() {
            return Operation::ALL.to_vec();
        }
        self.operation.clone()
    }

    /// Whether a kind was asked for by name.
    pub(super) fn names(&self, operation: Operation) -> bool {
        self.operation.contains(&operation)
    }

    pub(super) fn batches(&self) -> impl Iterator<Item = usize> + '_ {
        self.batch.iter().copied().filter(|size| *size > 0)
    }

    pub(super) fn flood(&self) -> Option<Flood> {
        self.overload.map(|factor| Flood {
            factor,
            connections: self.overload_connections,
        })
    }

    pub(super) fn most_connections(&self) -> usize {
        self.connections.iter().copied().max().unwrap_or(1)
    }

    pub(super) fn json_to_stdout(&self) -> bool {
        self.json.as_ref().is_some_and(|it| it.as_os_str() == "-")
    }
}

fn parse_positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0 is wanted".into()),
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
        _ => Err("a number of seconds is wanted, 0 for none".into()),
    }
}

fn parse_many(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=100_000) => Ok(number),
        _ => Err("1 to 100000 is wanted".into()),
    }
}

fn parse_batch(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 0..=1_000) => Ok(number),
        _ => Err("0 to 1000 is wanted".into()),
    }
}
