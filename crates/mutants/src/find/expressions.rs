//! Mutants of expressions.

use super::{Finder, span};
use crate::edit::{Piece, Span};
use crate::mutant::Change;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, Lit, Stmt};

/// Calls that change only a value that another call has computed.
const ADJUSTMENTS: [&str; 9] = [
    "checked_sub",
    "max",
    "min",
    "other",
    "rev",
    "saturating_add",
    "saturating_sub",
    "wrapping_add",
    "wrapping_sub",
];

/// Fields of the two sides of an object.
const FIELDS: [(&str, &str); 6] = [
    ("not_empty", "not_full"),
    ("readable", "writable"),
    ("receivers", "senders"),
    ("arrived", "removed"),
    ("readers", "writers"),
    ("head", "tail"),
];

/// Variants of the two sides of an object.
const VARIANTS: [(&str, &str); 3] = [
    ("Receiving", "Sending"),
    ("Readers", "Writers"),
    ("Reader", "Writer"),
];

/// The longest operand pair that is written twice.
const MAX_LENGTH: usize = 300;

/// Returns the other name of a pair.
fn other(pairs: &[(&'static str, &'static str)], name: &str) -> Option<&'static str> {
    pairs.iter().find_map(|(one, other)| match name {
        name if name == *one => Some(*other),
        name if name == *other => Some(*one),
        _ => None,
    })
}

