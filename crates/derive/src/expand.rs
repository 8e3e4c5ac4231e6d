//! The code that a derive macro generates.

use crate::input::{Field, Input};
use proc_macro2::TokenStream;
use quote::{format_ident, quote, quote_spanned};
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
    let at = format_ident!("at");
    let fields = input.fields.iter().enumerate();
    let values = fields
        .clone()
        .filter_map(|(index, field)| initial_value(index, field));
    let fields = fields.map(|(index, field)| init_field(index, field, &at));
    quote! {
        #identity

        #[automatically_derived]
        impl #impl_generics #ident #type_generics #where_clause {
            #(#values)*
        }

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

/// Returns code that initializes a field of the struct at the pointer `at`.
fn init_field(index: usize, field: &Field, at: &Ident) -> TokenStream {
    let Field {
        member,
        ty,
        initial,
    } = field;
    // The unsafe implementation requires that every field is `ShmSafe`. The bound of this function
    // makes the compiler check this requirement.
    let check = quote_spanned! { ty.span() => shm_safe_field::<#ty>(); };
    let place = quote!(&raw mut (*#at).#member);
    // The caller of `init_in_place` passes an aligned pointer that is valid for writes of the
    // struct, so the pointer to the field is aligned and valid for writes of the field.
    let write = match initial {
        Some(_) => {
            let function = initial_function(index);
            quote!(::interlatch::region::InitialValue::<#ty>::write_to(Self::#function(), #place))
        }
        None => quote!(<#ty as ::interlatch::region::ShmSafe>::init_in_place(#place)),
    };
    quote! { #check unsafe { #write }; }
}

/// Returns the function that evaluates the `initial` expression of a field, if there is one.
///
/// The function is safe, so the expression cannot call unsafe functions. `init_in_place` is an
/// unsafe function, whose body may call them.
fn initial_value(index: usize, field: &Field) -> Option<TokenStream> {
    let (ty, initial) = (field.ty, field.initial.as_ref()?);
    let function = initial_function(index);
    Some(quote_spanned! { initial.span() =>
        #[track_caller]
        fn #function() -> impl ::interlatch::region::InitialValue<#ty> {
            #initial
        }
    })
}

fn initial_function(index: usize) -> Ident {
    format_ident!("__shm_initial_{index}")
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
