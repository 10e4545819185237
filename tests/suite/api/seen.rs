//! What an app sees of an item: no bodies, documentation or private fields.

use syn::{
    Attribute, Expr, Field, Fields, FnArg, ImplItem, Item, ItemImpl, Meta, TraitItem, Visibility,
    parse_quote,
};

/// Attributes that an app can notice.
const NOTICED: [&str; 7] = [
    "serde",
    "cfg",
    "deprecated",
    "derive",
    "must_use",
    "non_exhaustive",
    "repr",
];

/// Whether something is for tests, fuzzing or our benches alone.
pub(super) fn is_left_out(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => {
            let words = list.tokens.to_string();
            list.path.is_ident("cfg") && ["test", "fuzzing"].contains(&words.as_str())
                || list.path.is_ident("doc") && words == "hidden"
        }
        _ => false,
    })
}

pub(super) fn is_public(visibility: &Visibility) -> bool {
    matches!(visibility, Visibility::Public(_))
}

pub(super) fn attributes(item: &mut Item) -> &mut Vec<Attribute> {
    match item {
        Item::Const(item) => &mut item.attrs,
        Item::Enum(item) => &mut item.attrs,
        Item::Fn(item) => &mut item.attrs,
        Item::Static(item) => &mut item.attrs,
        Item::Struct(item) => &mut item.attrs,
        Item::Trait(item) => &mut item.attrs,
        Item::Type(item) => &mut item.attrs,
        Item::Use(item) => &mut item.attrs,
        _ => panic!("an item that is not listed"),
    }
}

fn keep_noticed(attributes: &mut Vec<Attribute>) {
    attributes.retain(|attribute| NOTICED.iter().any(|known| attribute.path().is_ident(known)));
}

/// An item as an app sees it.
pub(super) fn without_insides(item: &Item) -> Item {
    let mut item = item.clone();
    keep_noticed(attributes(&mut item));
    match &mut item {
        Item::Const(item) => hide(&mut item.expr),
        Item::Static(item) => hide(&mut item.expr),
        Item::Fn(item) => *item.block = parse_quote!({}),
        Item::Struct(item) => {
            let count = item.fields.len();
            keep_public(&mut item.fields);
            // An app can neither make such a structure nor take it apart.
            if item.fields.len() < count {
                item.attrs.push(parse_quote!(#[private_fields]));
            }
        }
        Item::Enum(item) => {
            for variant in &mut item.variants {
                keep_noticed(&mut variant.attrs);
                variant
                    .fields
                    .iter_mut()
                    .for_each(|field| keep_noticed(&mut field.attrs));
            }
        }
        Item::Trait(item) => {
            for member in &mut item.items {
                if let TraitItem::Fn(function) = member {
                    keep_noticed(&mut function.attrs);
                    let has_default = function.default.is_some();
                    function.default = has_default.then(|| parse_quote!({}));
                }
            }
        }
        _ => {}
    }
    item
}

/// Leaves a constant's value only where it is a plain one.
fn hide(value: &mut Expr) {
    if !matches!(value, Expr::Lit(_)) {
        *value = parse_quote!(_);
    }
}

fn keep_public(fields: &mut Fields) {
    let keep = |field: &Field| is_public(&field.vis);
    match fields {
        Fields::Named(fields) => {
            let kept = fields.named.iter().filter(|field| keep(field));
            fields.named = kept.cloned().collect();
        }
        Fields::Unnamed(fields) => {
            let kept = fields.unnamed.iter().filter(|field| keep(field));
            fields.unnamed = kept.cloned().collect();
        }
        Fields::Unit => {}
    }
    fields
        .iter_mut()
        .for_each(|field| keep_noticed(&mut field.attrs));
}

pub(super) fn member_name(member: &ImplItem) -> String {
    match member {
        ImplItem::Const(constant) => constant.ident.to_string(),
        ImplItem::Fn(function) => function.sig.ident.to_string(),
        ImplItem::Type(associated) => associated.ident.to_string(),
        _ => String::new(),
    }
}

/// What an app sees of an implementation, if it sees any of it.
pub(super) fn public_part(mut block: ItemImpl) -> Option<ItemImpl> {
    keep_noticed(&mut block.attrs);
    let is_trait = block.trait_.is_some();
    block.items.retain(|member| match member {
        ImplItem::Fn(function) => {
            !is_trait && is_public(&function.vis) && !is_left_out(&function.attrs)
        }
        ImplItem::Const(constant) => !is_trait && is_public(&constant.vis),
        ImplItem::Type(_) => is_trait,
        _ => false,
    });
    for member in &mut block.items {
        match member {
            ImplItem::Fn(function) => {
                keep_noticed(&mut function.attrs);
                function.block = parse_quote!({});
                // `mut self` says what the body does with it.
                if let Some(FnArg::Receiver(receiver)) = function.sig.inputs.first_mut() {
                    receiver.mutability = None;
                }
            }
            ImplItem::Const(constant) => {
                keep_noticed(&mut constant.attrs);
                hide(&mut constant.expr);
            }
            _ => {}
        }
    }
    (is_trait || !block.items.is_empty()).then_some(block)
}