impl Finder<'_> {
    pub(super) fn visit_expression(&mut self, expression: &Expr) {
        match expression {
            Expr::Const(_) => {}
            Expr::If(conditional) => {
                self.visit_conditional(conditional, false);
            }
            Expr::While(repeat) => self.visit_loop(repeat),
            Expr::Match(choice) => self.visit_match(choice, false),
            Expr::Repeat(repeat) => self.visit_expr(&repeat.expr),
            Expr::Assign(assign) => {
                self.delete(span(expression));
                self.visit_expr(&assign.right);
            }
            Expr::Binary(binary) => self.visit_binary(binary),
            Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Not(_)) => {
                self.negate(span(expression));
                self.visit_expr(&unary.expr);
            }
            Expr::Lit(literal) => self.visit_literal(literal),
            Expr::Path(path) => self.visit_variant(path),
            Expr::Reference(reference) if reference.mutability.is_none() => {
                if let Expr::Field(field) = &*reference.expr {
                    self.other_field(span(expression), field);
                } else {
                    self.visit_expr(&reference.expr);
                }
            }
            Expr::MethodCall(call) => self.visit_method(call),
            other => visit::visit_expr(self, other),
        }
    }

    /// Visits an `if`. The blocks have the value `()` if `is_unit`.
    pub(super) fn visit_conditional(&mut self, conditional: &syn::ExprIf, is_unit: bool) {
        let leaves = conditional.else_branch.is_none() && leaves(&conditional.then_branch);
        self.condition(&conditional.cond, leaves);
        self.visit_body(&conditional.then_branch, is_unit);
        match conditional
            .else_branch
            .as_ref()
            .map(|(_, branch)| &**branch)
        {
            Some(Expr::If(next)) => self.visit_conditional(next, is_unit),
            Some(Expr::Block(block)) => self.visit_body(&block.block, is_unit),
            _ => {}
        }
    }

    pub(super) fn visit_loop(&mut self, repeat: &syn::ExprWhile) {
        self.condition(&repeat.cond, false);
        self.visit_body(&repeat.body, true);
    }

    pub(super) fn visit_match(&mut self, choice: &syn::ExprMatch, is_unit: bool) {
        let is_bool = choice.arms.iter().any(|arm| {
            let literal = match &arm.pat {
                syn::Pat::Lit(literal) => Some(&literal.lit),
                _ => None,
            };
            matches!(literal, Some(Lit::Bool(_)))
        });
        match is_bool {
            true => self.condition(&choice.expr, false),
            false => self.visit_expr(&choice.expr),
        }
        for arm in &choice.arms {
            if let Some((_, guard)) = &arm.guard {
                self.condition(guard, false);
            }
            match is_unit {
                true => self.visit_unit(&arm.body),
                false => self.visit_expr(&arm.body),
            }
        }
    }

    /// Negates a condition, and lets its block never run if that block `leaves` the function.
    fn condition(&mut self, condition: &Expr, leaves: bool) {
        match condition {
            Expr::Let(condition) => return self.visit_expr(&condition.expr),
            Expr::Binary(binary) if matches!(binary.op, BinOp::And(_)) && has_let(condition) => {
                self.condition(&binary.left, false);
                return self.condition(&binary.right, false);
            }
            _ => {}
        }
        let at = span(condition);
        if leaves && let Some(never) = self.add(Change::Never, &at) {
            let pieces = vec![
                Piece::text("("),
                Piece::Source(at.clone()),
                Piece::text(" ) && !"),
                Piece::Switch(never),
            ];
            self.replace(at.clone(), never, pieces);
        }
        self.negate(at);
        match condition {
            // Otherwise, these would be negated twice.
            Expr::Unary(unary) if matches!(unary.op, syn::UnOp::Not(_)) => {
                self.visit_expr(&unary.expr);
            }
            Expr::Binary(binary) if matches!(binary.op, BinOp::Eq(_) | BinOp::Ne(_)) => {
                self.visit_expr(&binary.left);
                self.visit_expr(&binary.right);
            }
            other => self.visit_expr(other),
        }
    }

    fn negate(&mut self, at: Span) {
        if let Some(mutant) = self.add(Change::Negate, &at) {
            let pieces = vec![
                Piece::text("(("),
                Piece::Source(at.clone()),
                Piece::text(") != "),
                Piece::Switch(mutant),
                Piece::text(")"),
            ];
            self.replace(at, mutant, pieces);
        }
    }

    fn visit_binary(&mut self, binary: &syn::ExprBinary) {
        let (at, left, right) = (span(binary), span(&binary.left), span(&binary.right));
        let operator = match binary.op {
            BinOp::Lt(_) => Some("<="),
            BinOp::Le(_) => Some("<"),
            BinOp::Gt(_) => Some(">="),
            BinOp::Ge(_) => Some(">"),
            _ => None,
        };
        let is_short = at.len() <= MAX_LENGTH;
        match binary.op {
            _ if let Some(operator) = operator => {
                let operator = Piece::Text(format!(" {operator} "));
                let changed = vec![Piece::Source(left), operator, Piece::Source(right)];
                self.choose(at, Change::Bound, changed);
            }
            BinOp::Eq(_) | BinOp::Ne(_) => self.negate(at),
            BinOp::And(_) | BinOp::Or(_) if is_short => {
                self.choose(at.clone(), Change::KeepLeft, vec![Piece::Source(left)]);
                self.choose(at, Change::KeepRight, vec![Piece::Source(right)]);
            }
            BinOp::Add(_)
            | BinOp::Sub(_)
            | BinOp::Mul(_)
            | BinOp::Div(_)
            | BinOp::Rem(_)
            | BinOp::BitOr(_)
            | BinOp::BitAnd(_)
            | BinOp::BitXor(_)
            | BinOp::Shl(_)
            | BinOp::Shr(_) => self.choose(at, Change::KeepLeft, vec![Piece::Source(left)]),
            // The compound assignments, like `+=`.
            _ if !matches!(binary.op, BinOp::And(_) | BinOp::Or(_)) => {
                self.delete(at);
                return self.visit_expr(&binary.right);
            }
            _ => {}
        }
        self.visit_expr(&binary.left);
        // `x + 1` without its right operand is `x + 0`.
        if !is_one(&binary.right) || operator.is_some() {
            self.visit_expr(&binary.right);
        }
    }

    fn visit_literal(&mut self, literal: &syn::ExprLit) {
        let at = span(literal);
        match &literal.lit {
            Lit::Bool(value) => {
                let flipped = Piece::Text((!value.value).to_string());
                self.choose(at, Change::Flip, vec![flipped]);
            }
            Lit::Int(number) if number.base10_digits() == "1" => {
                let zero = Piece::Text(format!("0{}", number.suffix()));
                self.choose(at, Change::OneToZero, vec![zero]);
            }
            _ => {}
        }
    }

    fn visit_variant(&mut self, path: &syn::ExprPath) {
        let Some(last) = path.path.segments.last() else {
            return;
        };
        if path.path.segments.len() > 1
            && let Some(other) = other(&VARIANTS, &last.ident.to_string())
        {
            let at = span(path);
            let before = self.text[at.start..span(&last.ident).start].to_owned();
            let changed = Piece::Text(before + other);
            self.choose(at, Change::OtherVariant, vec![changed]);
        }
    }

    /// Exchanges a field that is read through a reference.
    fn other_field(&mut self, at: Span, field: &syn::ExprField) {
        if let syn::Member::Named(name) = &field.member
            && let Some(other) = other(&FIELDS, &name.to_string())
        {
            let before = self.text[span(&*field.base)].to_owned();
            let Some(mutant) = self.add(Change::OtherField, &at) else {
                return;
            };
            let pieces = vec![
                Piece::text("(if "),
                Piece::Switch(mutant),
                Piece::Text(format!(
                    " {{ &{before}.{other} }} else {{ &{before}.{name} }})"
                )),
            ];
            self.replace(at, mutant, pieces);
        } else {
            self.visit_expr(&field.base);
        }
    }

    fn visit_method(&mut self, call: &syn::ExprMethodCall) {
        let (at, receiver) = (span(call), span(&*call.receiver));
        let method = call.method.to_string();
        if ADJUSTMENTS.contains(&&*method) && at.len() <= MAX_LENGTH {
            self.choose(at, Change::LeaveOutCall, vec![Piece::Source(receiver)]);
        } else if method == "notify_all" {
            let changed = vec![Piece::Source(receiver), Piece::text(".notify_one()")];
            self.choose(at, Change::NotifyOne, changed);
        }
        match &*call.receiver {
            Expr::Field(field) => self.other_field(span(field), field),
            receiver => self.visit_expr(receiver),
        }
        call.args
            .iter()
            .for_each(|argument| self.visit_expr(argument));
    }
}

fn is_one(expression: &Expr) -> bool {
    let Expr::Lit(literal) = expression else {
        return false;
    };
    matches!(&literal.lit, Lit::Int(number) if number.base10_digits() == "1")
}

/// Whether a condition contains `let`.
fn has_let(condition: &Expr) -> bool {
    match condition {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Whether a block ends by leaving the function or the loop.
fn leaves(block: &syn::Block) -> bool {
    matches!(
        block.stmts.last(),
        Some(Stmt::Expr(
            Expr::Return(_) | Expr::Break(_) | Expr::Continue(_),
            _
        ))
    )
}
