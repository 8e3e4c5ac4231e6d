//! The code that a derive macro generates.

use crate::input::{Field, Input};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use std::collections::HashSet;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{GenericParam, Generics, Ident, Type, parse_quote};

/// Generates the implementation of `ShmType`.
pub fn shm_type(input: &Input) -> TokenStream {
    let Input { ident, name, .. } = input;
    let generics = bounded(input, &quote!(::interlatch::region::ShmType));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    let parameters = input.generics.params.iter().filter_map(parameter);
    let fields = input.fields.iter().map(|Field { member, ty, .. }| {
        let text = match member {
            syn::Member::Named(name) => name.to_string(),
            syn::Member::Unnamed(index) => index.index.to_string(),
        };
        quote_spanned! { ty.span() =>
            ::interlatch::region::FieldInfo::new::<#ty>(
                #text,
                ::core::mem::offset_of!(Self, #member),
            )
        }
    });
    quote! {
        #[automatically_derived]
        impl #impl_generics ::interlatch::region::ShmType for #ident #type_generics #where_clause {
            const TYPE: &'static ::interlatch::region::TypeInfo =
                &::interlatch::region::TypeInfo::new::<Self>(#name)
                    .with_parameters(&[#(#parameters),*])
                    .with_fields(&[#(#fields),*]);
        }
    }
}

/// Generates the implementations of `ShmSafe` and `ShmType`.
pub fn shm_safe(input: &Input) -> TokenStream {
    let ident = input.ident;
    let identity = shm_type(input);
    let generics = bounded(input, &quote!(::interlatch::region::ShmSafe));
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    // The user's expressions cannot name identifiers with this span.
    let at = Ident::new("at", Span::mixed_site());
    let value = Ident::new("value", Span::mixed_site());
    let fields = input.fields.iter().map(|field| {
        let Field {
            member,
            ty,
            initial,
        } = field;
        // The unsafe implementation requires that every field is `ShmSafe`. The bound of this
        // function makes the compiler check this requirement.
        let check = quote_spanned! { ty.span() => shm_safe_field::<#ty>(); };
        let write = match initial {
            // The expression is outside the unsafe block, so it cannot call unsafe functions.
            Some(initial) => quote! {
                let #value = #initial;
                // SAFETY: as below.
                unsafe {
                    ::interlatch::region::InitialValue::<#ty>::write_to(
                        #value,
                        &raw mut (*#at).#member,
                    )
                }
            },
            None => quote! {
                // SAFETY: the caller passes an aligned pointer that is valid for writes of the
                // struct, so a pointer to the field is aligned and valid for writes of the field.
                unsafe {
                    <#ty as ::interlatch::region::ShmSafe>::init_in_place(&raw mut (*#at).#member)
                }
            },
        };
        quote! { { #check #write } }
    });
    quote! {
        #identity

        // SAFETY: the derive has checked that the layout is that of C, and `shm_safe_field` checks
        // that every field is `ShmSafe`. So the struct is `ShmSafe`: it has no pointer, it is valid
        // for every bit pattern, and shared references change it only by changing its fields.
        #[automatically_derived]
        unsafe impl #impl_generics ::interlatch::region::ShmSafe for #ident #type_generics
        #where_clause
        {
            #[track_caller]
            unsafe fn init_in_place(#at: *mut Self) {
                fn shm_safe_field<T: ::interlatch::region::ShmSafe>() {}
                #(#fields)*
            }
        }
    }
}

/// Returns code that describes a generic parameter, or `None` if the parameter is a lifetime.
fn parameter(parameter: &GenericParam) -> Option<TokenStream> {
    match parameter {
        GenericParam::Type(ty) => {
            let (ident, text) = (&ty.ident, ty.ident.to_string());
            Some(quote!(::interlatch::region::Parameter::new_type::<#ident>(#text)))
        }
        GenericParam::Const(number) => {
            let (ident, text) = (&number.ident, number.ident.to_string());
            Some(quote!(::interlatch::region::Parameter::new_number(#text, #ident as u64)))
        }
        GenericParam::Lifetime(_) => None,
    }
}

/// Returns the struct's generics with the bounds that the implementation needs. Each type parameter
/// must implement `ShmType`. Each field whose type depends on a parameter must implement the trait
/// `needed`.
fn bounded(input: &Input, needed: &TokenStream) -> Generics {
    let mut generics = input.generics.clone();
    let types: Vec<Ident> = generics.type_params().map(|ty| ty.ident.clone()).collect();
    let names: HashSet<Ident> = types
        .iter()
        .cloned()
        .chain(generics.const_params().map(|number| number.ident.clone()))
        .collect();
    let dependent: Vec<&Type> = input
        .fields
        .iter()
        .map(|field| field.ty)
        .filter(|ty| mentions(ty, &names))
        .collect();
    let predicates = &mut generics.make_where_clause().predicates;
    predicates.extend(
        types
            .iter()
            .map(|ty| -> syn::WherePredicate { parse_quote!(#ty: ::interlatch::region::ShmType) }),
    );
    predicates.extend(
        dependent
            .iter()
            .map(|ty| -> syn::WherePredicate { parse_quote!(#ty: #needed) }),
    );
    generics
}

/// Returns whether a type mentions one of these parameters.
fn mentions(ty: &Type, names: &HashSet<Ident>) -> bool {
    struct Search<'a> {
        names: &'a HashSet<Ident>,
        found: bool,
    }
    impl Visit<'_> for Search<'_> {
        fn visit_ident(&mut self, ident: &Ident) {
            self.found |= self.names.contains(ident);
            visit::visit_ident(self, ident);
        }
    }
    let mut search = Search {
        names,
        found: false,
    };
    search.visit_type(ty);
    search.found
}
