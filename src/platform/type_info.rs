//! Type identity: descriptions that let processes compare their declarations of a type.

use super::{AtomicU32, AtomicU64, AtomicUsize, ShmSafe};
use core::alloc::Layout;
use core::fmt;
use core::marker::PhantomData;

/// A type with an identity that is the same in every program.
///
/// Processes that share an object may run different programs. Each program compiles its own
/// declaration of the object's type. So a region records the identity of the type when an object is
/// created, and compares identities when a process attaches.
///
/// Derive `ShmType` for items, which are [`Pod`](super::Pod):
///
/// ```
/// use interlatch::ShmType;
/// use zerocopy::{FromBytes, Immutable, IntoBytes};
///
/// #[repr(C)]
/// #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, ShmType)]
/// struct Measurement {
///     at: u64,
///     value: f64,
/// }
/// assert_eq!(Measurement::TYPE.layout_text(), "Measurement { at: u64 at 0, value: f64 at 8 }");
/// ```
///
/// Integers, floating-point numbers, arrays and the types of this crate have an identity.
/// [`#[derive(ShmSafe)]`](derive@crate::ShmSafe) also derives an identity. The name in the identity
/// is the name of the declaration, without its modules. The attribute `#[shm(name =
/// "Measurement")]` sets another name.
///
/// # How it works
/// [`TYPE`](Self::TYPE) describes the name, size, alignment, generic parameters, and the name,
/// offset and type of each field. The [fingerprint](TypeInfo::fingerprint) is a hash of all these
/// facts. Two structs that differ in the order of their fields, or in the type of a field, have
/// different fingerprints, even if their names, sizes and alignments are equal.
///
/// The trait is safe to implement, because no unsafe code relies on it. An object in shared memory
/// is valid for every bit pattern, so a wrong identity leads to wrong values, but not to undefined
/// behavior.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no identity that other processes can compare",
    label = "the trait `ShmType` is not implemented for `{Self}`",
    note = "add `#[derive(interlatch::ShmType)]` to the declaration of an item, or `#[derive(interlatch::ShmSafe)]` to that of an object",
    note = "for a type of another crate, declare a `#[repr(transparent)]` struct around it"
)]
pub trait ShmType: 'static {
    /// The description of the implementing type.
    const TYPE: &'static TypeInfo;
}

/// The description of a type.
///
/// The derive macros generate this description. [`ShmType`] explains the purpose of the
/// description.
///
/// # Example
/// ```
/// use interlatch::region::ShmType;
///
/// let array = <[u64; 3]>::TYPE;
/// assert_eq!((array.to_string(), array.size()), ("[u64; 3]".to_owned(), Some(24)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct TypeInfo {
    origin: Origin,
    name: &'static str,
    layout: Option<Layout>,
    parameters: &'static [Parameter],
    fields: &'static [FieldInfo],
}

/// Where a type is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// In Rust itself.
    Language,
    /// In this crate, which the version of the region format identifies.
    Crate,
    /// In any other crate. The identity does not name that crate, because two programs may declare
    /// the same type in different crates.
    Other,
}

/// A generic parameter of a type.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    name: &'static str,
    value: ParameterValue,
}

/// The value of a generic parameter.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum ParameterValue {
    /// A type.
    Type(&'static TypeInfo),
    /// A number.
    Number(u64),
}

/// A field of a struct.
#[derive(Clone, Copy, Debug)]
pub struct FieldInfo {
    name: &'static str,
    offset: usize,
    field_type: &'static TypeInfo,
}

impl TypeInfo {
    /// Describes a sized type without parameters or fields.
    pub const fn new<T>(name: &'static str) -> Self {
        Self {
            origin: Origin::Other,
            name,
            layout: Some(Layout::new::<T>()),
            parameters: &[],
            fields: &[],
        }
    }

    /// Describes a type whose size depends on the configuration of the object.
    pub const fn new_unsized(name: &'static str) -> Self {
        Self {
            origin: Origin::Other,
            name,
            layout: None,
            parameters: &[],
            fields: &[],
        }
    }

    /// Sets the generic parameters, in the order of the declaration.
    #[must_use]
    pub const fn with_parameters(self, parameters: &'static [Parameter]) -> Self {
        Self { parameters, ..self }
    }

    /// Sets the fields, in the order of the declaration.
    #[must_use]
    pub const fn with_fields(self, fields: &'static [FieldInfo]) -> Self {
        Self { fields, ..self }
    }

    /// Marks a type of this crate.
    #[must_use]
    pub(crate) const fn of_this_crate(self) -> Self {
        let origin = Origin::Crate;
        Self { origin, ..self }
    }

    const fn of_the_language(self) -> Self {
        let origin = Origin::Language;
        Self { origin, ..self }
    }

    /// The name of the declaration, without parameters.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the size in bytes, or `None` if it depends on the configuration of the object.
    pub const fn size(&self) -> Option<usize> {
        match self.layout {
            Some(layout) => Some(layout.size()),
            None => None,
        }
    }

    /// Returns the alignment in bytes, or `None` if the size depends on the configuration of the
    /// object.
    pub const fn align(&self) -> Option<usize> {
        match self.layout {
            Some(layout) => Some(layout.align()),
            None => None,
        }
    }

