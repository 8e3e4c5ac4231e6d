//! Finds the calls whose promises `ci/weaken` checks.
//!
//! These calls order memory, wake a waiter, or record a step for the kernel. A model that runs such
//! a call reports its line as a site. Inside a function with `#[track_caller]`, a call has no site:
//! the site is the line that calls the function.

use crate::find::{is_test, span, type_name};
use proc_macro2::Span;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use syn::visit::{self, Visit};
use syn::{Expr, ExprClosure, ExprMethodCall, ImplItemFn, ItemFn, ItemImpl, ItemMod, ItemTrait};

/// What identifies a call in every version of the source.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CallKey {
    /// The path of the file, relative to the root of the workspace.
    pub file: String,
    /// The function, with its type.
    pub function: String,
    /// The text of the call, with single spaces.
    pub source: String,
    /// Counts calls that are otherwise equal, from 0.
    #[serde(default)]
    pub occurrence: usize,
}

/// A call, and the line that the compiler records as its location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub line: usize,
    pub key: CallKey,
    /// Whether the call may wake several waiters.
    pub wakes_several: bool,
}

/// Calls that wake a waiter. The semaphores' `release` has an argument, and the `release` of a slot
/// has none: no thread sleeps until a slot is free.
const WAKES: [&str; 6] = [
    "notify",
    "notify_one",
    "notify_all",
    "wake",
    "wake_one",
    "release_at",
];
/// Steps of the running thread on its robust list.
const ROBUST_STEPS: [&str; 4] = ["set_pending", "clear_pending", "link", "unlink"];
/// Loads that order memory and do not say so in an argument.
const LOADS: [&str; 3] = [
    "load_after_light_barrier",
    "load_after_heavy_barrier",
    "load_latest_acquire",
];
/// Orderings that can be weakened.
const ORDERINGS: [&str; 4] = ["Acquire", "Release", "AcqRel", "SeqCst"];

/// Returns the calls of a file, in the order of their lines.
pub fn find(file: &str, text: &str) -> syn::Result<Vec<Call>> {
    let mut finder = Finder {
        file,
        text,
        function: Vec::new(),
        is_tracked: false,
        seen: HashMap::new(),
        calls: Vec::new(),
    };
    finder.visit_file(&syn::parse_file(text)?);
    finder.calls.sort_by_key(|call| call.line);
    Ok(finder.calls)
}

struct Finder<'a> {
    file: &'a str,
    text: &'a str,
    /// The names of the types and functions around the visited node.
    function: Vec<String>,
    /// Whether the compiler records the caller's line instead of the visited line.
    is_tracked: bool,
    seen: HashMap<CallKey, usize>,
    calls: Vec<Call>,
}

impl Finder<'_> {
    fn add(&mut self, call: &Expr, name: &str, location: Span) {
        let source = &self.text[span(call)];
        let mut key = CallKey {
            file: self.file.to_owned(),
            function: self.function.join("::"),
            source: source.split_whitespace().collect::<Vec<_>>().join(" "),
            occurrence: 0,
        };
        let seen = self.seen.entry(key.clone()).or_default();
        key.occurrence = *seen;
        *seen += 1;
        let line = location.start().line;
        let wakes_several = ["notify", "notify_all"].contains(&name);
        self.calls.push(Call {
            line,
            key,
            wakes_several,
        });
    }

    fn visit_function(&mut self, name: &syn::Ident, attributes: &[syn::Attribute], node: Node) {
        if is_test(attributes) {
            return;
        }
        self.function.push(name.to_string());
        let outer = std::mem::replace(&mut self.is_tracked, is_tracked(attributes));
        match node {
            Node::Free(item) => visit::visit_item_fn(self, item),
            Node::InImpl(item) => visit::visit_impl_item_fn(self, item),
            Node::InTrait(item) => visit::visit_trait_item_fn(self, item),
        }
        self.is_tracked = outer;
        self.function.pop();
    }

    /// Whether the function around a call only passes the call on to another implementation. The
    /// trait then has the attribute `#[track_caller]`.
    fn passes_on(&self, callee: &str) -> bool {
        self.function.last().is_some_and(|name| name == callee)
    }
}

enum Node<'a> {
    Free(&'a ItemFn),
    InImpl(&'a ImplItemFn),
    InTrait(&'a syn::TraitItemFn),
}

/// Whether the function has `#[track_caller]` in a build of the models.
fn is_tracked(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("track_caller"),
        syn::Meta::List(list) => {
            let condition = list.tokens.to_string();
            list.path.is_ident("cfg_attr") && condition == "loom , track_caller"
        }
        syn::Meta::NameValue(_) => false,
    })
}

/// Whether a method call has a site.
fn is_method_site(call: &ExprMethodCall) -> bool {
    let name = call.method.to_string();
    let is_owner = matches!(&*call.receiver, Expr::Path(path) if path.path.is_ident("owner"));
    let is_wake =
        WAKES.contains(&&*name) && name != "notify" || name == "release" && !call.args.is_empty();
    is_wake || is_owner && ROBUST_STEPS.contains(&&*name) || call.args.iter().any(is_ordering)
}

