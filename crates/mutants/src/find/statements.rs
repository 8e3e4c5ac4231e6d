//! Mutants of statements: deletions and exchanges.

use super::{Finder, span};
use crate::edit::{Edit, Piece, Span};
use crate::mutant::Change;
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Expr, Local, Pat, Stmt};

/// The longest statement that is exchanged, in bytes. An exchange contains its statements twice.
const MAX_LENGTH: usize = 300;
/// The maximum number of consecutive statements in one edit.
const MAX_RUN: usize = 5;

impl Finder<'_> {
    /// Visits a block. The last expression has the value `()` if `is_unit`.
    pub(super) fn visit_body(&mut self, block: &syn::Block, is_unit: bool) {
        self.exchange(&block.stmts, is_unit);
        for (index, statement) in block.stmts.iter().enumerate() {
            let is_last = index + 1 == block.stmts.len();
            match statement {
                Stmt::Expr(expression, Some(_)) => self.visit_unit(expression),
                Stmt::Expr(expression, None) if !is_last || is_unit => self.visit_unit(expression),
                Stmt::Expr(expression, None) => self.visit_expr(expression),
                Stmt::Local(local) => self.visit_let(local),
                Stmt::Item(item) => self.visit_item(item),
                Stmt::Macro(_) => {}
            }
        }
    }

    fn visit_let(&mut self, local: &Local) {
        let Some(init) = &local.init else { return };
        if matches!(local.pat, Pat::Wild(_)) {
            self.delete(span(local));
        }
        self.visit_expr(&init.expr);
        if let Some((_, diverge)) = &init.diverge {
            self.visit_expr(diverge);
        }
    }

    /// Visits an expression whose value is not used.
    pub(super) fn visit_unit(&mut self, expression: &Expr) {
        match expression {
            Expr::If(conditional) => self.visit_conditional(conditional, true),
            Expr::Match(choice) => self.visit_match(choice, true),
            Expr::Block(block) => self.visit_body(&block.block, true),
            Expr::Unsafe(block) => self.visit_body(&block.block, true),
            Expr::Loop(repeat) => self.visit_body(&repeat.body, true),
            Expr::ForLoop(repeat) => {
                self.visit_expr(&repeat.expr);
                self.visit_body(&repeat.body, true);
            }
            Expr::While(repeat) => self.visit_loop(repeat),
            Expr::Call(_) | Expr::MethodCall(_) | Expr::Try(_) => {
                self.delete(span(expression));
                match expression {
                    Expr::MethodCall(_) => self.visit_expression(expression),
                    other => visit::visit_expr(self, other),
                }
            }
            other => self.visit_expr(other),
        }
    }

    /// Leaves out an expression with the value `()`, or a statement.
    pub(super) fn delete(&mut self, at: Span) {
        let Some(mutant) = self.add(Change::Delete, &at) else {
            return;
        };
        let pieces = vec![
            Piece::text("if !"),
            Piece::Switch(mutant),
            Piece::text(" { "),
            Piece::Source(at.clone()),
            Piece::text("; }"),
        ];
        self.replace(at, mutant, pieces);
    }

    /// Exchanges neighbours in a block.
    fn exchange(&mut self, statements: &[Stmt], is_unit: bool) {
        let mut rest = statements;
        while !rest.is_empty() {
            let is_movable = |(index, statement): &(usize, &Stmt)| {
                let is_last = index + 1 == rest.len();
                is_movable(statement, is_last && !is_unit)
            };
            let run = rest.iter().enumerate().take_while(is_movable).count();
            let run = run.min(MAX_RUN);
            self.exchange_run(&rest[..run]);
            rest = &rest[run.max(1)..];
        }
    }

    /// Exchanges neighbours in a row of statements that can be moved.
    fn exchange_run(&mut self, run: &[Stmt]) {
        let mut pairs = Vec::new();
        for (index, pair) in run.windows(2).enumerate() {
            if can_exchange(&pair[0], &pair[1])
                && let Some(mutant) = self.add(
                    Change::Exchange,
                    &(span(&pair[0]).start..span(&pair[1]).end),
                )
            {
                pairs.push((index, mutant));
            }
        }
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        if pairs.is_empty() {
            return;
        }
        let mut pieces: Vec<Piece> = run.iter().filter_map(declaration).collect();
        for &(index, mutant) in &pairs {
            let mut order: Vec<usize> = (0..run.len()).collect();
            order.swap(index, index + 1);
            let body = order.iter().flat_map(|&index| moved(&run[index])).collect();
            pieces.extend([
                Piece::text("if "),
                Piece::Switch(mutant),
                Piece::text(" { "),
            ]);
            pieces.extend([Piece::Of(mutant, body), Piece::text(" } else ")]);
        }
        pieces.push(Piece::text("{ "));
        pieces.extend(run.iter().flat_map(moved));
        pieces.push(Piece::text(" }"));
        let pieces = pairs.iter().fold(pieces, |pieces, (_, mutant)| {
            vec![Piece::Of(*mutant, pieces)]
        });
        let span = span(first).start..span(last).end;
        self.edits.push(Edit { span, pieces });
    }
}

