//! One change of the source.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One change of the source. A switch in the built program applies it at run time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutant {
    /// The number that selects the mutant in a build. The numbers begin at 1.
    pub number: usize,
    /// The line, for people. The key does not contain it, so edits elsewhere keep the key.
    pub line: usize,
    /// What identifies the mutant in every version of the source.
    pub key: Key,
}

/// What identifies a mutant in every version of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The path of the file, relative to the root of the workspace.
    pub file: String,
    /// The function, with its type.
    pub function: String,
    /// The change.
    pub change: Change,
    /// The changed text, with single spaces.
    pub source: String,
    /// Counts mutants that are otherwise equal, from 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub occurrence: usize,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// A kind of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A statement that is a call or an assignment is left out.
    Delete,
    /// A statement and the next statement are exchanged.
    Exchange,
    /// A condition is negated.
    Negate,
    /// The block of a condition, which leaves the function or the loop, never runs.
    Never,
    /// `<` becomes `<=`, `<=` becomes `<`, and the same for `>`.
    Bound,
    /// The right operand of an operator is left out.
    KeepLeft,
    /// The left operand of `&&` or `||` is left out.
    KeepRight,
    /// The number 1 becomes 0.
    OneToZero,
    /// `true` becomes `false`, or `false` becomes `true`.
    Flip,
    /// The last call of a chain is left out.
    LeaveOutCall,
    /// All waiters become one waiter.
    NotifyOne,
    /// The other field of a pair is used.
    OtherField,
    /// The other variant of a pair is used.
    OtherVariant,
    /// The function returns `true` without doing anything.
    ReturnTrue,
    /// The function returns `false` without doing anything.
    ReturnFalse,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Delete => "delete",
            Self::Exchange => "exchange with the next",
            Self::Negate => "negate",
            Self::Never => "never",
            Self::Bound => "move the bound by one",
            Self::KeepLeft => "keep the left operand",
            Self::KeepRight => "keep the right operand",
            Self::OneToZero => "1 to 0",
            Self::Flip => "flip",
            Self::LeaveOutCall => "leave out the last call",
            Self::NotifyOne => "notify one",
            Self::OtherField => "the other field",
            Self::OtherVariant => "the other variant",
            Self::ReturnTrue => "return true",
            Self::ReturnFalse => "return false",
        })
    }
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Key {
            file,
            function,
            change,
            source,
            ..
        } = &self.key;
        write!(f, "{file}:{} {function}: {change}: {source}", self.line)
    }
}
