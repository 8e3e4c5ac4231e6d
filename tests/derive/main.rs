//! Programs that use the derive macros. Programs that must not compile are in
//! `crates/derive/tests/compile_fail`.

mod robust_objects_without_unsafe;
mod struct_of_numbers;
