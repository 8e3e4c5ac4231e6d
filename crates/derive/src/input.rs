//! The input that a derive macro accepts: structs with a layout that the language defines.

use syn::punctuated::Punctuated;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, Fields, Generics, Ident, LitStr, Member, Meta,
    Result, Token, Type,
};

/// A struct that has passed the checks of the derive macro.
pub struct Input<'a> {
    pub ident: &'a Ident,
    pub generics: &'a Generics,
    /// The name of the type in its `ShmType` description.
    pub name: String,
    pub fields: Vec<Field<'a>>,
}

/// A field of a struct.
pub struct Field<'a> {
    pub member: Member,
    pub ty: &'a Type,
    /// The value of `#[shm(initial = ...)]`.
    pub initial: Option<Expr>,
}

impl<'a> Input<'a> {
    /// Checks whether the trait named `derive` can be derived for the struct.
    pub fn parse(input: &'a DeriveInput, derive: &str) -> Result<Self> {
        let fields = fields_of(input, derive)?;
        check_repr(input, derive)?;
        let name = options(&input.attrs)?.name;
        let name = name.map_or_else(|| input.ident.to_string(), |name| name.value());
        let fields = fields.iter().zip(fields.members()).map(|(field, member)| {
            let initial = options(&field.attrs)?.initial;
            Ok(Field {
                member,
                ty: &field.ty,
                initial,
            })
        });
        Ok(Self {
            ident: &input.ident,
            generics: &input.generics,
            name,
            fields: fields.collect::<Result<_>>()?,
        })
    }
}

fn fields_of<'a>(input: &'a DeriveInput, derive: &str) -> Result<&'a Fields> {
    match &input.data {
        Data::Struct(data) => Ok(&data.fields),
        Data::Enum(_) => Err(Error::new_spanned(
            &input.ident,
            format!(
                "`{derive}` cannot be derived for an enum: a peer may write a value that is none of \
                 its variants. Store its number in an integer field, and convert it with `TryFrom` \
                 where it is read"
            ),
        )),
        Data::Union(_) => Err(Error::new_spanned(
            &input.ident,
            format!("`{derive}` cannot be derived for a union: use a struct"),
        )),
    }
}

/// Checks that the struct has a suitable `repr` attribute. Without such an attribute, the compiler
/// chooses the order of the fields, which may differ between programs.
fn check_repr(input: &DeriveInput, derive: &str) -> Result<()> {
    let (mut is_defined, mut is_packed) = (false, false);
    for attribute in input.attrs.iter().filter(|it| it.path().is_ident("repr")) {
        let words = attribute.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated)?;
        is_defined |= words
            .iter()
            .any(|word| word.path().is_ident("C") || word.path().is_ident("transparent"));
        is_packed |= words.iter().any(|word| word.path().is_ident("packed"));
    }
    if is_packed && derive == "ShmSafe" {
        return Err(Error::new_spanned(
            &input.ident,
            "`ShmSafe` cannot be derived for a packed struct: its locks would not be aligned. \
             Remove `packed` from the `repr` attribute",
        ));
    }
    match is_defined {
        true => Ok(()),
        false => Err(Error::new_spanned(
            &input.ident,
            format!(
                "`{derive}` needs a layout that is the same in every program: add `#[repr(C)]` to \
                 `{}`",
                input.ident
            ),
        )),
    }
}

/// The options in `#[shm(...)]`.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    initial: Option<Expr>,
}

fn options(attributes: &[Attribute]) -> Result<Options> {
    let mut options = Options::default();
    for attribute in attributes.iter().filter(|it| it.path().is_ident("shm")) {
        attribute.parse_nested_meta(|meta| {
            if meta.path.is_ident("name") {
                options.name = Some(meta.value()?.parse()?);
            } else if meta.path.is_ident("initial") {
                options.initial = Some(meta.value()?.parse()?);
            } else {
                return Err(meta
                    .error("expected `name = \"...\"` at a struct or `initial = ...` at a field"));
            }
            Ok(())
        })?;
    }
    Ok(options)
}
