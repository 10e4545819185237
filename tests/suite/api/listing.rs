//! What a crate's public names are, read from its sources.
//!
//! Every public item that can be reached from the root, by `pub mod` and `pub use`, is printed without
//! bodies, documentation and private fields, with the public methods and the traits of its type. What
//! the compiler infers (`Send`, `Sync`) is not in the sources, and not here.

use super::seen::{attributes, is_left_out, is_public, member_name, public_part, without_insides};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use syn::{File, Item, ItemImpl, Type, UseTree, Visibility};

/// The public names of a crate, sorted, each with its item and implementations as Rust.
pub(super) fn listing(root: &Path, name: &str) -> String {
    let mut source = Source::default();
    let folder = root.parent().expect("a file lies in a folder");
    source.read(root, folder, "");
    let mut public = BTreeMap::new();
    source.publish("", name, &mut public);
    let types: BTreeSet<(&str, String)> = public
        .values()
        .filter_map(|(module, item)| Some((module.as_str(), ident(item)?)))
        .collect();
    let parts = public.iter().map(|(path, (module, item))| {
        let mut items = vec![without_insides(item)];
        items.extend(source.implementations(module, item, &types));
        format!("// {path}\n{}\n", print(items))
    });
    parts.collect::<String>().trim_end().to_owned() + "\n"
}

/// The modules of a crate by path: `""` is the root, `"gpu::device"` a file.
#[derive(Default)]
struct Source {
    modules: BTreeMap<String, Vec<Item>>,
}

/// Public names, with the module that defines each.
type Public = BTreeMap<String, (String, Item)>;

impl Source {
    /// Reads a module's file, and those of its modules, which lie in `folder`.
    fn read(&mut self, file: &Path, folder: &Path, path: &str) {
        let text = fs::read_to_string(file).expect("a module has a file");
        let items = syn::parse_file(&text).expect("the sources are Rust").items;
        self.add(items, folder, path);
    }

    fn add(&mut self, items: Vec<Item>, folder: &Path, path: &str) {
        for item in &items {
            let Item::Mod(module) = item else { continue };
            if is_left_out(&module.attrs) {
                continue;
            }
            let name = module.ident.to_string();
            let (child, inner) = (join(path, &name), folder.join(&name));
            let (flat, nested) = (folder.join(format!("{name}.rs")), inner.join("mod.rs"));
            match &module.content {
                Some((_, items)) => self.add(items.clone(), &inner, &child),
                None if flat.exists() => self.read(&flat, &inner, &child),
                None => self.read(&nested, &inner, &child),
            }
        }
        self.modules.insert(path.to_owned(), items);
    }

    /// Adds the public names of a module, which is public by the name `prefix`.
    fn publish(&self, module: &str, prefix: &str, public: &mut Public) {
        for item in &self.modules[module] {
            match item {
                Item::Use(used) if is_public(&used.vis) => {
                    for (path, name) in leaves(&used.tree) {
                        let (origin, mut item) = self.definition(module, &path);
                        let cfgs = used.attrs.iter().filter(|a| a.path().is_ident("cfg"));
                        attributes(&mut item).extend(cfgs.cloned());
                        public.insert(format!("{prefix}::{name}"), (origin, item));
                    }
                }
                Item::Mod(inner) if is_public(&inner.vis) && !is_left_out(&inner.attrs) => {
                    let name = inner.ident.to_string();
                    self.publish(&join(module, &name), &format!("{prefix}::{name}"), public);
                }
                other if visibility(other).is_some_and(is_public) => {
                    if let Some(name) = ident(other) {
                        let origin = (module.to_owned(), other.clone());
                        public.insert(format!("{prefix}::{name}"), origin);
                    }
                }
                _ => {}
            }
        }
    }