/// Returns the declaration of a variable that is assigned later.
fn declaration(statement: &Stmt) -> Option<Piece> {
    let Stmt::Local(local) = statement else {
        return None;
    };
    Some(Piece::Text(format!("let {}; ", name_and_type(local)?)))
}

/// Returns `name` or `name: Type` of a `let` with a simple pattern.
fn name_and_type(local: &Local) -> Option<String> {
    let (pattern, of_type) = match &local.pat {
        Pat::Type(typed) => (&*typed.pat, Some(&*typed.ty)),
        pattern => (pattern, None),
    };
    let Pat::Ident(name) = pattern else {
        return None;
    };
    if name.by_ref.is_some() || name.subpat.is_some() {
        return None;
    }
    let mutable = name.mutability.map_or("", |_| "mut ");
    let of_type = of_type.and_then(|of_type| {
        let text = syn::spanned::Spanned::span(of_type).source_text()?;
        Some(format!(": {text}"))
    });
    Some(format!(
        "{mutable}{}{}",
        name.ident,
        of_type.unwrap_or_default()
    ))
}

/// Returns the name that a statement binds.
fn bound(statement: &Stmt) -> Option<String> {
    let Stmt::Local(local) = statement else {
        return None;
    };
    let text = name_and_type(local)?;
    let name = text.split(':').next()?.trim_start_matches("mut ");
    Some(name.to_owned())
}

/// Returns a statement in a row whose variables are declared before.
fn moved(statement: &Stmt) -> Vec<Piece> {
    match statement {
        Stmt::Local(local) => {
            let name = bound(statement).unwrap_or_default();
            let init = local.init.as_ref().map(|init| span(&*init.expr));
            let value = init.map_or(Piece::text(""), Piece::Source);
            vec![Piece::Text(format!("{name} = ")), value, Piece::text("; ")]
        }
        Stmt::Expr(_, None) => vec![Piece::Source(span(statement)), Piece::text("; ")],
        other => vec![Piece::Source(span(other)), Piece::text(" ")],
    }
}

/// Whether a statement can be moved. A value of a block cannot be moved.
fn is_movable(statement: &Stmt, is_value: bool) -> bool {
    if span(statement).len() > MAX_LENGTH {
        return false;
    }
    match statement {
        Stmt::Local(local) => {
            let init = local.init.as_ref();
            let has_value = init.is_some_and(|init| init.diverge.is_none());
            local.attrs.is_empty() && has_value && name_and_type(local).is_some()
        }
        Stmt::Expr(expression, semicolon) => {
            let is_simple = matches!(
                expression,
                Expr::Call(_)
                    | Expr::MethodCall(_)
                    | Expr::Try(_)
                    | Expr::Assign(_)
                    | Expr::Binary(_)
                    | Expr::If(_)
                    | Expr::Match(_)
                    | Expr::Unsafe(_)
            );
            is_simple && (semicolon.is_some() || !is_value)
        }
        Stmt::Item(_) | Stmt::Macro(_) => false,
    }
}

/// Whether two statements can be exchanged, and the order may matter.
fn can_exchange(first: &Stmt, second: &Stmt) -> bool {
    let uses = |statement: &Stmt, name: &Option<String>| {
        name.as_ref()
            .is_some_and(|name| mentions(tokens(statement), name))
    };
    let (one, two) = (bound(first), bound(second));
    let is_apart = !uses(second, &one) && !uses(first, &two) && (one.is_none() || one != two);
    is_apart && has_effect(first) && has_effect(second)
}

/// Returns the tokens of a statement, for a `let` only those of its value.
fn tokens(statement: &Stmt) -> TokenStream {
    let text = match statement {
        Stmt::Local(local) => local
            .init
            .as_ref()
            .and_then(|init| syn::spanned::Spanned::span(&init.expr).source_text()),
        other => syn::spanned::Spanned::span(other).source_text(),
    };
    text.unwrap_or_default().parse().unwrap_or_default()
}

fn mentions(tokens: TokenStream, name: &str) -> bool {
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => ident == name,
        TokenTree::Group(group) => mentions(group.stream(), name),
        _ => false,
    })
}

/// Whether a statement contains a call or an assignment.
fn has_effect(statement: &Stmt) -> bool {
    struct Effects(bool);
    impl<'ast> Visit<'ast> for Effects {
        fn visit_expr(&mut self, expression: &'ast Expr) {
            self.0 |= match expression {
                Expr::Call(_) | Expr::MethodCall(_) | Expr::Assign(_) | Expr::Macro(_) => true,
                Expr::Binary(binary) => matches!(
                    binary.op,
                    syn::BinOp::AddAssign(_)
                        | syn::BinOp::SubAssign(_)
                        | syn::BinOp::BitOrAssign(_)
                ),
                _ => false,
            };
            visit::visit_expr(self, expression);
        }
    }
    let mut effects = Effects(false);
    effects.visit_stmt(statement);
    effects.0
}