    /// The generic parameters.
    pub const fn parameters(&self) -> &'static [Parameter] {
        self.parameters
    }

    /// Returns the fields. The slice is empty for a type of this crate or of the language.
    pub const fn fields(&self) -> &'static [FieldInfo] {
        self.fields
    }

    /// Returns the value of the parameter with this name, if the value is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        let mut parameters = self.parameters.iter();
        match parameters.find(|parameter| parameter.name == name)?.value {
            ParameterValue::Number(number) => Some(number),
            ParameterValue::Type(_) => None,
        }
    }

    /// Returns a number that identifies the declaration, regardless of its parameters.
    ///
    /// The number is equal for `RingBuffer<u32>` and `RingBuffer<u64>`, and different for a
    /// `RingBuffer` of another crate.
    pub const fn declaration(&self) -> u64 {
        Fnv::new()
            .with_number(self.origin as u64)
            .with_text(self.name)
            .0
    }

    /// Returns a hash of everything that the description contains.
    pub const fn fingerprint(&self) -> u64 {
        let mut hash = Fnv::new().with_number(self.declaration());
        hash = match self.layout {
            Some(layout) => hash
                .with_number(layout.size() as u64)
                .with_number(layout.align() as u64),
            None => hash,
        };
        hash = hash.with_number(self.parameters.len() as u64);
        let mut index = 0;
        while index < self.parameters.len() {
            hash = match self.parameters[index].value {
                ParameterValue::Type(parameter) => {
                    hash.with_number(0).with_number(parameter.fingerprint())
                }
                ParameterValue::Number(number) => hash.with_number(1).with_number(number),
            };
            index += 1;
        }
        hash = hash.with_number(self.fields.len() as u64);
        let mut index = 0;
        while index < self.fields.len() {
            let field = &self.fields[index];
            hash = hash
                .with_text(field.name)
                .with_number(field.offset as u64)
                .with_number(field.field_type.fingerprint());
            index += 1;
        }
        hash.0
    }

    /// Returns the layout as text: the fields of a struct with their types and offsets.
    pub fn layout_text(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _ = self.write_layout(&mut text);
        text
    }

    fn write_layout(&self, text: &mut dyn fmt::Write) -> fmt::Result {
        self.write_name(text, &Self::write_layout)?;
        for (index, field) in self.fields.iter().enumerate() {
            text.write_str(if index == 0 { " { " } else { ", " })?;
            write!(text, "{}: ", field.name)?;
            field.field_type.write_layout(text)?;
            write!(text, " at {}", field.offset)?;
        }
        match self.fields {
            [] => Ok(()),
            _ => text.write_str(" }"),
        }
    }

    /// Writes the type's name with its parameters. The function calls `write_type` for each
    /// parameter that is a type.
    fn write_name(
        &self,
        text: &mut dyn fmt::Write,
        write_type: &dyn Fn(&Self, &mut dyn fmt::Write) -> fmt::Result,
    ) -> fmt::Result {
        if let (Origin::Language, [Parameter { value, .. }, rest @ ..]) =
            (self.origin, self.parameters)
        {
            text.write_str("[")?;
            value.write(text, write_type)?;
            for length in rest {
                text.write_str("; ")?;
                length.value.write(text, write_type)?;
            }
            return text.write_str("]");
        }
        text.write_str(self.name)?;
        for (index, Parameter { name, value }) in self.parameters.iter().enumerate() {
            text.write_str(if index == 0 { "<" } else { ", " })?;
            if let ParameterValue::Number(_) = value {
                write!(text, "{name} = ")?;
            }
            value.write(text, write_type)?;
        }
        match self.parameters {
            [] => Ok(()),
            _ => text.write_str(">"),
        }
    }
}

impl fmt::Display for TypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_name(f, &|parameter, text| write!(text, "{parameter}"))
    }
}

impl Parameter {
    /// A type parameter.
    pub const fn new_type<T: ShmType + ?Sized>(name: &'static str) -> Self {
        let value = ParameterValue::Type(T::TYPE);
        Self { name, value }
    }

    /// A `const` parameter.
    pub const fn new_number(name: &'static str, number: u64) -> Self {
        let value = ParameterValue::Number(number);
        Self { name, value }
    }

    /// The name of the parameter in the declaration.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The value.
    pub const fn value(&self) -> ParameterValue {
        self.value
    }
}

impl ParameterValue {
    fn write(
        &self,
        text: &mut dyn fmt::Write,
        write_type: &dyn Fn(&TypeInfo, &mut dyn fmt::Write) -> fmt::Result,
    ) -> fmt::Result {
        match self {
            Self::Type(parameter) => write_type(parameter, text),
            Self::Number(number) => write!(text, "{number}"),
        }
    }
}

impl FieldInfo {
    /// Describes a field of type `T`.
    pub const fn new<T: ShmType>(name: &'static str, offset: usize) -> Self {
        let field_type = T::TYPE;
        Self {
            name,
            offset,
            field_type,
        }
    }

