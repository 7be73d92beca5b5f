#![doc = include_str!("../README.md")]

use proc_macro::TokenStream;
use quote::quote;
use syn::{
    parse::Parser, parse_macro_input, punctuated::Punctuated, DeriveInput, Expr, Token, Type,
};

/// Implements `guildmint_core::Wire`. Takes `#[wire(version = N, max_bytes = EXPR)]`.
#[proc_macro_derive(Wire, attributes(wire))]
pub fn derive_wire(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    wire(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Implements `guildmint_core::Row`. Takes `#[row(table = N, value = TYPE)]`, and `resident` if the whole table is held in
/// memory.
#[proc_macro_derive(Row, attributes(row))]
pub fn derive_row(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    row(&input)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

fn wire(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let options = Options::of(input, "wire")?;
    options.allow(&["version", "max_bytes"])?;
    let version = options.expression("version")?;
    let max_bytes = options.expression("max_bytes")?;
    let name = &input.ident;
    let (impl_generics, type_generics, where_clause) = input.generics.split_for_impl();
    Ok(quote! {
        impl #impl_generics ::guildmint_core::Wire for #name #type_generics #where_clause {
            const VERSION: u8 = #version;
            const MAX_BYTES: usize = #max_bytes;
        }
    })
}

fn row(input: &DeriveInput) -> syn::Result<proc_macro2::TokenStream> {
    let options = Options::of(input, "row")?;
    options.allow(&["table", "value", "resident"])?;
    let table = options.expression("table")?;
    let value = options.expression("value")?;
    let resident = options.flag("resident");
    let name = &input.ident;
    Ok(quote! {
        impl ::guildmint_core::Row for #name {
            type Value = #value;
            const TABLE: u8 = #table;
            const RESIDENT: bool = #resident;
        }
    })
}

/// The comma-separated options of the one helper attribute.
struct Options<'a> {
    input: &'a DeriveInput,
    attribute: &'static str,
    options: Vec<(String, Option<proc_macro2::TokenStream>)>,
}

impl<'a> Options<'a> {
    fn of(input: &'a DeriveInput, attribute: &'static str) -> syn::Result<Self> {
        let mut options = Vec::new();
        for found in input.attrs.iter().filter(|a| a.path().is_ident(attribute)) {
            let list = found.meta.require_list()?;
            let parser = Punctuated::<NamedOption, Token![,]>::parse_terminated;
            for option in parser.parse2(list.tokens.clone())? {
                options.push((option.name, option.value));
            }
        }
        Ok(Self {
            input,
            attribute,
            options,
        })
    }

    fn error(&self, message: String) -> syn::Error {
        syn::Error::new(self.input.ident.span(), message)
    }

    fn allow(&self, names: &[&str]) -> syn::Result<()> {
        match self
            .options
            .iter()
            .find(|(name, _)| !names.contains(&name.as_str()))
        {
            Some((name, _)) => {
                Err(self.error(format!("#[{}] has no option `{name}`", self.attribute)))
            }
            None => Ok(()),
        }
    }

    fn flag(&self, name: &str) -> bool {
        self.options.iter().any(|(found, _)| found == name)
    }

    fn expression(&self, name: &str) -> syn::Result<&proc_macro2::TokenStream> {
        self.options
            .iter()
            .find(|(found, _)| found == name)
            .and_then(|(_, value)| value.as_ref())
            .ok_or_else(|| self.error(format!("#[{}({name} = …)] is required", self.attribute)))
    }
}

/// `name` or `name = expression or type`.
struct NamedOption {
    name: String,
    value: Option<proc_macro2::TokenStream>,
}

impl syn::parse::Parse for NamedOption {
    fn parse(input: syn::parse::ParseStream<'_>) -> syn::Result<Self> {
        let name: syn::Ident = input.parse()?;
        let value = if input.parse::<Option<Token![=]>>()?.is_none() {
            None
        } else if name == "value" {
            let value: Type = input.parse()?;
            Some(quote!(#value))
        } else {
            let value: Expr = input.parse()?;
            Some(quote!(#value))
        };
        Ok(Self {
            name: name.to_string(),
            value,
        })
    }
}
