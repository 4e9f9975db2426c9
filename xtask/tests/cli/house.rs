//! Rules of the house, read off the sources: one name for one type, and no modules that use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

use crate::support::root;

const CRATES: [&str; 4] = ["encoder", "harness", "parity-gate", "xtask"];

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => rust_files(&path, found),
            false if path.extension().is_some_and(|extension| extension == "rs") => found.push(path),
            false => {}
        }
    }
}

fn parsed(path: &Path) -> syn::File {
    let text = std::fs::read_to_string(path).unwrap();
    syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of the types that a file declares.
#[derive(Default)]
struct DeclaredTypes(Vec<String>);

impl<'ast> Visit<'ast> for DeclaredTypes {
    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.0.push(item.ident.to_string());
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.0.push(item.ident.to_string());
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.0.push(item.ident.to_string());
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.0.push(item.ident.to_string());
        visit::visit_item_type(self, item);
    }
}

#[test]
fn a_types_name_is_declared_once() {
    let mut files = Vec::new();
    for part in ["src", "tests", "benches"] {
        CRATES.iter().for_each(|name| rust_files(&root().join(name).join(part), &mut files));
    }
    assert!(files.len() > 100, "expected the sources, found {}", files.len());
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in files {
        let mut declared = DeclaredTypes::default();
        declared.visit_file(&parsed(&file));
        for name in declared.0 {
            places.entry(name).or_default().push(file.strip_prefix(root()).unwrap().display().to_string());
        }
    }
    places.retain(|_, files| files.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}

/// The paths that a module uses, from `crate` on; what only tests use is left out.
struct UsedPaths {
    module: Vec<String>,
    used: BTreeSet<Vec<String>>,
}

impl UsedPaths {
    fn add(&mut self, path: Vec<String>) {
        let mut base = self.module.clone();
        let rest = match path.first().map(String::as_str) {
            Some("crate") => {
                base.clear();
                &path[1..]
            }
            Some("self") => &path[1..],
            Some("super") => {
                let up = path.iter().take_while(|segment| *segment == "super").count();
                base.truncate(base.len().saturating_sub(up));
                &path[up..]
            }
            _ => return,
        };
        base.extend(rest.iter().cloned());
        self.used.insert(base);
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| [before, &[ident.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|item| self.add_tree(before, item));
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && matches!(&attribute.meta, syn::Meta::List(list) if list.tokens.to_string().contains("test"))
    })
}

impl<'ast> Visit<'ast> for UsedPaths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit::visit_path(self, path);
    }
}

/// The modules of a crate, each with the modules that it uses.
fn modules(name: &str) -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let source = root().join(name).join("src");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let module_of = |file: &Path| -> Vec<String> {
        let below = file.strip_prefix(&source).unwrap().with_extension("");
        let mut module: Vec<String> = below.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            module.pop();
        }
        module
    };
    let known: BTreeSet<Vec<String>> = files.iter().map(|file| module_of(file)).collect();
    // What a folder's own file re-exports is used where it is declared.
    let mut exports: BTreeMap<Vec<String>, Vec<String>> = BTreeMap::new();
    for file in &files {
        let module = module_of(file);
        for item in parsed(file).items {
            let syn::Item::Use(item) = item else { continue };
            let mut paths = UsedPaths { module: Vec::new(), used: BTreeSet::new() };
            paths.add_tree(&["self".to_string()], &item.tree);
            for path in paths.used {
                let from = [module.as_slice(), &path[..path.len().min(1)]].concat();
                if let (Some(name), true) = (path.last(), path.len() > 1 && known.contains(&from)) {
                    exports.insert([module.as_slice(), std::slice::from_ref(name)].concat(), from);
                }
            }
        }
    }
    let of_file = |file: &PathBuf| {
        let module = module_of(file);
        let mut paths = UsedPaths { module: module.clone(), used: BTreeSet::new() };
        paths.visit_file(&parsed(file));
        let target = |path: &Vec<String>| {
            let exported = (0..=path.len()).rev().find_map(|length| exports.get(&path[..length]).cloned());
            let exported = exported.filter(|_| !known.contains(path));
            exported.or_else(|| {
                (0..=path.len())
                    .rev()
                    .map(|length| path[..length].to_vec())
                    .find(|prefix| known.contains(prefix))
            })
        };
        let used = paths.used.iter().filter_map(target).filter(|used| *used != module).collect();
        (module, used)
    };
    files.iter().map(of_file).collect()
}

/// Modules that use each other in a circle, of a graph.
fn circle(uses: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn reach(
        uses: &BTreeMap<String, BTreeSet<String>>,
        path: &mut Vec<String>,
        done: &mut BTreeSet<String>,
    ) -> bool {
        let here = path.last().cloned().unwrap_or_default();
        for next in uses.get(&here).into_iter().flatten() {
            if let Some(start) = path.iter().position(|module| module == next) {
                path.drain(..start);
                path.push(next.clone());
                return true;
            }
            if done.contains(next) {
                continue;
            }
            path.push(next.clone());
            if reach(uses, path, done) {
                return true;
            }
            path.pop();
        }
        done.insert(here);
        false
    }
    let mut done = BTreeSet::new();
    uses.keys().find_map(|start| {
        let mut path = vec![start.clone()];
        (!done.contains(start) && reach(uses, &mut path, &mut done)).then_some(path)
    })
}

/// In each folder of a crate: which of its members uses which. A folder counts with all that is in it; what a folder's own
/// `mod` file re-exports counts as used where it is declared.
#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for name in CRATES {
        let modules = modules(name);
        // One is a name for another alone.
        let least = if name == "parity-gate" { 1 } else { 20 };
        assert!(modules.len() >= least, "expected the modules of {name}, found {}", modules.len());
        let folders: BTreeSet<Vec<String>> = modules
            .keys()
            .filter(|module| !module.is_empty())
            .map(|module| module[..module.len() - 1].to_vec())
            .collect();
        for folder in folders {
            let member = |module: &Vec<String>| {
                module.strip_prefix(folder.as_slice()).and_then(|rest| rest.first().cloned())
            };
            let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for (module, used) in &modules {
                let Some(from) = member(module) else { continue };
                let to = used.iter().filter_map(member).filter(|to| *to != from);
                uses.entry(from.clone()).or_default().extend(to);
            }
            circles.extend(
                circle(&uses).map(|path| format!("{name} {}: {}", folder.join("::"), path.join(" -> "))),
            );
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

/// `None` of an option of an option has two meanings, which an enum names.
#[test]
fn no_option_holds_an_option() {
    let mut files = Vec::new();
    for part in ["src", "tests", "benches"] {
        CRATES.iter().for_each(|name| rust_files(&root().join(name).join(part), &mut files));
    }
    let nested = ["Option<", "Option<"].concat();
    let holds = |file: &&PathBuf| {
        let text = std::fs::read_to_string(file).unwrap();
        text.split_whitespace().collect::<String>().contains(&nested)
    };
    let found: Vec<&PathBuf> = files.iter().filter(holds).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn a_circle_is_found() {
    let uses = |pairs: &[(&str, &str)]| {
        let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            uses.entry(from.to_string()).or_default().insert(to.to_string());
        }
        circle(&uses)
    };
    assert_eq!(uses(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
    assert_eq!(uses(&[("a", "b"), ("b", "c"), ("c", "b")]).unwrap(), ["b", "c", "b"]);
}