    /// The name of the field, or its index in a tuple struct.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the offset in bytes from the start of the struct.
    pub const fn offset(&self) -> usize {
        self.offset
    }

    /// The type.
    pub const fn field_type(&self) -> &'static TypeInfo {
        self.field_type
    }
}

/// The FNV-1a hash of Fowler, Noll and Vo, which has the same result in every program.
#[derive(Clone, Copy)]
struct Fnv(u64);

impl Fnv {
    const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    const fn with_byte(self, byte: u8) -> Self {
        Self((self.0 ^ byte as u64).wrapping_mul(0x0100_0000_01b3))
    }

    const fn with_number(mut self, number: u64) -> Self {
        let bytes = number.to_le_bytes();
        let mut index = 0;
        while index < bytes.len() {
            self = self.with_byte(bytes[index]);
            index += 1;
        }
        self
    }

    /// Hashes the length of the text and then the text, so that the text cannot run into later
    /// input.
    const fn with_text(mut self, text: &str) -> Self {
        self = self.with_number(text.len() as u64);
        let mut index = 0;
        while index < text.len() {
            self = self.with_byte(text.as_bytes()[index]);
            index += 1;
        }
        self
    }
}

/// Implements `ShmType` for the number types, which differ only in their names.
macro_rules! numbers {
    ($($number:ident),*) => {
        $(impl ShmType for $number {
            const TYPE: &'static TypeInfo =
                &TypeInfo::new::<Self>(stringify!($number)).of_the_language();
        })*
    };
}
numbers!(
    u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64
);

impl ShmType for () {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("()").of_the_language();
}

impl<T: ShmType, const N: usize> ShmType for [T; N] {
    const TYPE: &'static TypeInfo = &TypeInfo::new::<Self>("array")
        .of_the_language()
        .with_parameters(&[
            Parameter::new_type::<T>("T"),
            Parameter::new_number("N", N as u64),
        ]);
}

impl<T: ShmType> ShmType for [T] {
    const TYPE: &'static TypeInfo = &TypeInfo::new_unsized("slice")
        .of_the_language()
        .with_parameters(&[Parameter::new_type::<T>("T")]);
}

impl<T: ShmType + ?Sized> ShmType for PhantomData<T> {
    const TYPE: &'static TypeInfo =
        &TypeInfo::new::<Self>("PhantomData").with_parameters(&[Parameter::new_type::<T>("T")]);
}

/// Implements the traits for the atomic words, which differ only in their names and constructors.
macro_rules! atomics {
    ($($word:ident),*) => {
        $(
        impl ShmType for $word {
            const TYPE: &'static TypeInfo =
                &TypeInfo::new::<Self>(stringify!($word)).of_the_language();
        }

        // SAFETY: an atomic word has no pointer and is valid for every bit pattern.
        unsafe impl ShmSafe for $word {
            #[track_caller]
            unsafe fn init_in_place(at: *mut Self) {
                // SAFETY: the caller passes an aligned `at` that is valid for writes of a word.
                unsafe { at.write(Self::new(0)) }
            }
        }
        )*
    };
}
atomics!(AtomicU32, AtomicU64, AtomicUsize);

#[cfg(test)]
mod tests {
    use super::*;

    mod one {
        #[repr(C)]
        #[derive(interlatch::ShmType)]
        pub struct Named {
            a: u64,
            b: u64,
        }
    }

    mod swapped {
        #[repr(C)]
        #[derive(interlatch::ShmType)]
        pub struct Named {
            b: u64,
            a: u64,
        }
    }

    #[test]
    fn names_are_written_as_in_rust() {
        assert_eq!(u64::TYPE.to_string(), "u64");
        assert_eq!(<[[u8; 3]; 2]>::TYPE.to_string(), "[[u8; 3]; 2]");
        assert_eq!(<[f32]>::TYPE.to_string(), "[f32]");
        assert_eq!(<PhantomData<()>>::TYPE.to_string(), "PhantomData<()>");
        assert_eq!(
            <[one::Named; 2]>::TYPE.layout_text(),
            "[Named { a: u64 at 0, b: u64 at 8 }; 2]"
        );
    }

    #[test]
    fn fingerprint_covers_names_offsets_and_types_of_fields() {
        assert_eq!(
            swapped::Named::TYPE.declaration(),
            one::Named::TYPE.declaration()
        );
        assert_ne!(
            swapped::Named::TYPE.fingerprint(),
            one::Named::TYPE.fingerprint()
        );
        assert_ne!(
            <[swapped::Named; 2]>::TYPE.fingerprint(),
            <[one::Named; 2]>::TYPE.fingerprint()
        );
        assert_ne!(
            <[u32; 2]>::TYPE.fingerprint(),
            <[u32; 3]>::TYPE.fingerprint()
        );
        assert_ne!(u32::TYPE.fingerprint(), f32::TYPE.fingerprint());
    }

    #[test]
    fn fingerprint_is_the_same_in_every_build() {
        const U64: u64 = u64::TYPE.fingerprint();
        assert_eq!(U64, u64::TYPE.fingerprint());
        assert_eq!(Fnv::new().with_byte(b'a').0, 0xaf63_dc4c_8601_ec8c);
    }
}
