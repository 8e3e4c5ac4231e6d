//! Finds the mutants of a source file.

mod expressions;
mod statements;

use crate::edit::{Edit, Piece, Span};
use crate::mutant::{Change, Key, Mutant};
use std::collections::HashMap;
use syn::spanned::Spanned;
use syn::visit::Visit;

/// A source file with its mutants, and the edits that build them all.
pub struct Found {
    /// The path of the file, relative to the root of the workspace.
    pub file: String,
    /// The text of the file.
    pub text: String,
    /// The mutants, in the order of their numbers.
    pub mutants: Vec<Mutant>,
    /// The edits.
    pub edits: Vec<Edit>,
}

/// Finds the mutants of a file.
///
/// The numbers of the mutants begin at `first`. Keys in `left_out` get no switch.
pub fn find(
    file: &str,
    text: String,
    first: usize,
    left_out: &dyn Fn(&Key) -> bool,
) -> syn::Result<Found> {
    let parsed = syn::parse_file(&text)?;
    let mut finder = Finder {
        file,
        text: &text,
        first,
        left_out,
        function: Vec::new(),
        seen: HashMap::new(),
        mutants: Vec::new(),
        edits: Vec::new(),
    };
    finder.visit_file(&parsed);
    let (mutants, mut edits) = (finder.mutants, finder.edits);
    crate::edit::sort(&mut edits);
    Ok(Found {
        file: file.to_owned(),
        text,
        mutants,
        edits,
    })
}

struct Finder<'a> {
    file: &'a str,
    text: &'a str,
    first: usize,
    left_out: &'a dyn Fn(&Key) -> bool,
    /// The names of the types and functions around the visited node.
    function: Vec<String>,
    /// How many equal keys there have been.
    seen: HashMap<Key, usize>,
    mutants: Vec<Mutant>,
    edits: Vec<Edit>,
}

/// Returns the range of a syntax node.
pub fn span(node: &impl Spanned) -> Span {
    node.span().byte_range()
}

impl Finder<'_> {
    /// Adds a mutant of a range. Returns its number, or `None` if it is left out.
    fn add(&mut self, change: Change, at: &Span) -> Option<usize> {
        let words: Vec<&str> = self.text[at.clone()]
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .flat_map(str::split_whitespace)
            .collect();
        let mut key = Key {
            file: self.file.to_owned(),
            function: self.function.join("::"),
            change,
            source: words.join(" "),
            occurrence: 0,
        };
        let seen = self.seen.entry(key.clone()).or_default();
        key.occurrence = *seen;
        *seen += 1;
        if (self.left_out)(&key) {
            return None;
        }
        let number = self.first + self.mutants.len();
        let line = self.text[..at.start].matches('\n').count() + 1;
        self.mutants.push(Mutant { number, line, key });
        Some(number)
    }

    /// Replaces a range by these pieces, which belong to the mutant.
    fn replace(&mut self, at: Span, mutant: usize, pieces: Vec<Piece>) {
        let pieces = vec![Piece::Of(mutant, pieces)];
        self.edits.push(Edit { span: at, pieces });
    }

    /// Replaces an expression by a choice: `changed` if the mutant is active, else the expression.
    fn choose(&mut self, at: Span, change: Change, changed: Vec<Piece>) {
        let Some(mutant) = self.add(change, &at) else {
            return;
        };
        let begin = vec![
            Piece::text("(if "),
            Piece::Switch(mutant),
            Piece::text(" { "),
        ];
        let end = vec![
            Piece::text(" } else { "),
            Piece::Source(at.clone()),
            Piece::text(" })"),
        ];
        self.replace(at, mutant, [begin, changed, end].concat());
    }

    /// Visits the body of a function, if the mutants can have switches in it.
    fn visit_function(&mut self, signature: &syn::Signature, body: &syn::Block) {
        if signature.constness.is_some() {
            return; // a switch is not const
        }
        self.function.push(signature.ident.to_string());
        let is_unit = matches!(signature.output, syn::ReturnType::Default);
        if let syn::ReturnType::Type(_, output) = &signature.output
            && matches!(&**output, syn::Type::Path(path) if path.path.is_ident("bool"))
        {
            self.return_constants(signature, body);
        }
        self.visit_body(body, is_unit);
        self.function.pop();
    }

    /// Makes a function that returns a bool return a constant.
    fn return_constants(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let begin = body.brace_token.span.open().byte_range().end;
        let name = span(&signature.ident);
        let mut pieces = Vec::new();
        for (change, value) in [(Change::ReturnTrue, "true"), (Change::ReturnFalse, "false")] {
            let Some(mutant) = self.add(change, &name) else {
                continue;
            };
            let begin = [Piece::text("if "), Piece::Switch(mutant)];
            let end = Piece::Text(format!(" {{ return {value}; }}"));
            pieces.push(Piece::Of(mutant, begin.into_iter().chain([end]).collect()));
        }
        // Of two edits of one empty range, the second would be inside the first and get lost.
        self.edits.push(Edit {
            span: begin..begin,
            pieces,
        });
    }
}

/// Returns the name of a type without its path and parameters.
pub fn type_name(of: &syn::Type) -> String {
    let name = match of {
        syn::Type::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    };
    name.unwrap_or_else(|| "_".into())
}

/// Whether an item is only for tests.
pub fn is_test(attributes: &[syn::Attribute]) -> bool {
    let is_test = |attribute: &syn::Attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && matches!(&*list.tokens.to_string(), "test" | "doctest")
        }
        syn::Meta::NameValue(_) => false,
    };
    attributes.iter().any(is_test)
}

/// Whether a trait is about printing, in which no promise lies.
fn is_printing(trait_path: &syn::Path) -> bool {
    let last = trait_path.segments.last();
    last.is_some_and(|last| ["Debug", "Display", "Error"].contains(&&*last.ident.to_string()))
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        if let Some((_, path, _)) = &item.trait_
            && is_printing(path)
        {
            return;
        }
        self.function.push(type_name(&item.self_ty));
        syn::visit::visit_item_impl(self, item);
        self.function.pop();
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.function.push(item.ident.to_string());
        syn::visit::visit_item_trait(self, item);
        self.function.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.visit_function(&item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_test(&item.attrs) {
            self.visit_function(&item.sig, &item.block);
        }
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.visit_function(&item.sig, body);
        }
    }

    fn visit_expr(&mut self, expression: &'ast syn::Expr) {
        self.visit_expression(expression);
    }

    fn visit_block(&mut self, block: &'ast syn::Block) {
        self.visit_body(block, false);
    }

    // Nothing in these can have a switch: their values are constants.
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_trait_item_const(&mut self, _: &'ast syn::TraitItemConst) {}
    fn visit_item_enum(&mut self, _: &'ast syn::ItemEnum) {}
    fn visit_item_struct(&mut self, _: &'ast syn::ItemStruct) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_path(&mut self, _: &'ast syn::Path) {}
    fn visit_macro(&mut self, _: &'ast syn::Macro) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_constants_have_a_switch() {
        let text = "fn f() -> bool { g() }".to_owned();
        let found = find("src/f.rs", text, 1, &|_| false).expect("valid source");
        let rendered = crate::edit::render(&found.text, 0..found.text.len(), &found.edits);
        for value in ["return true;", "return false;"] {
            assert!(rendered.contains(value), "{rendered}");
        }
    }
}
