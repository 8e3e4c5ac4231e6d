//! The derive macros of `interlatch`. Use them as `interlatch::ShmSafe` and `interlatch::ShmType`.
//! The documentation of these traits explains what the traits promise.

mod expand;
mod input;

use input::Input;
use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

/// Implements `ShmType`: the identity of a type, which processes use to compare declarations.
///
/// The struct needs `#[repr(C)]`, `#[repr(transparent)]` or `#[repr(C, packed)]`, and every field
/// must implement `ShmType`. The identity contains the name of the struct. `#[shm(name = "Order")]`
/// sets another name. Set this name if two programs declare the same type under different names.
#[proc_macro_derive(ShmType, attributes(shm))]
pub fn derive_shm_type(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    let expanded = Input::parse(&input, "ShmType").map(|input| expand::shm_type(&input));
    expanded
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `ShmSafe` and `ShmType` for a struct whose fields are all `ShmSafe`.
///
/// The struct needs `#[repr(C)]` or `#[repr(transparent)]`. The struct's initial value consists of
/// the initial values of its fields. `#[shm(initial = Semaphore::binary())]` on a field gives the
/// field another initial value. The expression is a value of the field's type, or the `Static` that
/// the constructor of a robust type returns.
#[proc_macro_derive(ShmSafe, attributes(shm))]
pub fn derive_shm_safe(tokens: TokenStream) -> TokenStream {
    let input = parse_macro_input!(tokens as DeriveInput);
    let expanded = Input::parse(&input, "ShmSafe").map(|input| expand::shm_safe(&input));
    expanded
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