    /// What a path of a `use` in a module leads to, however many more `use`s there are on the way.
    fn definition(&self, module: &str, path: &[String]) -> (String, Item) {
        let (name, way) = path.split_last().expect("a path has an end");
        let mut place = module.to_owned();
        for step in way {
            place = match step.as_str() {
                "crate" => String::new(),
                "self" => place,
                "super" => place
                    .rsplit_once("::")
                    .map_or("", |(above, _)| above)
                    .to_owned(),
                inner => join(&place, inner),
            };
        }
        let items = self.modules.get(&place);
        let items = items.unwrap_or_else(|| panic!("no module {place}, of {path:?}"));
        let defines = |item: &&Item| {
            !matches!(item, Item::Mod(_)) && ident(item).is_some_and(|ident| ident == *name)
        };
        if let Some(item) = items.iter().find(defines) {
            return (place, item.clone());
        }
        let mut used = items.iter().filter_map(|item| match item {
            Item::Use(used) => leaves(&used.tree)
                .into_iter()
                .find(|(_, leaf)| leaf == name)
                .map(|(path, _)| (path, item)),
            _ => None,
        });
        let (next, item) = used
            .next()
            .unwrap_or_else(|| panic!("no {name} in {place}"));
        if next == [name.clone()] {
            return (place, item.clone()); // another crate, handed on whole
        }
        self.definition(&place, &next)
    }

    /// The public methods of a type, and its traits that an app can know.
    fn implementations(
        &self,
        module: &str,
        item: &Item,
        public: &BTreeSet<(&str, String)>,
    ) -> Vec<Item> {
        let is_type = matches!(item, Item::Struct(_) | Item::Enum(_));
        let Some(name) = ident(item).filter(|_| is_type) else {
            return Vec::new();
        };
        let mut found: BTreeMap<String, ItemImpl> = BTreeMap::new();
        for (place, items) in &self.modules {
            // Another type of the same name, of which this module speaks.
            let defines =
                |item: &Item| visibility(item).is_some() && ident(item) == Some(name.clone());
            if place != module && items.iter().any(defines) {
                continue;
            }
            for item in items {
                let Item::Impl(block) = item else { continue };
                let is_own = last_of(&block.self_ty).is_some_and(|own| own == name);
                if is_own && !is_left_out(&block.attrs) && !self.is_inner(block, public) {
                    let Some(part) = public_part(block.clone()) else {
                        continue;
                    };
                    // In how many blocks the methods stand is nobody's business, nor in which order.
                    let head = ItemImpl {
                        items: Vec::new(),
                        ..part.clone()
                    };
                    let whole = found
                        .entry(print(vec![Item::Impl(head.clone())]))
                        .or_insert(head);
                    whole.items.extend(part.items);
                }
            }
        }
        let sorted = found.into_values().map(|mut block| {
            block.items.sort_by_cached_key(member_name);
            Item::Impl(block)
        });
        sorted.collect()
    }

    /// Whether a block implements a trait of the crate that nobody outside can name.
    fn is_inner(&self, block: &ItemImpl, public: &BTreeSet<(&str, String)>) -> bool {
        let Some((path, _)) = &block.trait_ else {
            return false;
        };
        let name = path
            .segments
            .last()
            .map(|segment| segment.ident.to_string());
        let name = name.unwrap_or_default();
        let items = self.modules.values().flatten();
        let mut traits = items.filter(|item| matches!(item, Item::Trait(_)));
        traits.any(|item| ident(item) == Some(name.clone()))
            && !public.iter().any(|(_, known)| *known == name)
    }
}

fn join(path: &str, name: &str) -> String {
    match path.is_empty() {
        true => name.to_owned(),
        false => format!("{path}::{name}"),
    }
}

/// The paths of a `use`, each with the name that it gives.
fn leaves(tree: &UseTree) -> Vec<(Vec<String>, String)> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            let rest = leaves(&path.tree).into_iter();
            rest.map(|(rest, name)| ([vec![first.clone()], rest].concat(), name))
                .collect()
        }
        UseTree::Name(name) => vec![(vec![name.ident.to_string()], name.ident.to_string())],
        UseTree::Rename(name) => vec![(vec![name.ident.to_string()], name.rename.to_string())],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
        UseTree::Glob(_) => Vec::new(),
    }
}

fn ident(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn visibility(item: &Item) -> Option<&Visibility> {
    match item {
        Item::Const(item) => Some(&item.vis),
        Item::Enum(item) => Some(&item.vis),
        Item::Fn(item) => Some(&item.vis),
        Item::Static(item) => Some(&item.vis),
        Item::Struct(item) => Some(&item.vis),
        Item::Trait(item) => Some(&item.vis),
        Item::Type(item) => Some(&item.vis),
        _ => None,
    }
}

/// The name that a type ends in, if it has one.
fn last_of(ty: &Type) -> Option<String> {
    match ty {
        Type::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

fn print(items: Vec<Item>) -> String {
    prettyplease::unparse(&File {
        shebang: None,
        frontmatter: None,
        attrs: Vec::new(),
        items,
    })
}
