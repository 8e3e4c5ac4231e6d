//! The programs that may notice a mutant: models and test binaries.

use crate::mutant::Mutant;
use serde_json::Value;
use std::collections::BTreeSet;
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The memory that a program may use, in bytes, because some mutants allocate without an end.
const MAX_MEMORY: u64 = 8 << 30;

/// The folders of models that do not run the source of the primitives, or are known bugs.
const OTHER_MODELS: [&str; 3] = ["broken/", "litmus/", "museum/"];

/// The test binary that only runs the compiler: it takes minutes and reaches no mutant.
const COMPILES: &str = "compile";

/// A model or a test binary.
#[derive(Clone, Debug)]
pub struct Program {
    /// The name, for people.
    pub name: String,
    file: PathBuf,
    arguments: Vec<String>,
    folder: PathBuf,
    /// How long it takes without a mutant.
    pub duration: Duration,
    /// The numbers of the mutants that it reaches.
    pub reached: BTreeSet<usize>,
    /// How many executions it explores without a mutant, if it is a model.
    pub executions: u64,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With success.
    Passed,
    /// With a failure, which the text describes.
    Failed(String),
}

impl Program {
    /// Runs the program with a mutant, for at most `limit`.
    pub fn run(&self, mutant: &Mutant, limit: Duration) -> Result<End, Box<dyn Error>> {
        let number = mutant.number.to_string();
        Ok(self
            .run_with("INTERLATCH_MUTANT", number.as_ref(), limit)?
            .0)
    }

    /// Runs the program. Returns its end and its output.
    fn run_with(
        &self,
        variable: &str,
        value: &OsStr,
        limit: Duration,
    ) -> Result<(End, String), Box<dyn Error>> {
        let mut output = tempfile::tempfile()?;
        // `timeout` kills the whole process group.
        let mut command = Command::new("timeout");
        command.args(["--signal=KILL", &format!("{}", limit.as_secs_f64())]);
        command.args(["prlimit", &format!("--as={MAX_MEMORY}")]);
        command.arg(&self.file).args(&self.arguments);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command.env("INTERLATCH_CASES", "5").env(variable, value);
        command
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        let status = command.status()?;
        let mut text = Vec::new();
        output.rewind()?;
        output.read_to_end(&mut text)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        let end = match status.success() {
            true => End::Passed,
            false => End::Failed(describe(status.code(), &text)),
        };
        Ok((end, text))
    }

    /// Runs the program without a mutant, and finds the mutants that it reaches.
    pub fn measure(&mut self, limit: Duration) -> Result<End, Box<dyn Error>> {
        let reached = tempfile::NamedTempFile::new()?;
        let begin = Instant::now();
        let (end, output) =
            self.run_with("INTERLATCH_REACHED", reached.path().as_os_str(), limit)?;
        self.duration = begin.elapsed();
        let text = fs::read_to_string(reached.path())?;
        self.reached = text.lines().filter_map(|line| line.parse().ok()).collect();
        let explored = reports(&output).filter_map(|it| it["Explored"]["executions"].as_u64());
        self.executions = explored.sum();
        Ok(end)
    }

    /// Returns the same model, which is to be explored up to the bound that it sets itself.
    pub fn at_own_bound(&self) -> Self {
        let exec = self.arguments.iter().filter(|it| it.starts_with("--exec"));
        let mut arguments: Vec<String> = exec.cloned().collect();
        // Without time for a sweep, the bound does not rise further.
        arguments.push("--sweep-seconds=0".into());
        Self {
            arguments,
            ..self.clone()
        }
    }
}

/// Returns what a model reports about its explorations and its failure.
fn reports(output: &str) -> impl Iterator<Item = Value> {
    let lines = output
        .lines()
        .filter_map(|line| line.strip_prefix("#interlatch "));
    lines.filter_map(|line| serde_json::from_str(line).ok())
}

/// Describes a failure by the exit status and the output.
fn describe(code: Option<i32>, output: &str) -> String {
    if code.is_none_or(|code| code == 137) {
        return "does not end".into();
    }
    let kind = reports(output).find_map(|it| Some(it["Failure"]["kind"].as_str()?.to_owned()));
    let failed = || {
        let mut tests = output.lines().filter(|line| line.ends_with("FAILED"));
        tests.next().map(str::to_owned)
    };
    kind.or_else(failed)
        .unwrap_or_else(|| format!("exit status {}", code.unwrap_or(-1)))
}

/// Builds the models of the copy. Returns the models that must hold.
pub fn models(tree: &Path, seconds: u64) -> Result<Vec<Program>, Box<dyn Error>> {
    let built = build(
        tree,
        "--cfg loom",
        &["--profile", "mutants", "--test", "models"],
    )?;
    let Some(models) = built.into_iter().find(|built| built.name == "models") else {
        return Err("cargo built no models".into());
    };
    let list = Command::new(&models.file).arg("--list").output()?;
    let list = String::from_utf8(list.stdout)?;
    let names = list.lines().filter_map(|line| line.strip_suffix(": test"));
    let is_other = |name: &&str| OTHER_MODELS.iter().any(|folder| name.starts_with(folder));
    let names = names.filter(|name| !is_other(name));
    let limits = [
        "--preemptions=2".to_owned(),
        format!("--seconds={seconds}"),
        format!("--sweep-seconds={seconds}"),
    ];
    let models = names.map(|name| Program {
        name: name.to_owned(),
        arguments: [vec![format!("--exec={name}")], limits.to_vec()].concat(),
        ..models.clone()
    });
    Ok(models.collect())
}

/// Builds the test binaries of the copy.
pub fn tests(tree: &Path) -> Result<Vec<Program>, Box<dyn Error>> {
    let built = build(tree, "", &[])?;
    let is_test = |name: &str| name != "models" && name != COMPILES;
    let tests = built.into_iter().filter(|built| is_test(&built.name));
    let tests = tests.map(|test| Program {
        name: format!("tests/{}", test.name),
        ..test
    });
    Ok(tests.collect())
}

/// Builds test binaries. As with `cargo test`, each runs in the folder of its package.
fn build(tree: &Path, flags: &str, arguments: &[&str]) -> Result<Vec<Program>, Box<dyn Error>> {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--no-run", "--message-format=json", "--quiet"]);
    cargo.args(arguments).current_dir(tree);
    cargo.env("RUSTFLAGS", format!("{flags} --cap-lints=allow"));
    cargo.stderr(Stdio::inherit());
    let output = cargo.output()?;
    if !output.status.success() {
        return Err("cargo test --no-run failed in the copy".into());
    }
    let mut built = Vec::new();
    for line in String::from_utf8(output.stdout)?.lines() {
        let message: Value = serde_json::from_str(line)?;
        let name = message["target"]["name"].as_str();
        let file = message["executable"].as_str();
        let manifest = message["manifest_path"].as_str().map(Path::new);
        let is_test = message["profile"]["test"] == true;
        if let (Some(name), Some(file), Some(manifest), true) = (name, file, manifest, is_test) {
            built.push(Program {
                name: name.to_owned(),
                file: PathBuf::from(file),
                arguments: Vec::new(),
                folder: manifest.parent().unwrap_or(tree).to_owned(),
                duration: Duration::ZERO,
                reached: BTreeSet::new(),
                executions: 0,
            });
        }
    }
    Ok(built)
}