fn is_ordering(argument: &Expr) -> bool {
    last_name(argument).is_some_and(|name| ORDERINGS.contains(&&*name))
}

/// Returns the last name of a path.
fn last_name(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Path(path) => path.path.segments.last().map(|last| last.ident.to_string()),
        _ => None,
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr(&mut self, expression: &'ast Expr) {
        let site = match expression {
            Expr::MethodCall(call) if is_method_site(call) => {
                Some((call.method.to_string(), call.method.span()))
            }
            Expr::Call(call) => last_name(&call.func)
                .filter(|name| {
                    WAKES.contains(&&**name) || LOADS.contains(&&**name) || name == "release"
                })
                .map(|name| (name, syn::spanned::Spanned::span(expression))),
            _ => None,
        };
        if let Some((name, location)) = site
            && !self.is_tracked
            && !self.passes_on(&name)
        {
            self.add(expression, &name, location);
        }
        visit::visit_expr(self, expression);
    }

    /// The attribute of a function does not apply to the closures in it.
    fn visit_expr_closure(&mut self, closure: &'ast ExprClosure) {
        let outer = std::mem::replace(&mut self.is_tracked, false);
        visit::visit_expr_closure(self, closure);
        self.is_tracked = outer;
    }

    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_impl(&mut self, item: &'ast ItemImpl) {
        self.function.push(type_name(&item.self_ty));
        visit::visit_item_impl(self, item);
        self.function.pop();
    }

    fn visit_item_trait(&mut self, item: &'ast ItemTrait) {
        self.function.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
        self.function.pop();
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        self.visit_function(&item.sig.ident, &item.attrs, Node::Free(item));
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        self.visit_function(&item.sig.ident, &item.attrs, Node::InImpl(item));
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.visit_function(&item.sig.ident, &item.attrs, Node::InTrait(item));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the line, function and text of each call.
    fn found(text: &str) -> Vec<(usize, String, String)> {
        let calls = find("src/f.rs", text).expect("valid source");
        let parts = |call: Call| (call.line, call.key.function, call.key.source);
        calls.into_iter().map(parts).collect()
    }

    #[test]
    fn each_kind_of_call_is_found() {
        let calls = [
            "a.notify_all()",
            "notify(&a, 2)",
            "futex::wake(&a, 1)",
            "a.release(1)",
            "a.load(Ordering::Acquire)",
            "a.compare_exchange(0, 1, Release, Relaxed)",
            "owner.link(&a)",
            "asymmetric::load_after_light_barrier(&a)",
        ];
        for call in calls {
            let text = format!("impl A {{ fn f(&self) {{ {call}; }} }}");
            assert_eq!(found(&text), [(1, "A::f".into(), call.into())]);
        }
    }

    #[test]
    fn other_calls_are_not_found() {
        for call in [
            "a.load(Relaxed)",
            "slot.release()",
            "list.link(&a)",
            "a.notify(1)",
        ] {
            let text = format!("fn f() {{ {call}; }}");
            assert_eq!(found(&text), [], "{call}");
        }
        assert_eq!(
            found("#[cfg(test)] mod tests { fn f() { a.notify_one(); } }"),
            []
        );
    }

    #[test]
    fn line_is_that_of_the_method() {
        let text = "fn f() {\n    a\n        .b\n        .swap(1, Release);\n}";
        assert_eq!(found(text)[0].0, 4);
    }

    #[test]
    fn tracked_function_has_no_sites() {
        for attribute in ["track_caller", "cfg_attr(loom, track_caller)"] {
            let text = format!("#[{attribute}] fn f() {{ a.wake(1); }}");
            assert_eq!(found(&text), []);
        }
        let debug = "#[cfg_attr(debug_assertions, track_caller)] fn f() { a.wake(1); }";
        assert_eq!(found(debug).len(), 1);
        let closure = "#[track_caller] fn f() { let g = || a.swap(1, Release); g() }";
        assert_eq!(found(closure).len(), 1);
        assert_eq!(
            found("impl A for B { fn release(&self) { self.release(1) } }"),
            []
        );
    }

    #[test]
    fn call_that_may_wake_several_waiters_says_so() {
        let text = "fn f() { a.notify_one(); b.notify_all(); notify(&c, 2); d.release(2); }";
        let calls = find("src/f.rs", text).expect("valid source");
        let several = calls.iter().map(|call| call.wakes_several);
        assert_eq!(several.collect::<Vec<_>>(), [false, true, true, false]);
    }

    #[test]
    fn equal_calls_are_numbered() {
        let calls = find("src/f.rs", "fn f() {\na.notify_one();\na.notify_one();\n}");
        let calls = calls.expect("valid source");
        let numbers = calls.iter().map(|call| (call.line, call.key.occurrence));
        assert_eq!(numbers.collect::<Vec<_>>(), [(2, 0), (3, 1)]);
    }
}
